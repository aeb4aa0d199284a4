// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the decisions in logic.h, and of what no host's device does: an interrupt
 * that can't leave a CPU which is to be taken; and of whose an NMI is.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/pid.h>

#include <trace/events/ipi.h>

#include <asm/hpvm.h>
#include <asm/nmi.h>

#include "../vmx/hpvm_pi.h"
#include "logic.h"

static void isr_of(u32 *isr, const u8 *vectors, unsigned int n)
{
	memset(isr, 0, HPVM_VECTOR_WORDS * sizeof(*isr));
	while (n--)
		isr[vectors[n] / 32] |= BIT(vectors[n] % 32);
}

static void vectors_below_16_are_not_accepted(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hpvm_valid_vectors(0, ~0U), 0xffff0000U);
	KUNIT_EXPECT_EQ(test, hpvm_valid_vectors(0, BIT(15)), 0U);
	KUNIT_EXPECT_EQ(test, hpvm_valid_vectors(0, BIT(16)), (u32)BIT(16));
	KUNIT_EXPECT_EQ(test, hpvm_valid_vectors(1, ~0U), ~0U);
	KUNIT_EXPECT_EQ(test, hpvm_valid_vectors(7, 1U), 1U);
}

static void one_vector_of_each_class_is_recreatable(struct kunit *test)
{
	const u8 all[] = {
		0x10, 0x2f, 0x31, 0x40, 0x5a, 0x6f, 0x70, 0x80,
		0x9f, 0xa0, 0xbb, 0xcf, 0xd0, 0xec, 0xff,
	};
	u32 isr[HPVM_VECTOR_WORDS];

	isr_of(isr, all, 0);
	KUNIT_EXPECT_TRUE(test, hpvm_isr_recreatable(isr));
	isr_of(isr, all, ARRAY_SIZE(all));
	KUNIT_EXPECT_TRUE(test, hpvm_isr_recreatable(isr));
}

static void two_vectors_of_a_class_are_not(struct kunit *test)
{
	const u8 low[] = { 0x20, 0x2f };
	const u8 high[] = { 0x41, 0xf0, 0xff };
	const u8 invalid[] = { 0x0f };
	u32 isr[HPVM_VECTOR_WORDS];

	isr_of(isr, low, ARRAY_SIZE(low));
	KUNIT_EXPECT_FALSE(test, hpvm_isr_recreatable(isr));
	isr_of(isr, high, ARRAY_SIZE(high));
	KUNIT_EXPECT_FALSE(test, hpvm_isr_recreatable(isr));
	isr_of(isr, invalid, ARRAY_SIZE(invalid));
	KUNIT_EXPECT_FALSE(test, hpvm_isr_recreatable(isr));
}

static u32 icr_targets(u64 icr, u32 first)
{
	u32 got_first, mask = hpvm_icr_targets(icr, &got_first);

	return got_first == first ? mask : ~0U;
}

static void an_icr_names_the_vcpus_of_one_cluster(struct kunit *test)
{
	const u64 logical = APIC_DEST_LOGICAL | 0x40;

	/* Physical: an APIC ID. */
	KUNIT_EXPECT_EQ(test, icr_targets(0x40, 0), 1U);
	KUNIT_EXPECT_EQ(test, icr_targets(17ULL << 32 | 0x40, 16), (u32)BIT(1));
	KUNIT_EXPECT_EQ(test, icr_targets(254ULL << 32 | APIC_INT_ASSERT | 0x40, 240),
			(u32)BIT(14));
	KUNIT_EXPECT_EQ(test, icr_targets(255ULL << 32 | 0x40, 240), 0U);
	KUNIT_EXPECT_EQ(test, icr_targets(~0ULL << 32 | 0x40, 0xfffffff0), 0U);
	/* Logical: a cluster and a mask. */
	KUNIT_EXPECT_EQ(test, icr_targets(0x5ULL << 32 | logical, 0), 5U);
	KUNIT_EXPECT_EQ(test, icr_targets(0xf8001ULL << 32 | logical, 240), 0x8001U);
	KUNIT_EXPECT_EQ(test, icr_targets(0x100001ULL << 32 | logical, 256), 0U);
	KUNIT_EXPECT_EQ(test, icr_targets(0x10000ULL << 32 | logical, 16), 0U);
}

