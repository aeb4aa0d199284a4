/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_HPVM_LOGIC_H
#define __KVM_X86_HPVM_LOGIC_H

/*
 * The decisions of the direct mode, as functions of values: no hardware, no
 * state.  hpvm_test.c checks them.
 */

#include <linux/bitops.h>
#include <linux/find.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/math64.h>
#include <linux/time64.h>
#include <linux/types.h>

#include <asm/apicdef.h>
#include <asm/irq_vectors.h>
#include <asm/kvm_hpvm.h>

#define HPVM_VECTOR_WORDS	8	/* of 32 bits: IRR, ISR, TMR */

/* A cluster of x2APIC's logical IDs, and how many APIC IDs the table has. */
#define HPVM_CLUSTER_IDS	16
#define HPVM_APIC_IDS		255	/* KVM takes 255 for a broadcast, too */
#define HPVM_CLUSTERS		((HPVM_APIC_IDS + 1) / HPVM_CLUSTER_IDS)
#define HPVM_ID_WORDS		BITS_TO_LONGS(HPVM_APIC_IDS + 1)

/* Equals no mask of a cluster: not even that of one with no vCPU in its guest. */
#define HPVM_NO_MASK		BIT(HPVM_CLUSTER_IDS)

/*
 * The mask of the first cluster that stands for all @ids (HPVM_APIC_IDS + 1 bits, the
 * last one for those beyond); HPVM_NO_MASK if there are others, or none at all.
 */
static inline u32 hpvm_shorthand_mask(const unsigned long *ids)
{
	if (find_next_bit(ids, HPVM_APIC_IDS + 1, HPVM_CLUSTER_IDS) <= HPVM_APIC_IDS)
		return HPVM_NO_MASK;
	return ids[0] ?: HPVM_NO_MASK;
}

/* The TPR that holds back a source that doesn't stop; the doorbell's class is 15. */
#define HPVM_STORM_TPR		0xe0
/* So many interrupts of the guest that arrive in the host in a row are a storm. */
#define HPVM_STORM		1024

/* How often something happened lately. */
struct hpvm_rate {
	u64 since;
	unsigned int times;
};

/* It has happened once more, at @now: @times or more within @window? */
static inline bool hpvm_too_often(struct hpvm_rate *rate, u64 now, u64 window,
				  unsigned int times)
{
	if (now - rate->since > window) {
		rate->since = now;
		rate->times = 0;
	}
	return ++rate->times >= times;
}

/*
 * May this vector be sent to a CPU whose guest may be left at any time?  Those below
 * 32 would enter exception handlers, and the doorbell is the host's.
 */
static inline bool hpvm_sendable(u8 vector)
{
	return vector >= FIRST_EXTERNAL_VECTOR && vector != X86_PLATFORM_IPI_VECTOR;
}

/* Vector, level assert, logical destination, shorthand: a fixed, edge-triggered one. */
#define HPVM_ICR_FIXED		(APIC_VECTOR_MASK | APIC_INT_ASSERT | \
				 APIC_DEST_LOGICAL | APIC_DEST_ALLBUT)

/* May an interrupt be sent straight that this write to the x2APIC's ICR asks for? */
static inline bool hpvm_icr_sendable(u64 icr)
{
	return !((u32)icr & ~HPVM_ICR_FIXED) && hpvm_sendable(icr & APIC_VECTOR_MASK);
}

/**
 * hpvm_icr_targets - whom a write to the x2APIC's ICR without a shorthand is for
 * @icr:	the value
 * @first:	set to the first APIC ID of a cluster, below HPVM_APIC_IDS
 *
 * Return: the mask of those in this cluster that are meant; 0 if there are others as well.
 */
static inline u32 hpvm_icr_targets(u64 icr, u32 *first)
{
	u32 dest = icr >> 32;

	if (icr & APIC_DEST_LOGICAL) {
		*first = (dest >> 16) * HPVM_CLUSTER_IDS;
		return dest >> 16 < HPVM_CLUSTERS ? dest & 0xffff : 0;
	}
	*first = round_down(dest, HPVM_CLUSTER_IDS);
	return dest < HPVM_APIC_IDS ? BIT(dest % HPVM_CLUSTER_IDS) : 0;
}

