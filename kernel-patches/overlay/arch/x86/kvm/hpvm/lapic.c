// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving the guest's local APIC state between the virtual LAPIC and the
 * hardware's.
 *
 * While the guest runs, the hardware's registers are the guest's.  Whenever the
 * host could run with IRQs on, they are empty, and the virtual LAPIC's IRR, ISR
 * and TPR hold the guest's state, so that KVM's own code, KVM_GET_LAPIC and
 * other vCPUs see the truth.  Interrupts that KVM raises meanwhile land in the
 * virtual IRR as ever, and go to the hardware at the next entry.
 *
 * Fast re-entries (EXIT_FASTPATH_REENTER_GUEST) do not come here.
 */
#include <linux/kvm_host.h>

#include <asm/hpvm.h>

#include "../lapic.h"
#include "../x86.h"
#include "direct.h"
#include "logic.h"

/* As the host keeps it: vectors 16-31 would enter its exception handlers. */
#define HOST_TPR	0x10

static u32 *vreg(struct kvm_lapic *apic, u32 base, unsigned int word)
{
	return apic->regs + base + word * 0x10;
}

static void vregs_read(struct kvm_lapic *apic, u32 base, u32 *words)
{
	unsigned int i;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++)
		words[i] = READ_ONCE(*vreg(apic, base, i));
}

/* Other CPUs set bits of the virtual IRR at any time. */
static void virr_add(struct kvm_lapic *apic, const unsigned long *seen)
{
	unsigned int v;

	for_each_set_bit(v, seen, NR_VECTORS)
		set_bit(v % 32, (unsigned long *)vreg(apic, APIC_IRR, v / 32));
	apic->irr_pending = true;
}

/* The LAPIC timer's interrupt, if the guest has it unmasked. */
void kvm_hpvm_post_lvtt(struct kvm_lapic *apic)
{
	u32 lvtt = kvm_lapic_get_reg(apic, APIC_LVTT);

	if (!(lvtt & APIC_LVT_MASKED))
		kvm_lapic_set_irr(lvtt & APIC_VECTOR_MASK, apic);
}

bool kvm_hpvm_isr_ok(struct kvm_lapic *apic)
{
	u32 isr[HPVM_VECTOR_WORDS];

	if (!apic->isr_count)
		return true;
	vregs_read(apic, APIC_ISR, isr);
	return hpvm_isr_recreatable(isr);
}

/*
 * Note the vectors in service and EOI each, so that they don't hold back what
 * the host needs.  TPR is 0.
 */
static void save_isr(struct kvm_lapic *apic)
{
	unsigned int i, n = 0;
	u32 word;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++) {
		word = hpvm_x2apic_read(APIC_ISR + i * 0x10);
		*vreg(apic, APIC_ISR, i) = word;
		n += hweight32(word);
	}
	apic->isr_count = n;
	apic->highest_isr_cache = -1;
	while (n--)
		hpvm_x2apic_write(APIC_EOI, 0);
}

/*
 * Put the same vectors in service again, low to high, so that the guest's EOIs
 * mean what they meant.  TPR is 0.
 */
static void restore_isr(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	DECLARE_BITMAP(seen, NR_VECTORS) = {};
	unsigned int i, bit;
	unsigned long word;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++) {
		word = *vreg(apic, APIC_ISR, i);
		*vreg(apic, APIC_ISR, i) = 0;
		for_each_set_bit(bit, &word, 32) {
			if (!hpvm_window_accept(i * 32 + bit, seen) || h->break_isr)
				kvm_hpvm_note(vcpu, HPVM_CAUSE_ISR);
			h->break_isr = false;
			++vcpu->stat.hpvm_in_service;
		}
	}
	apic->isr_count = 0;
	apic->highest_isr_cache = -1;
	if (!bitmap_empty(seen, NR_VECTORS))
		virr_add(apic, seen);
}

/* What is pending, as words; the virtual IRR is empty afterwards. */
static void take_irr(struct kvm_lapic *apic, u32 *irr)
{
	unsigned int i;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++) {
		irr[i] = READ_ONCE(*vreg(apic, APIC_IRR, i));
		if (irr[i])
			irr[i] = hpvm_valid_vectors(i, xchg(vreg(apic, APIC_IRR, i), 0));
	}
}

