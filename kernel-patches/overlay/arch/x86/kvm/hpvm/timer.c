// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's LAPIC timer in direct mode.
 *
 * The owner is either KVM (an hrtimer) or the hardware, never both.  While the
 * hardware is the owner and the guest doesn't run, the timer is switched off,
 * and the virtual LAPIC holds what it would do:
 *
 * - TSC deadline: lapic_timer.tscdeadline.  0 is in the MSR; writing the value
 *   back fires at once if it has passed.
 * - one-shot, periodic: the count goes on behind a masked LVTT; what it missed
 *   is made up for at the next entry.
 *
 * So every hand-over begins and ends with the ordinary state, and to leave the
 * direct mode is to start KVM's timer.
 */
#include <linux/kvm_host.h>

#include <asm/hpvm.h>
#include <asm/msr.h>

#include "../irq.h"
#include "../lapic.h"
#include "../x86.h"
#include "direct.h"
#include "logic.h"

static bool is_deadline(struct kvm_lapic *apic)
{
	return apic->lapic_timer.timer_mode == APIC_LVT_TIMER_TSCDEADLINE;
}

static bool is_periodic(struct kvm_lapic *apic)
{
	return apic->lapic_timer.timer_mode == APIC_LVT_TIMER_PERIODIC;
}

u64 kvm_hpvm_count_to_ns(struct kvm *kvm, u32 count, u32 divide)
{
	return hpvm_count_to_ns(count, divide, kvm->arch.hpvm_bus_khz);
}

u64 kvm_hpvm_ns_to_count(struct kvm *kvm, u64 ns, u32 divide)
{
	return hpvm_ns_to_count(ns, divide, kvm->arch.hpvm_bus_khz);
}

/* As KVM's timer counts. */
static u64 count_to_ns(struct kvm_lapic *apic, u32 count)
{
	struct kvm *kvm = apic->vcpu->kvm;

	if (kvm->arch.hpvm_bus_khz)
		return kvm_hpvm_count_to_ns(kvm, count, apic->divide_count);
	return (u64)count * kvm->arch.apic_bus_cycle_ns * apic->divide_count;
}

/*
 * Does KVM's timer count as the hardware's?  It does unless user space has chosen
 * another rate.
 */
static bool rate_is_hardwares(struct kvm *kvm)
{
	return kvm->arch.hpvm_bus_khz ||
	       (u64)hpvm_apic_bus_khz() * kvm->arch.apic_bus_cycle_ns == USEC_PER_SEC;
}

/* Is KVM's timer counting?  Then the hardware can't take over exactly. */
static bool emulated_count_runs(struct kvm_lapic *apic)
{
	ktime_t left;

	if (!kvm_lapic_get_reg(apic, APIC_TMICT) || !apic->lapic_timer.period)
		return false;
	if (!hrtimer_active(&apic->lapic_timer.timer))
		return false;
	if (!is_periodic(apic))
		return true;
	/* TMCCT can't be set: a period has to begin here and now. */
	left = ktime_sub(apic->lapic_timer.target_expiration, ktime_get());
	return ktime_to_ns(left) <
	       apic->lapic_timer.period - apic->lapic_timer.period / 16;
}

/**
 * kvm_hpvm_timer_step - the best step of the negotiation that holds now
 * @vcpu:	in or about to enter direct mode
 * @reasons:	KVM_HPVM_TIMER_REASON_*: why it's not the best one
 */
u8 kvm_hpvm_timer_step(struct kvm_vcpu *vcpu, u64 *reasons)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u64 features = vcpu->kvm->arch.hpvm_features;
	u32 lvtt = kvm_lapic_get_reg(apic, APIC_LVTT);
	bool deadline = is_deadline(apic);
	u64 why = 0;
	u8 step;

	if (!(features & (deadline ? KVM_HPVM_F_TIMER_DEADLINE :
				     KVM_HPVM_F_TIMER_ONESHOT)))
		why |= KVM_HPVM_TIMER_REASON_POLICY;

	if (deadline) {
		if (vcpu->arch.l1_tsc_scaling_ratio != kvm_caps.default_tsc_scaling_ratio)
			why |= KVM_HPVM_TIMER_REASON_SCALING;
		if (vcpu->arch.l1_tsc_offset)
			why |= KVM_HPVM_TIMER_REASON_OFFSET;
		step = KVM_HPVM_TIMER_DEADLINE;
		if (why == KVM_HPVM_TIMER_REASON_OFFSET)
			step = KVM_HPVM_TIMER_FIRE;
		else if (why)
			step = KVM_HPVM_TIMER_EMULATED;
	} else {
		if (!rate_is_hardwares(vcpu->kvm))
			why |= KVM_HPVM_TIMER_REASON_RATE;
		if (!why && kvm_hpvm(vcpu)->timer == KVM_HPVM_TIMER_EMULATED &&
		    emulated_count_runs(apic))
			why |= KVM_HPVM_TIMER_REASON_RUNNING;
		step = why ? KVM_HPVM_TIMER_EMULATED : KVM_HPVM_TIMER_ONESHOT;
	}

	if (step != KVM_HPVM_TIMER_EMULATED && !hpvm_lvtt_ok(lvtt, step)) {
		why |= KVM_HPVM_TIMER_REASON_VECTOR;
		step = KVM_HPVM_TIMER_EMULATED;
	}
	*reasons = why;
	return step;
}

