// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts from one vCPU, or from a device of software, to a direct vCPU: a
 * fixed IPI with the guest's vector, written to the hardware's ICR.
 *
 * A table of the VM says who can be reached so: the vCPUs whose guest state is in
 * their local APIC just now.  It names CPUs of this VM only; a guest gets at no
 * other.  vmx/hpvm_ipi.S reads it, too.
 *
 * An IPI may still be on its way when its target leaves the guest.  Then it
 * arrives in the window that empties the LAPIC, or later in the host, where it's
 * attributed to the guest (kernel/hpvm/stray.c).
 */
#include <linux/kvm_host.h>

#include <asm/hpvm.h>
#include <asm/msr.h>

#include "../lapic.h"
#include "hpvm.h"
#include "logic.h"

int kvm_hpvm_vm_create(struct kvm *kvm)
{
	struct kvm_hpvm_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return -ENOMEM;
	INIT_LIST_HEAD(&vm->irqs);
	kvm->arch.hpvm = vm;
	return 0;
}

/* No vCPU is left. */
void kvm_hpvm_vm_destroy(struct kvm *kvm)
{
	kfree(kvm->arch.hpvm);
}

/*
 * Shorthands ("all", "all but self") are for vCPUs that can be named by one mask,
 * the first cluster's.  A new vCPU ends that until it's bound.
 */
void kvm_hpvm_count_vcpus(struct kvm *kvm)
{
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 all = 0;

	if (!vm)
		return;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->vcpu_id >= HPVM_CLUSTER_IDS) {
			all = 0;
			break;
		}
		all |= BIT(vcpu->vcpu_id);
	}
	WRITE_ONCE(vm->all, all);
}

/* Interrupt context, IRQs off, on the pCPU. */
static void kvm_hpvm_take_stray(void *guest, u8 vector)
{
	struct kvm_vcpu *vcpu = guest;

	/* As __apic_accept_irq(). */
	if (!kvm_apic_hw_enabled(vcpu->arch.apic) || !kvm_apic_sw_enabled(vcpu->arch.apic))
		return;
	++vcpu->stat.hpvm_recorded;
	kvm_hpvm_count_stray(vcpu->arch.hpvm);
	kvm_lapic_set_irr(vector, vcpu->arch.apic);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	kvm_vcpu_kick(vcpu);
}

/* May devices raise their interrupts on the vCPU's pCPU?  Process context. */
static void set_bound(struct kvm_vcpu *vcpu, unsigned long *bound_or_held, bool on)
{
	if (!vcpu->arch.hpvm->reachable)
		return;
	spin_lock_irq(&vcpu->kvm->irqfds.lock);
	__assign_bit(vcpu->vcpu_id, bound_or_held, on);
	spin_unlock_irq(&vcpu->kvm->irqfds.lock);
	kvm_hpvm_update_irqs(vcpu->kvm);
}

/* User space wants the vCPU in ordinary mode, or doesn't any more.  Process context. */
void kvm_hpvm_set_held(struct kvm_vcpu *vcpu, bool held)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	h->hold = held;
	set_bound(vcpu, h->vm->held, held);
}

/* The vCPU was bound.  Process context. */
void kvm_hpvm_ipi_bind(struct kvm_vcpu *vcpu)
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
	hpvm_stray_to(h->pcpu, kvm_hpvm_take_stray, vcpu);
	kvm_hpvm_count_vcpus(vcpu->kvm);
	set_bound(vcpu, vm->bound, true);
}

/*
 * Before the pCPU is given back.  Devices raise their interrupts elsewhere from
 * here on.  The vCPU isn't in the table any more; wait for senders that looked
 * before: guests in their fast path (which RCU doesn't see), and
 * __kvm_hpvm_deliver().  Process context, may sleep.
 */
void kvm_hpvm_ipi_unbind(struct kvm_vcpu *vcpu)
{
	kvm_hpvm_set_held(vcpu, false);
	set_bound(vcpu, vcpu->arch.hpvm->vm->bound, false);
	kvm_make_all_cpus_request(vcpu->kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
	synchronize_rcu();
	hpvm_stray_to(vcpu->arch.hpvm->pcpu, NULL, NULL);
}

/* From here on IPIs may come straight to this CPU.  IRQs off. */
void kvm_hpvm_ipi_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (h->reachable)
		set_bit(vcpu->vcpu_id, h->vm->in_guest);
}

/* IRQs off, before the LAPIC is emptied. */
void kvm_hpvm_ipi_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (h->reachable)
		clear_bit(vcpu->vcpu_id, h->vm->in_guest);
}

/*
 * Any context but NMI.  False: the vCPU can't be reached straight, or the interrupt
 * needs KVM's attention at its EOI.
 */
bool __kvm_hpvm_deliver(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	unsigned int id = vcpu->vcpu_id;
	unsigned long flags;
	bool sent = false;

	if (!vm || id >= HPVM_APIC_IDS || !hpvm_sendable(vector) ||
	    test_bit(vector, vcpu->arch.ioapic_handled_vectors))
		return false;

	/* See kvm_hpvm_ipi_unbind(). */
	local_irq_save(flags);
	if (test_bit(id, vm->in_guest)) {
		weak_wrmsr_fence();
		wrmsrl(APIC_BASE_MSR + (APIC_ICR >> 4), (u64)vm->phys[id] << 32 | vector);
		sent = true;
	}
	local_irq_restore(flags);
	return sent;
}