/* Give the hardware what is pending. */
static void post_irr(struct kvm_vcpu *vcpu, const u32 *irr)
{
	unsigned int i, bit;
	unsigned long word;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++) {
		word = irr[i];
		for_each_set_bit(bit, &word, 32) {
			hpvm_x2apic_write(APIC_SELF_IPI, i * 32 + bit);
			++vcpu->stat.hpvm_reposted;
		}
	}
}

/*
 * Level-triggered interrupts of the virtual IOAPIC, and those with an ack
 * notifier, need their EOI emulated: intercept it while one is under way.
 */
static void update_eoi_exits(struct kvm_vcpu *vcpu, const u32 *irr, const u32 *isr)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	u32 handled[HPVM_VECTOR_WORDS];
	bool need;

	bitmap_to_arr32(handled, vcpu->arch.ioapic_handled_vectors, NR_VECTORS);
	need = hpvm_need_eoi_exit(irr, isr, handled);
	if (need)
		++vcpu->stat.hpvm_eoi_intercepts;
	if (need == h->eoi_exits)
		return;
	h->eoi_exits = need;
	kvm_hpvm_update_msrs(vcpu);
}

/*
 * IRQs off, right before the loop of VM entries.  True: don't enter; nothing of
 * the guest is in the hardware then.
 *
 * vcpu->mode is IN_GUEST_MODE already, with a full barrier behind it, so that who wants
 * KVM's attention from here on sends an IPI: work of the host, which is an NMI.
 */
bool kvm_hpvm_enter_irqoff(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 irr[HPVM_VECTOR_WORDS], isr[HPVM_VECTOR_WORDS];

	if (!h->direct)
		return false;

	/* The thread was moved; kvm_hpvm_update() makes the vCPU ordinary. */
	if (raw_smp_processor_id() != h->pcpu)
		return true;

	/*
	 * Racer: hpvm_raise() on another CPU sets a bit of the pending work, then
	 * sends an NMI, which looks at the pointer that is set here.  If it came
	 * before that, it has rung the doorbell (->rung), and both are seen now: on one
	 * CPU it's program order that counts.  If it comes later, it forces an exit.
	 * So no doorbell is in the IRR while the guest runs.
	 */
	hpvm_force_exit_set(kvm_hpvm_ops->force_exit);
	if (hpvm_work_pending()) {
		hpvm_force_exit_clear(kvm_hpvm_ops->exited, vcpu);
		return true;
	}

	h->in_lapic = true;
	/* As they are before they go to the hardware: EOI depends on them. */
	vregs_read(apic, APIC_ISR, isr);
	if (apic->isr_count) {
		hpvm_x2apic_write(APIC_TASKPRI, 0);
		restore_isr(vcpu);
	}
	hpvm_x2apic_write(APIC_TASKPRI, kvm_lapic_get_reg(apic, APIC_TASKPRI) & 0xff);
	h->strays = 0;
	hpvm_set_spurious_vector(kvm_lapic_get_reg(apic, APIC_SPIV) & APIC_VECTOR_MASK);
	/* May add the timer's vector to the virtual IRR; so before that's taken. */
	kvm_hpvm_timer_enter(vcpu);

	/*
	 * Racer: kvm_lapic_set_irr() on another CPU sets a bit, then kicks.  If its bit
	 * isn't among those that the XCHG takes, its kick is later than the XCHG, too:
	 * the last check below sees it, or its NMI forces an exit.  The next time round
	 * takes the bit.
	 */
	take_irr(apic, irr);
	update_eoi_exits(vcpu, irr, isr);
	post_irr(vcpu, irr);

	/*
	 * Racer: a sender that tests the bit, and writes the ICR if it's set.  Until it
	 * sees the bit it's the racer above; from then on its interrupt waits in the
	 * hardware's IRR, since IRQs are off and no window opens any more.
	 */
	kvm_hpvm_table_enter(vcpu);

	/*
	 * Last.  Racer: hpvm_raise(), the first one above: what it has raised by now is seen,
	 * and an NMI after this check forces an exit.
	 */
	if (hpvm_work_pending()) {
		kvm_hpvm_leave_irqoff(vcpu);
		return true;
	}
	return false;
}

/*
 * IRQs off, right after the loop of VM entries.  Empties the hardware's LAPIC: first
 * the sources, then what is in service, then what is pending.
 */