static void an_icr_that_is_not_a_fixed_interrupt_is_kvms(struct kunit *test)
{
	static const u32 low[] = {
		0x1f, X86_PLATFORM_IPI_VECTOR, APIC_DM_LOWEST | 0x40, APIC_DM_NMI,
		APIC_DM_INIT, APIC_DM_STARTUP | 0x40, APIC_DM_SMI, APIC_ICR_BUSY | 0x40,
		APIC_INT_LEVELTRIG | 0x40, BIT(13) | 0x40, BIT(20) | 0x40, BIT(31) | 0x40,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(low); i++)
		KUNIT_EXPECT_FALSE_MSG(test, hpvm_icr_sendable(low[i]), "%#x", low[i]);
	KUNIT_EXPECT_TRUE(test, hpvm_icr_sendable(~0ULL << 32 | HPVM_ICR_FIXED));
	KUNIT_EXPECT_TRUE(test, hpvm_icr_sendable(APIC_DEST_ALLINC | FIRST_EXTERNAL_VECTOR));
}

#define ALL	(APIC_DEST_ALLINC | APIC_INT_ASSERT | 0x40)
#define OTHERS	(APIC_DEST_ALLBUT | APIC_INT_ASSERT | 0x40)

static void a_shorthand_names_all_that_are_up(struct kunit *test)
{
	static const unsigned int counts[] = { 1, 2, 16, 17, 64, 65, 255 };
	DECLARE_BITMAP(up, HPVM_APIC_IDS + 1);
	DECLARE_BITMAP(got, HPVM_APIC_IDS + 1);
	unsigned int i, n, self;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		n = counts[i];
		bitmap_zero(up, HPVM_APIC_IDS + 1);
		bitmap_set(up, 0, n);
		for (self = 0; self < n; self++) {
			KUNIT_EXPECT_TRUE(test, hpvm_shorthand_targets(ALL, self, up, up, got));
			KUNIT_EXPECT_TRUE(test, bitmap_equal(got, up, HPVM_APIC_IDS + 1));

			/* A single vCPU has no others. */
			KUNIT_EXPECT_EQ(test, n > 1,
					hpvm_shorthand_targets(OTHERS, self, up, up, got));
			KUNIT_EXPECT_FALSE(test, test_bit(self, got));
			__set_bit(self, got);
			KUNIT_EXPECT_TRUE(test, bitmap_equal(got, up, HPVM_APIC_IDS + 1));
		}
		/* No other ways to name them. */
		KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(0x40, 0, up, up, got));
		KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(APIC_DEST_SELF | 0x40, 0,
								up, up, got));
	}
}

static void a_shorthand_leaves_out_those_that_are_down(struct kunit *test)
{
	DECLARE_BITMAP(up, HPVM_APIC_IDS + 1) = {};
	DECLARE_BITMAP(in_guest, HPVM_APIC_IDS + 1) = {};
	DECLARE_BITMAP(got, HPVM_APIC_IDS + 1);

	bitmap_set(up, 0, HPVM_APIC_IDS);
	__clear_bit(7, up);
	bitmap_clear(up, 60, 10);
	bitmap_copy(in_guest, up, HPVM_APIC_IDS + 1);
	KUNIT_EXPECT_TRUE(test, hpvm_shorthand_targets(ALL, 254, up, in_guest, got));
	KUNIT_EXPECT_TRUE(test, bitmap_equal(got, up, HPVM_APIC_IDS + 1));
	KUNIT_EXPECT_TRUE(test, hpvm_shorthand_targets(OTHERS, 254, up, in_guest, got));
	KUNIT_EXPECT_EQ(test, bitmap_weight(got, HPVM_APIC_IDS + 1), HPVM_APIC_IDS - 11 - 1);
	KUNIT_EXPECT_FALSE(test, test_bit(254, got));

	/* Not even if one is in its guest just now. */
	__set_bit(65, in_guest);
	KUNIT_EXPECT_TRUE(test, hpvm_shorthand_targets(ALL, 0, up, in_guest, got));
	KUNIT_EXPECT_FALSE(test, test_bit(65, got));
}

static void a_shorthand_is_kvms_if_one_cannot_be_reached(struct kunit *test)
{
	DECLARE_BITMAP(up, HPVM_APIC_IDS + 1) = {};
	DECLARE_BITMAP(in_guest, HPVM_APIC_IDS + 1) = {};
	DECLARE_BITMAP(got, HPVM_APIC_IDS + 1);
	unsigned int id;

	bitmap_set(up, 0, HPVM_APIC_IDS);
	for (id = 0; id < HPVM_APIC_IDS; id++) {
		bitmap_copy(in_guest, up, HPVM_APIC_IDS + 1);
		__clear_bit(id, in_guest);
		KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(ALL, 254, up, in_guest, got));
		KUNIT_EXPECT_EQ(test, id == 254,
				hpvm_shorthand_targets(OTHERS, 254, up, in_guest, got));
	}

	/* One beyond what the table has; which may be one of several, if it's the writer. */
	bitmap_copy(in_guest, up, HPVM_APIC_IDS + 1);
	__set_bit(HPVM_APIC_IDS, up);
	KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(ALL, 0, up, in_guest, got));
	KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(OTHERS, 0, up, in_guest, got));
	KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(OTHERS, HPVM_APIC_IDS, up, in_guest, got));
	KUNIT_EXPECT_FALSE(test, hpvm_shorthand_targets(OTHERS, 300, up, in_guest, got));
}