/**
 * hpvm_shorthand_targets - whom a write to the x2APIC's ICR with a shorthand is for
 * @icr:	the value
 * @self:	the writer's APIC ID
 * @enabled:	kvm_hpvm_vm.enabled
 * @in_guest:	kvm_hpvm_vm.in_guest, where HPVM_APIC_IDS, for those beyond, is never set
 * @targets:	set to those that are meant, by APIC ID
 *
 * Return: true if all of them can be reached straight, and there are any.
 */
static inline bool hpvm_shorthand_targets(u64 icr, u32 self, const unsigned long *enabled,
					  const unsigned long *in_guest,
					  unsigned long *targets)
{
	unsigned long any = 0, missing = 0;
	unsigned int i;

	switch (icr & APIC_DEST_ALLBUT) {
	case APIC_DEST_ALLINC:
		/* None, and beyond the last word. */
		self = HPVM_APIC_IDS + 1;
		break;
	case APIC_DEST_ALLBUT:
		/* Others may be beyond, too. */
		if (self >= HPVM_APIC_IDS)
			return false;
		break;
	default:
		return false;
	}
	for (i = 0; i < HPVM_ID_WORDS; i++) {
		targets[i] = READ_ONCE(enabled[i]);
		if (i == BIT_WORD(self))
			targets[i] &= ~BIT_MASK(self);
		any |= targets[i];
		missing |= targets[i] & ~READ_ONCE(in_guest[i]);
	}
	return any && !missing;
}

/*
 * KVM_HPVM_IRQ_REASON_*: what keeps an MSI with these from going straight to its
 * vCPU.  With lowest priority it's fixed to the vCPU that KVM would choose.  A device
 * may raise its interrupt without end, so the vector has to be one that can be held
 * back.
 */
static inline u64 hpvm_msi_reasons(u8 vector, u32 delivery_mode, bool level)
{
	u64 why = 0;

	if (delivery_mode != APIC_DM_FIXED && delivery_mode != APIC_DM_LOWEST)
		why |= KVM_HPVM_IRQ_REASON_MODE;
	if (level)
		why |= KVM_HPVM_IRQ_REASON_LEVEL;
	if (!hpvm_sendable(vector) || (vector & 0xf0) > HPVM_STORM_TPR)
		why |= KVM_HPVM_IRQ_REASON_VECTOR;
	return why;
}

/* Vectors that a LAPIC accepts: 16 and up (SDM vol. 3A 11.5.2). */
static inline u32 hpvm_valid_vectors(unsigned int word, u32 bits)
{
	return word ? bits : bits & GENMASK(31, 16);
}

/*
 * Can these in-service vectors be re-created one by one, low to high?  A vector
 * is accepted only above the class of those in service, so each class may have
 * one (hardware never has two; a restored state may).
 */
static inline bool hpvm_isr_recreatable(const u32 isr[HPVM_VECTOR_WORDS])
{
	unsigned int i;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++) {
		if (isr[i] != hpvm_valid_vectors(i, isr[i]) ||
		    hweight16(isr[i]) > 1 || hweight16(isr[i] >> 16) > 1)
			return false;
	}
	return true;
}

/* What became of the TSC deadline that was armed while the guest ran. */
enum hpvm_deadline {
	HPVM_DEADLINE_NONE,	/* not armed, or fired: in IRR, ISR or handled */
	HPVM_DEADLINE_AHEAD,	/* still to come */
	HPVM_DEADLINE_PASSED,	/* passed while it was switched off: pending */
};

/*
 * @deadline:	IA32_TSC_DEADLINE as read
 * @before:	TSC before it was read
 * @after:	TSC after 0 was written to it
 * @sticky:	the MSR isn't cleared when it fires: one that lies before @before
 *		has fired.  (Processors clear it; a value that is read has not
 *		fired yet.)
 *
 * PASSED may have fired between read and write, in which case its vector is in
 * the IRR already.  To set the vector's bit once more changes nothing.
 */
static inline enum hpvm_deadline hpvm_deadline_state(u64 deadline, u64 before,
						     u64 after, bool sticky)
{
	if (!deadline || (sticky && deadline <= before))
		return HPVM_DEADLINE_NONE;
	return deadline <= after ? HPVM_DEADLINE_PASSED : HPVM_DEADLINE_AHEAD;
}