void kvm_hpvm_leave_irqoff(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	DECLARE_BITMAP(seen, NR_VECTORS) = {};
	unsigned int n;
	u32 tpr;

	if (!h->in_lapic)
		return;
	h->in_lapic = false;
	kvm_hpvm_note_exit(vcpu);

	/*
	 * Racer: a sender that has tested the bit before this, and writes the ICR at any
	 * time after it.  Its interrupt comes before the drain is over and is taken out
	 * there, or comes later, with IRQs on, as a stray: both end in the virtual IRR.
	 * The CPU isn't given back before such senders are done (kvm_hpvm_table_unbind()).
	 * Devices raise theirs whenever they like, and take the same two ways.
	 */
	kvm_hpvm_table_leave(vcpu);
	kvm_hpvm_timer_leave(vcpu);

	/*
	 * PPR is the higher class of TPR and ISR (SDM vol. 3A 11.8.3.1): with
	 * TPR 0 it says whether anything is in service.
	 */
	tpr = hpvm_x2apic_read(APIC_TASKPRI);
	hpvm_set_vreg(apic->regs, APIC_TASKPRI, tpr);
	if (tpr)
		hpvm_x2apic_write(APIC_TASKPRI, 0);
	/* Before any EOI: the guest's may be a vector that is in service, too. */
	hpvm_set_spurious_vector(HPVM_SPURIOUS_VECTOR);
	if (hpvm_x2apic_read(APIC_PROCPRI))
		save_isr(apic);

	n = hpvm_window_drain(seen, HPVM_STORM);
	if (n) {
		virr_add(apic, seen);
		vcpu->stat.hpvm_recorded += n;
	}
	if (n >= HPVM_STORM)
		kvm_hpvm_note(vcpu, HPVM_CAUSE_STORM);
	/*
	 * Always a hint only.  True keeps KVM's paravirtual EOI out: in direct
	 * mode the hardware's EOI is the only one.
	 */
	apic->irr_pending = true;
	h->strays = n < HPVM_STORM ? 0 : HPVM_STORM;
	hpvm_x2apic_write(APIC_TASKPRI, n < HPVM_STORM ? HOST_TPR : HPVM_STORM_TPR);

	/*
	 * Racer: the NMI of hpvm_raise().  Until here it forces an exit: a doorbell would have
	 * been swallowed by the drain.  Here it's rung for what such an NMI came for, and from
	 * here on by the NMI itself.
	 */
	hpvm_force_exit_clear(kvm_hpvm_ops->exited, vcpu);
}

/*
 * Interrupt context, on the pCPU: an interrupt of the guest has arrived in the host.  A
 * source that doesn't stop must not keep the vCPU's thread from going on.
 */
void kvm_hpvm_count_stray(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	/* Those of devices come straight whenever they like; IPIs stop with the guest. */
	if (!list_empty(&h->vm->irqs))
		kvm_hpvm_note(vcpu, HPVM_CAUSE_STRAY);
	if (READ_ONCE(h->strays) >= HPVM_STORM)
		return;
	WRITE_ONCE(h->strays, h->strays + 1);
	if (h->strays == HPVM_STORM) {
		hpvm_x2apic_write(APIC_TASKPRI, HPVM_STORM_TPR);
		/* Somebody has to call kvm_hpvm_end_storm(). */
		WRITE_ONCE(h->settled, false);
		kvm_hpvm_note(vcpu, HPVM_CAUSE_STORM);
	}
}

/*
 * The thread has got on: let what was held back arrive.  Preemptible or not.
 *
 * ->strays is HPVM_STORM if and only if TPR holds back: both are written on the pCPU
 * alone, by the interrupt above or with IRQs off.
 */
void kvm_hpvm_end_storm(struct kvm_hpvm_vcpu *h)
{
	if (READ_ONCE(h->strays) < HPVM_STORM)
		return;
	preempt_disable();
	if (raw_smp_processor_id() == h->pcpu) {
		WRITE_ONCE(h->strays, 0);
		hpvm_x2apic_write(APIC_TASKPRI, HOST_TPR);
	}
	preempt_enable();
}

/* Is there work of the host that must leave the loop of fast re-entries?  IRQs off. */
bool kvm_hpvm_exit_pending(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.hpvm->direct && hpvm_work_pending();
}