static void a_deadline_is_handed_over_exactly_once(struct kunit *test)
{
	/* Not armed, or cleared by the processor when it fired. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(0, 100, 110, false), HPVM_DEADLINE_NONE);
	/* In the future. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(200, 100, 110, false), HPVM_DEADLINE_AHEAD);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(111, 100, 110, false), HPVM_DEADLINE_AHEAD);
	/* Still armed when read, and passed before it was switched off. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(110, 100, 110, false), HPVM_DEADLINE_PASSED);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(105, 100, 110, false), HPVM_DEADLINE_PASSED);
	/* Read as armed although the TSC was past it: not fired yet. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(99, 100, 110, false), HPVM_DEADLINE_PASSED);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(~0ULL, 100, 110, false), HPVM_DEADLINE_AHEAD);
}

static void a_sticky_deadline_in_the_past_has_fired(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(99, 100, 110, true), HPVM_DEADLINE_NONE);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(100, 100, 110, true), HPVM_DEADLINE_NONE);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(101, 100, 110, true), HPVM_DEADLINE_PASSED);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_state(111, 100, 110, true), HPVM_DEADLINE_AHEAD);
}

static void a_deadline_is_translated_to_the_hosts_tsc(struct kunit *test)
{
	/* No offset. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(500, 0, 100), 500ULL);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(100, 0, 100), 1ULL);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(1, 0, 100), 1ULL);
	/* The guest is ahead: a small deadline has passed. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(1300, 1000, 100), 300ULL);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(1, 1000, 100), 1ULL);
	/* The guest is behind: a deadline of never stays one. */
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(50, -1000ULL, 1010), 1050ULL);
	KUNIT_EXPECT_EQ(test, hpvm_deadline_to_host(~0ULL, -1000ULL, 1010), ~0ULL);
}

static void a_one_shot_count_expires_once(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, hpvm_count_expired(5, 0, false, 0, 0));
	KUNIT_EXPECT_FALSE(test, hpvm_count_expired(5, 1, false, 0, 0));
	/* It had expired, or was never started. */
	KUNIT_EXPECT_FALSE(test, hpvm_count_expired(0, 0, false, 1000, 10));
}

static void a_periodic_count_expires_when_it_wraps(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, hpvm_count_expired(5, 900, true, 10, 1000));
	KUNIT_EXPECT_FALSE(test, hpvm_count_expired(900, 5, true, 895, 1000));
	/* Round and back below where it was. */
	KUNIT_EXPECT_TRUE(test, hpvm_count_expired(900, 5, true, 1895, 1000));
	KUNIT_EXPECT_TRUE(test, hpvm_count_expired(900, 900, true, 1000, 1000));
	/* Stopped. */
	KUNIT_EXPECT_FALSE(test, hpvm_count_expired(0, 0, true, 5000, 0));
}

static void a_count_is_known_again(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, hpvm_count_goes_on(900, 5, 895, 20));
	KUNIT_EXPECT_TRUE(test, hpvm_count_goes_on(900, 5, 895, -20));
	/* A clock that is off by 500 parts in a million, for ten seconds. */
	KUNIT_EXPECT_TRUE(test, hpvm_count_goes_on(900, 5, 10 * NSEC_PER_SEC, 5 * NSEC_PER_MSEC));
	/* It never ran. */
	KUNIT_EXPECT_TRUE(test, hpvm_count_goes_on(0, 0, 1000, 1000));
	/* Fired, started, started anew with less and with more. */
	KUNIT_EXPECT_FALSE(test, hpvm_count_goes_on(900, 0, 1000, 100));
	KUNIT_EXPECT_FALSE(test, hpvm_count_goes_on(0, 900, 1000, 900));
	KUNIT_EXPECT_FALSE(test, hpvm_count_goes_on(900, 5, 895, -2 * NSEC_PER_MSEC));
	KUNIT_EXPECT_FALSE(test, hpvm_count_goes_on(900, 950, 10, 2 * NSEC_PER_MSEC));
}

/* AMD's reference clock with spread spectrum, and those that hosts have. */
static const u32 bus_rates[] = { 99812, 100000, 25000, 24000, 38400, 1000000 };

