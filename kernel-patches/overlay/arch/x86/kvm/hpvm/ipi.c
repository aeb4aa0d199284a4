// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts from one vCPU, or from a device of software, to a direct vCPU: a
 * fixed IPI with the guest's vector, written to the hardware's ICR (table.c says to
 * whom); and those that arrive in the host.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>

#include <asm/hpvm.h>
#include <asm/msr.h>

#include "../lapic.h"
#include "direct.h"
#include "logic.h"
#include "trace.h"

/* Interrupt context, IRQs off, on the pCPU. */
void kvm_hpvm_take_stray(void *guest, u8 vector)
{
	struct kvm_vcpu *vcpu = guest;

	/* As __apic_accept_irq(). */
	if (!kvm_apic_hw_enabled(vcpu->arch.apic) || !kvm_apic_sw_enabled(vcpu->arch.apic))
		return;
	trace_kvm_hpvm_stray(vcpu->vcpu_id, vector);
	++vcpu->stat.hpvm_recorded;
	kvm_hpvm_count_stray(vcpu);
	kvm_lapic_set_irr(vector, vcpu->arch.apic);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	kvm_vcpu_kick(vcpu);
}

/*
 * To a vCPU that was in its guest just now.  Any context but NMI.  False: the vCPU can't
 * be reached straight, or the interrupt needs KVM's attention at its EOI.
 */
bool __kvm_hpvm_deliver(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	unsigned int id = vcpu->vcpu_id;
	unsigned long flags;
	bool sent = false;

	if (!hpvm_sendable(vector) || test_bit(vector, vcpu->arch.ioapic_handled_vectors))
		return false;

	/* See kvm_hpvm_table_unbind(). */
	local_irq_save(flags);
	if (test_bit(id, vm->in_guest)) {
		weak_wrmsr_fence();
		wrmsrl(APIC_BASE_MSR + (APIC_ICR >> 4), (u64)vm->phys[id] << 32 | vector);
		sent = true;
	}
	local_irq_restore(flags);
	return sent;
}

/* As kvm_x2apic_icr_write() stores it. */
static void store_icr(struct kvm_lapic *apic, u64 icr)
{
	unsigned int high = kvm_x86_ops.x2apic_icr_is_split ? APIC_ICR2 : APIC_ICR + 4;

	hpvm_set_vreg(apic->regs, APIC_ICR, icr);
	hpvm_set_vreg(apic->regs, high, icr >> 32);
}

/* To @targets, all in their guests: APIC IDs from @first on, so many bits. */
static __always_inline void send(struct kvm_hpvm_vm *vm, unsigned int first,
				 const unsigned long *targets, unsigned int bits,
				 u8 vector)
{
	unsigned int i;

	weak_wrmsr_fence();
	for_each_set_bit(i, targets, bits)
		wrmsrl(APIC_BASE_MSR + (APIC_ICR >> 4), (u64)vm->phys[first + i] << 32 | vector);
}

static bool send_to_cluster(struct kvm_hpvm_vm *vm, u64 icr)
{
	unsigned long targets, in_guest;
	u32 first;

	targets = hpvm_icr_targets(icr, &first);
	if (!targets)
		return false;
	/* The guest's value is an index. */
	first = array_index_nospec(first, HPVM_APIC_IDS + 1);
	in_guest = READ_ONCE(vm->in_guest[BIT_WORD(first)]) >> (first % BITS_PER_LONG);
	if (targets & ~in_guest)
		return false;
	send(vm, first, &targets, HPVM_CLUSTER_IDS, icr & APIC_VECTOR_MASK);
	return true;
}

/*
 * Racer: kvm_hpvm_count_vcpus(), which writes the words of ->enabled one by one, while
 * they are read here one by one.  It need not be one moment for all: neither do APICs
 * take a shorthand at one moment.  It must be one for each vCPU, whose two bits are in
 * one word each.
 *
 * A vCPU that turns its APIC on is counted before it goes on, so before it can have told
 * anyone of it: if it isn't seen here, nobody can know that it should be.  One that turns
 * it off has left its guest before: it isn't in ->in_guest, or what is sent to it arrives
 * as a stray, which is dropped when its APIC is off (kvm_hpvm_take_stray()).
 */
static bool send_to_all(struct kvm_hpvm_vm *vm, u32 self, u64 icr)
{
	DECLARE_BITMAP(targets, HPVM_APIC_IDS + 1);

	if (!hpvm_shorthand_targets(icr, self, vm->enabled, vm->in_guest, targets))
		return false;
	send(vm, 0, targets, HPVM_APIC_IDS, icr & APIC_VECTOR_MASK);
	return true;
}

/*
 * A direct vCPU has written its ICR: what vmx/hpvm_ipi.S does for most of them on VMX,
 * but for shorthands in VMs of several clusters.  True: the interrupt was sent, to all
 * that it's for.  IRQs off, in the loop of entries, which is what
 * kvm_hpvm_table_unbind() waits for.
 */
bool kvm_hpvm_send_icr(struct kvm_vcpu *vcpu, u64 icr)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	bool sent;

	if (!hpvm_icr_sendable(icr))
		return false;
	if (icr & APIC_DEST_ALLBUT)
		sent = send_to_all(vm, vcpu->vcpu_id, icr);
	else
		sent = send_to_cluster(vm, icr);
	if (!sent)
		return false;
	store_icr(vcpu->arch.apic, icr);
	++vcpu->stat.hpvm_ipis;
	return true;
}