/*
 * The guest is left: is its timer set to something else than when it was left before?
 * Of a count that's any change, see count_leave().
 */
static void look_at_timer(struct kvm_vcpu *vcpu, u64 armed)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (h->armed == armed)
		return;
	h->armed = armed;
	kvm_hpvm_note_timer(vcpu);
}

/* Whether KVM's timer has to be started when the hardware's is given up. */
static bool timer_armed(struct kvm_hpvm_vcpu *h, struct kvm_lapic *apic)
{
	if (is_deadline(apic))
		return apic->lapic_timer.tscdeadline;
	if (!kvm_lapic_get_reg(apic, APIC_TMICT) || !apic->lapic_timer.period)
		return false;
	return is_periodic(apic) || h->left;
}

/**
 * kvm_hpvm_timer_switch - hand the timer over
 * @vcpu:	loaded, not in the guest; IRQs on
 * @step:	the new step
 */
void kvm_hpvm_timer_switch(struct kvm_vcpu *vcpu, u8 step)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	u8 old = h->timer;

	if (old == step)
		return;

	if (old == KVM_HPVM_TIMER_EMULATED) {
		hrtimer_cancel(&apic->lapic_timer.timer);
		/* It may have expired, but not become an interrupt yet. */
		kvm_inject_pending_timer_irqs(vcpu);
		apic->lapic_timer.expired_tscdeadline = 0;
		h->left = 0;
	}

	h->timer = step;
	if (step == KVM_HPVM_TIMER_EMULATED) {
		/* From here on restart_apic_timer() isn't held back. */
		if (timer_armed(h, apic))
			kvm_lapic_restart_timer(vcpu);
	} else if (step == KVM_HPVM_TIMER_ONESHOT) {
		/* kvm_hpvm_timer_enter() starts a period that begins now. */
		h->left = is_periodic(apic) ? kvm_lapic_get_reg(apic, APIC_TMICT) : 0;
		h->left_at = ktime_get();
		h->start_count = true;
	}
}

static void deadline_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u64 before, deadline, after;

	before = rdtsc_ordered();
	rdmsrl(MSR_IA32_TSC_DEADLINE, deadline);
	if (deadline)
		wrmsrl(MSR_IA32_TSC_DEADLINE, 0);
	after = rdtsc_ordered();
	look_at_timer(vcpu, deadline);

	apic->lapic_timer.tscdeadline = 0;
	switch (hpvm_deadline_state(deadline, before, after, hpvm_deadline_sticky())) {
	case HPVM_DEADLINE_NONE:
		break;
	case HPVM_DEADLINE_PASSED:
		kvm_hpvm_post_lvtt(apic);
		break;
	case HPVM_DEADLINE_AHEAD:
		apic->lapic_timer.tscdeadline = deadline + vcpu->arch.l1_tsc_offset;
		break;
	}
}

/* @deadline is the guest's, and isn't 0. */
static void write_deadline(struct kvm_vcpu *vcpu, u64 deadline)
{
	wrmsrl(MSR_IA32_TSC_DEADLINE,
	       hpvm_deadline_to_host(deadline, vcpu->arch.l1_tsc_offset, rdtsc_ordered()));
}

static void deadline_enter(struct kvm_vcpu *vcpu)
{
	u64 deadline = vcpu->arch.apic->lapic_timer.tscdeadline;

	if (deadline)
		write_deadline(vcpu, deadline);
}

/*
 * The guest has written its deadline, which exits in the step KVM_HPVM_TIMER_FIRE only:
 * its state is in the local APIC, and its LVTT says that there is a deadline.  False:
 * it's for the ordinary way to handle.  IRQs off, on the pCPU.
 */