static void a_count_is_the_same_after_ns(struct kunit *test)
{
	const u32 counts[] = { 0, 1, 2, 3, 1000, 1000001, 0x80000001, U32_MAX };
	unsigned int r, c, divide;
	u64 ns, cycles;

	for (r = 0; r < ARRAY_SIZE(bus_rates); r++) {
		for (divide = 1; divide <= 128; divide *= 2) {
			for (c = 0; c < ARRAY_SIZE(counts); c++) {
				ns = hpvm_count_to_ns(counts[c], divide, bus_rates[r]);
				cycles = (u64)counts[c] * divide;
				/* To the closest ns. */
				KUNIT_EXPECT_LE(test, 2 * abs_diff(ns * bus_rates[r],
								   cycles * USEC_PER_SEC),
						(u64)bus_rates[r]);
				KUNIT_EXPECT_EQ(test, hpvm_ns_to_count(ns, divide, bus_rates[r]),
						(u64)counts[c]);
			}
		}
	}
	/* The largest there is. */
	KUNIT_EXPECT_EQ(test, hpvm_count_to_ns(U32_MAX, 128, 24000), 22906492240000ULL);
	/* Where a cycle is whole ns: what KVM computes. */
	KUNIT_EXPECT_EQ(test, hpvm_count_to_ns(U32_MAX, 128, 100000), U32_MAX * 10ULL * 128);
}

/* A guest that has calibrated its timer in the other mode, one-shot after one-shot. */
static void an_hour_of_one_shots_does_not_drift(struct kunit *test)
{
	const u64 hour = 3600 * NSEC_PER_SEC;
	unsigned int r, hz;
	u64 shot, end;

	for (r = 0; r < ARRAY_SIZE(bus_rates); r++) {
		for (hz = 100; hz <= 1000; hz += 50) {
			shot = hpvm_count_to_ns(bus_rates[r] * 1000 / hz, 1, bus_rates[r]);
			end = hour / NSEC_PER_SEC * hz * shot;
			/* A part per million, and the cycle that the guest rounds. */
			KUNIT_EXPECT_LE(test, abs_diff(end, hour), hour / 1000000 +
					hz * 3600ULL * USEC_PER_SEC / bus_rates[r]);
		}
	}
}

static void lvtt_goes_to_the_hardware_only_in_its_mode(struct kunit *test)
{
	const u32 deadline = APIC_LVT_TIMER_TSCDEADLINE | 0xec;
	const u32 periodic = APIC_LVT_TIMER_PERIODIC | 0x40;
	const u32 off = APIC_LVT_MASKED | LOCAL_TIMER_VECTOR;

	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(deadline, KVM_HPVM_TIMER_DEADLINE), deadline);
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(deadline, KVM_HPVM_TIMER_FIRE), deadline);
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(periodic, KVM_HPVM_TIMER_ONESHOT), periodic);
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(0x40, KVM_HPVM_TIMER_ONESHOT), 0x40U);

	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(deadline, KVM_HPVM_TIMER_ONESHOT), off);
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(periodic, KVM_HPVM_TIMER_DEADLINE), off);
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(deadline, KVM_HPVM_TIMER_EMULATED), off);
	/* Mode 3 is reserved. */
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(deadline | APIC_LVT_TIMER_PERIODIC,
					   KVM_HPVM_TIMER_DEADLINE), off);
}

static void lvtt_vectors_below_32_stay_out(struct kunit *test)
{
	unsigned int v;
	u32 lvtt;

	for (v = 0; v < NR_VECTORS; v++) {
		lvtt = APIC_LVT_TIMER_TSCDEADLINE | v;
		KUNIT_EXPECT_EQ(test, hpvm_lvtt_ok(lvtt, KVM_HPVM_TIMER_DEADLINE), v >= 32);
		/* A masked entry can't raise its vector. */
		KUNIT_EXPECT_TRUE(test, hpvm_lvtt_ok(lvtt | APIC_LVT_MASKED,
						     KVM_HPVM_TIMER_DEADLINE));
	}
}

static void lvtt_keeps_no_other_bits(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hpvm_lvtt_hw(0xfff80000U | APIC_SEND_PENDING |
					   APIC_DM_NMI | 0xec, KVM_HPVM_TIMER_ONESHOT),
			0xecU);
}

static void eoi_exits_while_a_handled_vector_is_under_way(struct kunit *test)
{
	u32 irr[HPVM_VECTOR_WORDS] = {}, isr[HPVM_VECTOR_WORDS] = {};
	u32 handled[HPVM_VECTOR_WORDS] = {};

	irr[1] = BIT(3);
	isr[7] = BIT(12);
	KUNIT_EXPECT_FALSE(test, hpvm_need_eoi_exit(irr, isr, handled));
	handled[1] = BIT(4);
	KUNIT_EXPECT_FALSE(test, hpvm_need_eoi_exit(irr, isr, handled));
	handled[1] |= BIT(3);
	KUNIT_EXPECT_TRUE(test, hpvm_need_eoi_exit(irr, isr, handled));
	irr[1] = 0;
	KUNIT_EXPECT_FALSE(test, hpvm_need_eoi_exit(irr, isr, handled));
	handled[7] = BIT(12);
	KUNIT_EXPECT_TRUE(test, hpvm_need_eoi_exit(irr, isr, handled));
}

