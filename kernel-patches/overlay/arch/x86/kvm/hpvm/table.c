// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of a VM: which of its vCPUs have a pCPU, and which have their state in
 * its local APIC just now, so that an interrupt may go there straight.
 *
 * It names CPUs of this VM only; a guest gets at no other.  Senders are other vCPUs
 * and KVM itself (ipi.c, vmx/hpvm_ipi.S), and devices (irq.c).
 *
 * A sender that looks before a vCPU leaves its guest may send after it.  What is on
 * its way then arrives in the window that empties the LAPIC, or later in the host,
 * where it's taken for the guest's (kernel/hpvm/stray.c).
 */
#include <linux/kvm_host.h>

#include <asm/hpvm.h>

#include "../lapic.h"
#include "direct.h"
#include "logic.h"

int kvm_hpvm_vm_create(struct kvm *kvm)
{
	struct kvm_hpvm_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return -ENOMEM;
	INIT_LIST_HEAD(&vm->irqs);
	kvm_hpvm_breaker_init(kvm, vm);
	/* Pairs with whoever goes through all VMs, under kvm_lock alone. */
	smp_store_release(&kvm->arch.hpvm, vm);
	return 0;
}

/* No vCPU is left.  Once the VM is gone its CPUs are the host's. */
void kvm_hpvm_vm_destroy(struct kvm *kvm)
{
	if (!kvm->arch.hpvm)
		return;
	hpvm_cpus_given();
	kfree(kvm->arch.hpvm);
}

/*
 * Shorthands ("all", "all but self") mean the vCPUs whose local APIC is enabled: one that
 * the guest hasn't started, or has stopped, takes no interrupt, as __apic_accept_irq() has
 * it.  If one mask can name them, the first cluster's, vmx/hpvm_ipi.S has it.
 *
 * A vCPU that is about to change that comes here afterwards, before it goes on: under
 * the lock, so that the last one to write has seen what all of them have changed.
 * Racer: a sender, see send_to_all().  Process context.
 */
void kvm_hpvm_count_vcpus(struct kvm *kvm)
{
	DECLARE_BITMAP(ids, HPVM_APIC_IDS + 1) = {};
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!vm)
		return;
	guard(spinlock_irq)(&kvm->irqfds.lock);
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (lapic_in_kernel(vcpu) && kvm_apic_hw_enabled(vcpu->arch.apic) &&
		    kvm_apic_sw_enabled(vcpu->arch.apic))
			__set_bit(min(vcpu->vcpu_id, HPVM_APIC_IDS), ids);
	for (i = 0; i < HPVM_ID_WORDS; i++)
		WRITE_ONCE(vm->enabled[i], ids[i]);
	WRITE_ONCE(vm->all, hpvm_shorthand_mask(ids));
}

/* Process context, may sleep. */
void kvm_hpvm_apic_map_changed(struct kvm *kvm)
{
	kvm_hpvm_count_vcpus(kvm);
	kvm_hpvm_update_irqs(kvm);
}

/*
 * Change the vCPU's bit in @map, kvm_hpvm_vm.bound or .held, and with it the way of
 * devices' interrupts to it.  Process context.
 */
static void assign_and_update(struct kvm_vcpu *vcpu, unsigned long *map, bool on)
{
	if (!vcpu->arch.hpvm->reachable)
		return;
	spin_lock_irq(&vcpu->kvm->irqfds.lock);
	__assign_bit(vcpu->vcpu_id, map, on);
	spin_unlock_irq(&vcpu->kvm->irqfds.lock);
	kvm_hpvm_update_irqs(vcpu->kvm);
}

/* User space wants the vCPU in ordinary mode, or doesn't any more.  Process context. */
void kvm_hpvm_set_held(struct kvm_vcpu *vcpu, bool held)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	h->hold = held;
	kvm_hpvm_unsettle(vcpu);
	assign_and_update(vcpu, h->vm->held, held);
}

static const struct hpvm_guest_ops guest_ops = {
	.stray		= kvm_hpvm_take_stray,
	.unclaimed_nmi	= kvm_hpvm_unclaimed_nmi,
	.noticed	= kvm_hpvm_noticed,
};

/* The vCPU was bound.  Process context. */
void kvm_hpvm_table_bind(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	h->vm = vm;
	h->lapic_regs = vcpu->arch.apic->regs;
	h->not_self = vcpu->vcpu_id < HPVM_CLUSTER_IDS ? ~BIT(vcpu->vcpu_id) : 0;
	h->reachable = vcpu->vcpu_id < HPVM_APIC_IDS;
	if (h->reachable) {
		vm->phys[vcpu->vcpu_id] = per_cpu(x86_cpu_to_apicid, h->pcpu);
		vm->pcpu[vcpu->vcpu_id] = h->pcpu;
	}
	hpvm_set_guest(h->pcpu, &guest_ops, vcpu);
	kvm_hpvm_count_vcpus(vcpu->kvm);
	assign_and_update(vcpu, vm->bound, true);
}

/*
 * Before the pCPU is given back.  Devices raise their interrupts elsewhere from
 * here on.  The vCPU isn't in the table any more; wait for senders that looked
 * before: guests in their fast path (which RCU doesn't see), and
 * __kvm_hpvm_deliver().  Process context, may sleep.
 */
void kvm_hpvm_table_unbind(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vm *vm = vcpu->arch.hpvm->vm;

	kvm_hpvm_set_held(vcpu, false);
	assign_and_update(vcpu, vm->bound, false);
	if (!vm->ended) {
		kvm_make_all_cpus_request(vcpu->kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
		/* A hot upgrade's guest stands still meanwhile. */
		synchronize_rcu_expedited();
	}
	hpvm_set_guest(vcpu->arch.hpvm->pcpu, NULL, NULL);
}

/*
 * No vCPU runs any more, and neither irqfds nor the IOAPIC send: one grace period for
 * all vCPUs that are unbound from here on.  Process context, may sleep.
 */
void kvm_hpvm_vm_end(struct kvm *kvm)
{
	if (!kvm->arch.hpvm)
		return;
	WRITE_ONCE(kvm->arch.hpvm->ended, true);
	synchronize_rcu();
	kvm_hpvm_breaker_end(kvm);
}

/* Call @fn, which mustn't sleep, for each vCPU of each VM.  Process context. */
void kvm_hpvm_visit_vcpus(kvm_hpvm_vcpu_fn fn, void *data)
{
	struct kvm_vcpu *vcpu;
	struct kvm *kvm;
	unsigned long i;

	/* A VM leaves the list, under this lock, before its vCPUs are freed. */
	guard(mutex)(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list)
		kvm_for_each_vcpu(i, vcpu, kvm)
			fn(vcpu, data);
}
EXPORT_SYMBOL_GPL(kvm_hpvm_visit_vcpus);

/* From here on IPIs may come straight to this CPU.  IRQs off. */
void kvm_hpvm_table_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (h->reachable)
		set_bit(vcpu->vcpu_id, h->vm->in_guest);
}

/* IRQs off, before the LAPIC is emptied. */
void kvm_hpvm_table_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (h->reachable)
		clear_bit(vcpu->vcpu_id, h->vm->in_guest);
}