bool kvm_hpvm_arm_deadline(struct kvm_vcpu *vcpu, u64 deadline)
{
	if (kvm_hpvm(vcpu)->timer != KVM_HPVM_TIMER_FIRE ||
	    !kvm_msr_allowed(vcpu, MSR_IA32_TSC_DEADLINE, KVM_MSR_FILTER_WRITE))
		return false;
	if (deadline)
		write_deadline(vcpu, deadline);
	else
		wrmsrl(MSR_IA32_TSC_DEADLINE, 0);
	return true;
}

static void count_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	bool periodic = is_periodic(apic);
	ktime_t since = h->left_at, end = apic->lapic_timer.target_expiration;
	u32 from, initial, before = h->left;

	from = hpvm_x2apic_read(APIC_TMCCT);
	hpvm_x2apic_write(APIC_LVTT, hpvm_x2apic_read(APIC_LVTT) | APIC_LVT_MASKED);
	h->left = hpvm_x2apic_read(APIC_TMCCT);
	h->left_at = ktime_get();
	initial = hpvm_x2apic_read(APIC_TMICT);

	apic->lapic_timer.target_expiration =
		ktime_add_ns(h->left_at, count_to_ns(apic, h->left));
	if (initial != kvm_lapic_get_reg(apic, APIC_TMICT) ||
	    !hpvm_count_goes_on(before, h->left, ktime_sub(h->left_at, since),
				ktime_sub(apic->lapic_timer.target_expiration, end)))
		look_at_timer(vcpu, h->armed + 1);
	hpvm_set_vreg(apic->regs, APIC_TMICT, initial);
	apic->lapic_timer.period = count_to_ns(apic, initial);

	if (hpvm_count_expired(from, h->left, periodic, 0, apic->lapic_timer.period))
		kvm_hpvm_post_lvtt(apic);
}

static void count_enter(struct kvm_vcpu *vcpu, u32 lvtt)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 tdcr = kvm_lapic_get_reg(apic, APIC_TDCR) & (APIC_TDR_DIV_1);
	u64 elapsed;
	u32 now;

	/* The count that was given up to KVM's timer goes on, and ends about now. */
	if (h->start_count)
		hpvm_x2apic_write(APIC_TMICT, 0);
	if (hpvm_x2apic_read(APIC_TDCR) != tdcr)
		hpvm_x2apic_write(APIC_TDCR, tdcr);
	hpvm_x2apic_write(APIC_LVTT, lvtt);
	if (h->start_count) {
		h->start_count = false;
		hpvm_x2apic_write(APIC_TMICT, h->left);
		return;
	}

	now = hpvm_x2apic_read(APIC_TMCCT);
	elapsed = ktime_to_ns(ktime_sub(ktime_get(), h->left_at));
	if (hpvm_count_expired(h->left, now, is_periodic(apic), elapsed,
			       apic->lapic_timer.period))
		kvm_hpvm_post_lvtt(apic);
}

/*
 * The deadline steps leave the LVTT as it is: what is switched off is the
 * deadline.  IRQs off, on the pCPU; before the LAPIC is drained.
 */
void kvm_hpvm_timer_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_timer *timer = &vcpu->arch.apic->lapic_timer;

	switch (vcpu->arch.hpvm->timer) {
	case KVM_HPVM_TIMER_DEADLINE:
	case KVM_HPVM_TIMER_FIRE:
		deadline_leave(vcpu);
		break;
	case KVM_HPVM_TIMER_ONESHOT:
		count_leave(vcpu);
		break;
	default:
		look_at_timer(vcpu, is_deadline(vcpu->arch.apic) ? timer->tscdeadline :
								   timer->target_expiration);
	}
}

/* IRQs off, on the pCPU; before the pending vectors are posted. */
void kvm_hpvm_timer_enter(struct kvm_vcpu *vcpu)
{
	u8 step = vcpu->arch.hpvm->timer;
	u32 lvtt = hpvm_lvtt_hw(kvm_lapic_get_reg(vcpu->arch.apic, APIC_LVTT), step);

	if (step == KVM_HPVM_TIMER_ONESHOT) {
		count_enter(vcpu, lvtt);
		return;
	}

	if (hpvm_x2apic_read(APIC_LVTT) != lvtt) {
		hpvm_x2apic_write(APIC_LVTT, lvtt);
		/* SDM vol. 3A 11.5.4.1: a mode change comes before the deadline. */
		weak_wrmsr_fence();
	}
	if (step != KVM_HPVM_TIMER_EMULATED)
		deadline_enter(vcpu);
}