static void one_mask_is_for_one_cluster(struct kunit *test)
{
	DECLARE_BITMAP(ids, HPVM_APIC_IDS + 1) = {};
	unsigned int id;

	KUNIT_EXPECT_EQ(test, hpvm_shorthand_mask(ids), HPVM_NO_MASK);
	__set_bit(0, ids);
	__set_bit(5, ids);
	KUNIT_EXPECT_EQ(test, hpvm_shorthand_mask(ids), 0x21U);
	bitmap_set(ids, 0, HPVM_CLUSTER_IDS);
	KUNIT_EXPECT_EQ(test, hpvm_shorthand_mask(ids), 0xffffU);

	/* 255, which means all, among them. */
	for (id = HPVM_CLUSTER_IDS; id <= HPVM_APIC_IDS; id++) {
		__set_bit(id, ids);
		KUNIT_EXPECT_EQ(test, hpvm_shorthand_mask(ids), HPVM_NO_MASK);
		__clear_bit(id, ids);
	}
	/* The assembly takes it for a mask if it's any 16 bits. */
	KUNIT_EXPECT_GT(test, HPVM_NO_MASK, 0xffffU);
}

static void only_fixed_edge_triggered_msis_go_straight(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_FIXED, false), 0ULL);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0xef, APIC_DM_LOWEST, false), 0ULL);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_FIXED, true),
			KVM_HPVM_IRQ_REASON_LEVEL);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_NMI, false),
			KVM_HPVM_IRQ_REASON_MODE);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_SMI, false),
			KVM_HPVM_IRQ_REASON_MODE);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_INIT, false),
			KVM_HPVM_IRQ_REASON_MODE);
	KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(0x31, APIC_DM_EXTINT, false),
			KVM_HPVM_IRQ_REASON_MODE);
}

static void msi_vectors_of_exceptions_and_of_class_15_stay_out(struct kunit *test)
{
	unsigned int v;
	u64 why;

	for (v = 0; v < NR_VECTORS; v++) {
		why = v < FIRST_EXTERNAL_VECTOR || v >= 0xf0 ? KVM_HPVM_IRQ_REASON_VECTOR : 0;
		KUNIT_EXPECT_EQ(test, hpvm_msi_reasons(v, APIC_DM_FIXED, false), why);
	}
}

/* Whatever is outstanding or suppressed, of a vCPU that runs, is blocked, or neither. */
static void a_notification_goes_to_another_cpu(struct kunit *test)
{
	const u16 states[] = {
		0, BIT(POSTED_INTR_ON), BIT(POSTED_INTR_SN),
		BIT(POSTED_INTR_ON) | BIT(POSTED_INTR_SN),
	};
	const u8 vectors[] = { POSTED_INTR_VECTOR, POSTED_INTR_WAKEUP_VECTOR };
	struct pi_desc pi, was;
	unsigned int s, v;

	for (s = 0; s < ARRAY_SIZE(states); s++) {
		for (v = 0; v < ARRAY_SIZE(vectors); v++) {
			memset(&pi, 0x5a, sizeof(pi));
			pi.notifications = states[s];
			pi.nv = vectors[v];
			pi.ndst = 0x12345;
			was = pi;

			/* That of a CPU that isn't taken stays. */
			KUNIT_EXPECT_FALSE(test, hpvm_pi_retarget(&pi, 0x2345, 7));
			KUNIT_EXPECT_MEMEQ(test, &pi, &was, sizeof(pi));

			KUNIT_EXPECT_TRUE(test, hpvm_pi_retarget(&pi, 0x12345, 7));
			was.ndst = 7;
			KUNIT_EXPECT_MEMEQ(test, &pi, &was, sizeof(pi));
			/* Once. */
			KUNIT_EXPECT_FALSE(test, hpvm_pi_retarget(&pi, 0x12345, 8));
			KUNIT_EXPECT_MEMEQ(test, &pi, &was, sizeof(pi));
		}
	}
}

static void the_vector_of_a_notification_changes_alone(struct kunit *test)
{
	struct pi_desc pi, was;

	memset(&pi, 0xa5, sizeof(pi));
	pi.nv = POSTED_INTR_VECTOR;
	was = pi;
	hpvm_pi_set_vector(&pi, POSTED_INTR_WAKEUP_VECTOR);
	was.nv = POSTED_INTR_WAKEUP_VECTOR;
	KUNIT_EXPECT_MEMEQ(test, &pi, &was, sizeof(pi));
}

static unsigned int moved;	/* how often */

