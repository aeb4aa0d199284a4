// SPDX-License-Identifier: GPL-2.0-only
/*
 * Facts about the LAPIC timer that the kernel doesn't keep where the timer runs
 * in TSC-deadline mode: the rate of TMCCT, and what IA32_TSC_DEADLINE reads as
 * after the deadline.
 */
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/math64.h>

#include <asm/apic.h>
#include <asm/hpvm.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "cpu.h"

/* So many counts in so many ticks of the TSC. */
static u32 counts __ro_after_init;
static u64 ticks __ro_after_init;
static bool deadline_sticky __ro_after_init;

/**
 * hpvm_apic_bus_khz - rate of the LAPIC timer at divide-by-1, in kHz
 *
 * As exact as the TSC's, which the kernel may refine in the first seconds.  0 if not
 * measured.
 */
u32 hpvm_apic_bus_khz(void)
{
	return ticks ? div64_u64((u64)counts * tsc_khz + ticks / 2, ticks) : 0;
}
EXPORT_SYMBOL_GPL(hpvm_apic_bus_khz);

/**
 * hpvm_deadline_sticky - does IA32_TSC_DEADLINE keep its value after it fired?
 *
 * Processors clear it (SDM vol. 3A 11.5.4.1); some emulators don't.
 */
bool hpvm_deadline_sticky(void)
{
	return deadline_sticky;
}
EXPORT_SYMBOL_GPL(hpvm_deadline_sticky);

/* TMCCT and the TSC of the same moment, or nearly: the best of some tries. */
static u32 __init count_and_tsc(u64 *tsc)
{
	u64 before, after, best = ~0ULL;
	u32 count, found = 0;
	int i;

	for (i = 0; i < 8; i++) {
		before = rdtsc_ordered();
		count = apic_read(APIC_TMCCT);
		after = rdtsc_ordered();
		if (after - before < best) {
			best = after - before;
			found = count;
			*tsc = before + best / 2;
		}
	}
	return found;
}

/* The LVTT is masked, and not in TSC-deadline mode. */
static void __init measure_rate(void)
{
	u64 begin = 0, end = 0;
	u32 count;

	apic_write(APIC_TDCR, APIC_TDR_DIV_1);
	apic_write(APIC_TMICT, ~0U);
	count = count_and_tsc(&begin);
	while (rdtsc_ordered() - begin < 10ULL * tsc_khz)
		cpu_relax();
	counts = count - count_and_tsc(&end);
	ticks = end - begin;
}

/*
 * The timer counts for this CPU's clock event; that one is late by as long as it
 * takes here.  (What Linux has calibrated may be off by a percent.)
 */
static void __init measure_count_mode(void)
{
	u32 lvtt = apic_read(APIC_LVTT), tdcr = apic_read(APIC_TDCR);
	u32 initial = apic_read(APIC_TMICT), left;

	apic_write(APIC_LVTT, lvtt | APIC_LVT_MASKED);
	left = apic_read(APIC_TMCCT);
	measure_rate();
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_TDCR, tdcr);
	apic_write(APIC_LVTT, lvtt);
	/* One that ended just now may have found the LVTT masked: once more. */
	if (initial && !(lvtt & APIC_LVT_TIMER_PERIODIC))
		initial = max(left, 1U);
	apic_write(APIC_TMICT, initial);
}

/*
 * At boot, on any CPU, IRQs off for 10 ms.  The clock event that this CPU has
 * armed is put back; if it has passed meanwhile it fires at once.
 */
void __init hpvm_apic_timer_measure(void)
{
	u64 armed = 0, begin, left;
	unsigned long flags;
	u32 lvtt, tdcr;

	if (!tsc_khz)
		return;

	local_irq_save(flags);
	lvtt = apic_read(APIC_LVTT);
	tdcr = apic_read(APIC_TDCR);
	if (!boot_cpu_has(X86_FEATURE_TSC_DEADLINE_TIMER)) {
		measure_count_mode();
		goto out;
	}
	if (!(lvtt & APIC_LVT_TIMER_TSCDEADLINE))
		goto out;
	rdmsrl(MSR_IA32_TSC_DEADLINE, armed);

	/* Masked: the deadline passes without an interrupt. */
	apic_write(APIC_LVTT, lvtt | APIC_LVT_MASKED);
	weak_wrmsr_fence();
	wrmsrl(MSR_IA32_TSC_DEADLINE, rdtsc_ordered() + tsc_khz / 100);
	begin = rdtsc_ordered();
	while (rdtsc_ordered() - begin < tsc_khz / 10)
		cpu_relax();
	rdmsrl(MSR_IA32_TSC_DEADLINE, left);
	deadline_sticky = left;
	wrmsrl(MSR_IA32_TSC_DEADLINE, 0);

	apic_write(APIC_LVTT, APIC_LVT_MASKED | (lvtt & APIC_VECTOR_MASK));
	weak_wrmsr_fence();
	measure_rate();
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_TDCR, tdcr);

	apic_write(APIC_LVTT, lvtt);
	weak_wrmsr_fence();
	if (armed)
		wrmsrl(MSR_IA32_TSC_DEADLINE, armed);
out:
	local_irq_restore(flags);
}