/*
 * The value for the hardware's IA32_TSC_DEADLINE, given the guest's; never 0,
 * which would disarm it.  The guest's TSC is the host's plus @offset, mod 2^64.
 */
static inline u64 hpvm_deadline_to_host(u64 deadline, u64 offset, u64 host_now)
{
	u64 guest_now = host_now + offset;
	u64 host;

	if (deadline <= guest_now)
		return 1;	/* in the past: fires at once */
	host = host_now + (deadline - guest_now);
	return host > host_now ? host : ~0ULL;
}

/*
 * A count of the LAPIC timer in ns and back, for an APIC bus of @khz and a divider of
 * 1..128.  To the closest: a ns more or less, and the same count after both.  2^32
 * counts of 128 cycles, times the 10^6 of ms and ns, are 2^59.
 */
static inline u64 hpvm_count_to_ns(u32 count, u32 divide, u32 khz)
{
	return div_u64((u64)count * divide * USEC_PER_SEC + khz / 2, khz);
}

/* @ns is at most what hpvm_count_to_ns() makes of a count. */
static inline u64 hpvm_ns_to_count(u64 ns, u32 divide, u32 khz)
{
	u64 cycle = (u64)divide * USEC_PER_SEC;

	return div64_u64(ns * khz + cycle / 2, cycle);
}

/*
 * Did a masked count reach 0?  @from and @to are TMCCT before and after,
 * @elapsed and @period (of TMICT) are in ns; @period is used in periodic mode.
 */
static inline bool hpvm_count_expired(u32 from, u32 to, bool periodic,
				      u64 elapsed, u64 period)
{
	if (!periodic)
		return from && !to;
	return period && (to > from || elapsed >= period);
}

/*
 * Is a count, which was @from @elapsed ns ago and is @to now, still the same one, that has
 * neither fired nor been started anew?  Its end has moved by @moved ns since then: by no more
 * than the host's clock and the timer's may differ.
 */
static inline bool hpvm_count_goes_on(u32 from, u32 to, u64 elapsed, s64 moved)
{
	if (!to)
		return !from;
	return from && abs(moved) <= NSEC_PER_MSEC + elapsed / 1024;
}

/* Is @lvtt an entry that may be given to the hardware with timer step @step? */
static inline bool hpvm_lvtt_ok(u32 lvtt, u8 step)
{
	u32 mode = lvtt & (APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE);

	/* Vectors below 32 could enter the host's exception handlers. */
	if ((lvtt & APIC_VECTOR_MASK) < FIRST_EXTERNAL_VECTOR &&
	    !(lvtt & APIC_LVT_MASKED))
		return false;

	switch (step) {
	case KVM_HPVM_TIMER_DEADLINE:
	case KVM_HPVM_TIMER_FIRE:
		return mode == APIC_LVT_TIMER_TSCDEADLINE;
	case KVM_HPVM_TIMER_ONESHOT:
		return mode == 0 || mode == APIC_LVT_TIMER_PERIODIC;
	default:
		return false;
	}
}

/* The LVTT for the hardware; only bits that have a meaning there. */
static inline u32 hpvm_lvtt_hw(u32 lvtt, u8 step)
{
	if (!hpvm_lvtt_ok(lvtt, step))
		return APIC_LVT_MASKED | LOCAL_TIMER_VECTOR;
	return lvtt & (APIC_VECTOR_MASK | APIC_LVT_MASKED |
		       APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE);
}

/* Does one of the vectors need its EOI seen (level, or with an ack notifier)? */
static inline bool hpvm_need_eoi_exit(const u32 irr[HPVM_VECTOR_WORDS],
				      const u32 isr[HPVM_VECTOR_WORDS],
				      const u32 handled[HPVM_VECTOR_WORDS])
{
	unsigned int i;

	for (i = 0; i < HPVM_VECTOR_WORDS; i++)
		if ((irr[i] | isr[i]) & handled[i])
			return true;
	return false;
}

#endif /* __KVM_X86_HPVM_LOGIC_H */