/* Of a chip that does as it's told, and of one that doesn't. */
static int irq_moves(struct irq_data *data, const struct cpumask *mask, bool force)
{
	moved++;
	irq_data_update_effective_affinity(data, cpumask_of(cpumask_first(mask)));
	return IRQ_SET_MASK_OK;
}

static int irq_sticks(struct irq_data *data, const struct cpumask *mask, bool force)
{
	return -EIO;
}

static struct irq_chip moving_chip = { .name = "moves", .irq_set_affinity = irq_moves };
static struct irq_chip sticky_chip = { .name = "sticks", .irq_set_affinity = irq_sticks };

static irqreturn_t handle_nothing(int irq, void *unused)
{
	return IRQ_HANDLED;
}

static void stop_irq(void *irq)
{
	free_irq((unsigned long)irq, NULL);
	irq_free_desc((unsigned long)irq);
}

/* Until the test ends. */
static int start_irq(struct kunit *test, struct irq_chip *chip, unsigned int cpu)
{
	int irq = irq_alloc_desc(NUMA_NO_NODE);

	KUNIT_ASSERT_GT(test, irq, 0);
	irq_set_chip_and_handler(irq, chip, handle_simple_irq);
	irq_set_status_flags(irq, IRQ_MOVE_PCNTXT);
	KUNIT_ASSERT_EQ(test, request_irq(irq, handle_nothing, 0, "hpvm-test", NULL), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_irq, (void *)(long)irq), 0);
	irq_set_affinity(irq, cpumask_of(cpu));
	irq_data_update_effective_affinity(irq_get_irq_data(irq), cpumask_of(cpu));
	return irq;
}

static bool exit_is_forced;

static bool force_exit(void)
{
	exit_is_forced = true;
	return true;
}

/* What an NMI of ours does where it finds work; see hpvm_notice(). */
static void nmi(void)
{
	bool (*force)(void) = this_cpu_read(hpvm_pcpu.force_exit);

	if (force)
		force();
}

static void exited(struct kvm_vcpu *vcpu)
{
	nmi();
	exit_is_forced = false;
	nmi();
}

/* Whenever an NMI comes: before, in each step of it, and after the end. */
static void no_forced_exit_is_left_behind(struct kunit *test)
{
	unsigned long flags;

	local_irq_save(flags);
	hpvm_force_exit_set(force_exit);
	nmi();
	hpvm_force_exit_clear(exited, NULL);
	nmi();
	local_irq_restore(flags);
	KUNIT_EXPECT_FALSE(test, exit_is_forced);
}

static unsigned int cpu_of(int irq)
{
	return cpumask_first(irq_get_effective_affinity_mask(irq));
}

static int take(unsigned int cpu)
{
	int r = hpvm_cpus_take(cpumask_of(cpu), task_pid(current), &cpu);

	if (!r)
		hpvm_cpu_give(cpu);
	hpvm_cpus_given();
	return r;
}

static void what_happens_too_often_does_so_within_a_window(struct kunit *test)
{
	struct hpvm_rate rate = {};
	u64 now = 1000000;
	unsigned int i;

	/* Twice in each window, for as long as it likes. */
	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_FALSE(test, hpvm_too_often(&rate, now, 100, 3));
		KUNIT_EXPECT_FALSE(test, hpvm_too_often(&rate, now + 100, 100, 3));
		now += 101;
	}
	KUNIT_EXPECT_FALSE(test, hpvm_too_often(&rate, now, 100, 3));
	KUNIT_EXPECT_FALSE(test, hpvm_too_often(&rate, now + 50, 100, 3));
	KUNIT_EXPECT_TRUE(test, hpvm_too_often(&rate, now + 100, 100, 3));
	KUNIT_EXPECT_TRUE(test, hpvm_too_often(&rate, now + 100, 100, 3));
	/* Once is too often, if that's the limit. */
	KUNIT_EXPECT_TRUE(test, hpvm_too_often(&rate, now + 1000, 100, 1));
}

/* A CPU that can be taken, or the test is skipped. */
static unsigned int free_cpu(struct kunit *test)
{
	unsigned int cpu = cpumask_last(cpu_online_mask);
	struct pid *holder = hpvm_cpu_get_holder(cpu);

	put_pid(holder);
	if (!IS_ENABLED(CONFIG_DEDICATED_CPUS) || !cpu || !hpvm_cpu_supported() || holder)
		kunit_skip(test, "CPU %u can't be dedicated", cpu);
	return cpu;
}

static void a_cpu_with_an_interrupt_that_sticks_stays_what_it_is(struct kunit *test)
{
	unsigned int cpu = free_cpu(test);
	int moving, sticky;

	moving = start_irq(test, &moving_chip, cpu);
	/* Nothing else is in the way. */
	KUNIT_ASSERT_EQ(test, take(cpu), 0);
	KUNIT_EXPECT_EQ(test, cpu_of(moving), cpu);

	sticky = start_irq(test, &sticky_chip, cpu);
	moved = 0;
	KUNIT_EXPECT_EQ(test, take(cpu), -ENOTEMPTY);
	KUNIT_EXPECT_NULL(test, hpvm_cpu_get_holder(cpu));
	KUNIT_EXPECT_EQ(test, moved, 2U);
	KUNIT_EXPECT_EQ(test, cpu_of(moving), cpu);
	KUNIT_EXPECT_EQ(test, cpu_of(sticky), cpu);
	KUNIT_EXPECT_TRUE(test, cpumask_equal(irq_get_affinity_mask(moving), cpumask_of(cpu)));
}

/* The CPU whose NMIs are looked at, and how many there were. */
static unsigned int nmi_cpu, nmis_unclaimed, nmis_claimed, nmis_sent;

static void take_no_stray(void *guest, u8 vector)
{
}

static void count_unclaimed(void *guest)
{
	WRITE_ONCE(nmis_unclaimed, nmis_unclaimed + 1);
}

static void never_late(void *guest, u64 ns)
{
}

static const struct hpvm_guest_ops nmi_ops = {
	.stray		= take_no_stray,
	.unclaimed_nmi	= count_unclaimed,
	.noticed	= never_late,
};

static int claim_nmi(unsigned int cmd, struct pt_regs *regs)
{
	if (raw_smp_processor_id() != nmi_cpu)
		return NMI_DONE;
	WRITE_ONCE(nmis_claimed, nmis_claimed + 1);
	return NMI_HANDLED;
}

/* Once: two of ours are held back until the end of this one, and come as one. */
static int send_two_nmis(unsigned int cmd, struct pt_regs *regs)
{
	if (raw_smp_processor_id() == nmi_cpu && !nmis_sent) {
		hpvm_send_self_nmi();
		hpvm_send_self_nmi();
		WRITE_ONCE(nmis_sent, 2);
	}
	return NMI_DONE;
}

static void send_unknown_nmi(void *unused)
{
	hpvm_send_unclaimed_nmi(nmi_cpu);
}

static void nothing(void *unused)
{
}

static void give_nmi_cpu(void *unused)
{
	hpvm_set_guest(nmi_cpu, NULL, NULL);
	hpvm_cpu_give(nmi_cpu);
	hpvm_cpus_given();
}

/* Its guest is told of NMIs until the test ends. */
static void take_nmi_cpu(struct kunit *test)
{
	unsigned int failed;

	nmi_cpu = free_cpu(test);
	nmis_unclaimed = 0;
	nmis_claimed = 0;
	nmis_sent = 0;
	KUNIT_ASSERT_EQ(test, hpvm_cpus_take(cpumask_of(nmi_cpu), task_pid(current), &failed), 0);
	hpvm_set_guest(nmi_cpu, &nmi_ops, NULL);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, give_nmi_cpu, NULL), 0);
}

/*
 * An NMI that isn't ours is sent until it's counted in @seen.  Each of ours that came with
 * another one hides one, and one that comes with one of ours is never seen (hpvm_nmi()).
 * It's sent on the CPU: two at the same RIP are taken for one (default_do_nmi()).
 */
static bool unknown_nmi_is(const unsigned int *seen)
{
	unsigned long end = jiffies + 10 * HZ;
	unsigned int before = *seen;

	do {
		smp_call_function_single(nmi_cpu, send_unknown_nmi, NULL, 1);
		msleep(20);
		if (READ_ONCE(*seen) != before)
			return true;
	} while (time_before(jiffies, end));
	return false;
}

/* As watchdogs and debuggers do. */
static void an_unknown_nmi_that_a_handler_claims_is_not_unclaimed(struct kunit *test)
{
	int r;

	take_nmi_cpu(test);
	r = register_nmi_handler(NMI_UNKNOWN, claim_nmi, 0, "hpvm-test");
	KUNIT_ASSERT_EQ(test, r, 0);
	KUNIT_EXPECT_TRUE(test, unknown_nmi_is(&nmis_claimed));
	KUNIT_EXPECT_EQ(test, nmis_unclaimed, 0U);
	unregister_nmi_handler(NMI_UNKNOWN, "hpvm-test");
	KUNIT_EXPECT_TRUE(test, unknown_nmi_is(&nmis_unclaimed));
}

static void two_nmis_that_come_as_one_are_both_ours(struct kunit *test)
{
	int r;

	take_nmi_cpu(test);
	r = register_nmi_handler(NMI_LOCAL, send_two_nmis, 0, "hpvm-test");
	KUNIT_ASSERT_EQ(test, r, 0);
	smp_call_function_single(nmi_cpu, nothing, NULL, 1);
	msleep(20);
	unregister_nmi_handler(NMI_LOCAL, "hpvm-test");
	KUNIT_EXPECT_EQ(test, nmis_sent, 2U);
	KUNIT_EXPECT_EQ(test, nmis_unclaimed, 0U);
	/* What isn't ours is still seen. */
	KUNIT_EXPECT_TRUE(test, unknown_nmi_is(&nmis_unclaimed));
}

static bool work_gets_done(const struct hpvm_pcpu *p)
{
	unsigned int i;

	for (i = 0; i < 50 && (atomic_read(&p->pending) || atomic_read(&p->rung)); i++)
		msleep(20);
	return i < 50;
}

/* A function call takes the doorbell's long way, a kick the short one. */
static void the_doorbell_needs_no_nmi_where_interrupts_are_accepted(struct kunit *test)
{
	struct hpvm_pcpu *p;
	int sent;

	take_nmi_cpu(test);
	p = per_cpu_ptr(&hpvm_pcpu, nmi_cpu);

	hpvm_accept_irqs(nmi_cpu, false);
	sent = atomic_read(&p->nmi_sent);
	smp_call_function_single(nmi_cpu, nothing, NULL, 1);
	smp_send_reschedule(nmi_cpu);
	KUNIT_EXPECT_TRUE(test, work_gets_done(p));
	KUNIT_EXPECT_EQ(test, atomic_read(&p->nmi_sent), sent);

	hpvm_refuse_irqs(nmi_cpu);
	sent = atomic_read(&p->nmi_sent);
	smp_send_reschedule(nmi_cpu);
	KUNIT_EXPECT_TRUE(test, work_gets_done(p));
	KUNIT_EXPECT_GT(test, atomic_read(&p->nmi_sent), sent);
}

static struct kunit_case hpvm_test_cases[] = {
	KUNIT_CASE(vectors_below_16_are_not_accepted),
	KUNIT_CASE(one_vector_of_each_class_is_recreatable),
	KUNIT_CASE(two_vectors_of_a_class_are_not),
	KUNIT_CASE(an_icr_names_the_vcpus_of_one_cluster),
	KUNIT_CASE(an_icr_that_is_not_a_fixed_interrupt_is_kvms),
	KUNIT_CASE(a_shorthand_names_all_that_are_up),
	KUNIT_CASE(a_shorthand_leaves_out_those_that_are_down),
	KUNIT_CASE(a_shorthand_is_kvms_if_one_cannot_be_reached),
	KUNIT_CASE(a_deadline_is_handed_over_exactly_once),
	KUNIT_CASE(a_sticky_deadline_in_the_past_has_fired),
	KUNIT_CASE(a_deadline_is_translated_to_the_hosts_tsc),
	KUNIT_CASE(a_one_shot_count_expires_once),
	KUNIT_CASE(a_periodic_count_expires_when_it_wraps),
	KUNIT_CASE(a_count_is_known_again),
	KUNIT_CASE(a_count_is_the_same_after_ns),
	KUNIT_CASE(an_hour_of_one_shots_does_not_drift),
	KUNIT_CASE(lvtt_goes_to_the_hardware_only_in_its_mode),
	KUNIT_CASE(lvtt_vectors_below_32_stay_out),
	KUNIT_CASE(lvtt_keeps_no_other_bits),
	KUNIT_CASE(eoi_exits_while_a_handled_vector_is_under_way),
	KUNIT_CASE(one_mask_is_for_one_cluster),
	KUNIT_CASE(only_fixed_edge_triggered_msis_go_straight),
	KUNIT_CASE(msi_vectors_of_exceptions_and_of_class_15_stay_out),
	KUNIT_CASE(what_happens_too_often_does_so_within_a_window),
	KUNIT_CASE(no_forced_exit_is_left_behind),
	KUNIT_CASE(a_notification_goes_to_another_cpu),
	KUNIT_CASE(the_vector_of_a_notification_changes_alone),
	KUNIT_CASE(a_cpu_with_an_interrupt_that_sticks_stays_what_it_is),
	KUNIT_CASE(an_unknown_nmi_that_a_handler_claims_is_not_unclaimed),
	KUNIT_CASE(two_nmis_that_come_as_one_are_both_ours),
	KUNIT_CASE(the_doorbell_needs_no_nmi_where_interrupts_are_accepted),
	{}
};

static struct kunit_suite hpvm_test_suite = {
	.name = "hpvm",
	.test_cases = hpvm_test_cases,
};
kunit_test_suite(hpvm_test_suite);

MODULE_DESCRIPTION("Tests of KVM's direct mode");
MODULE_LICENSE("GPL");
