// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a CPU quiet: what runs on it for the host goes elsewhere and stays away
 * until the CPU is given back.  No boot parameter is needed.
 *
 * - device interrupts: kernel/irq/dedicated.c, and no new vectors;
 * - tasks, load balancing, unbound work: kernel/sched/dedicated.c;
 * - tick, RCU, time accounting, timers: kernel/time/tick-dedicated.c;
 * - lockup detectors: a guest that keeps its CPU for itself is no lockup.
 *
 * What stays: kernel threads of this CPU with work to do, pinned timers, and the
 * calls that the kernel makes on all CPUs (text patching, flushes of kernel
 * mappings, ...).  status.c counts them.
 */
#include <linux/cpu.h>
#include <linux/dedicated_cpus.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include <asm/hpvm.h>

#include "cpu.h"

static DEFINE_PER_CPU(bool, was_watched);

static void take_vectors(void *unused)
{
	if (IS_ENABLED(CONFIG_DEDICATED_CPUS))
		lapic_dedicate(true);
}

static void give_vectors(void *unused)
{
	if (IS_ENABLED(CONFIG_DEDICATED_CPUS))
		lapic_dedicate(false);
}

static void watch_again(unsigned int cpu)
{
	if (IS_ENABLED(CONFIG_DEDICATED_CPUS) && IS_ENABLED(CONFIG_SOFTLOCKUP_DETECTOR) &&
	    per_cpu(was_watched, cpu))
		lockup_detector_watch_cpu(cpu, true);
}

/*
 * The CPU is online and can't go offline.  Process context, may sleep; without
 * cpus_read_lock().  Returns 0, -ENOMEM, -ENOTEMPTY (an interrupt can't be moved) or
 * -EBUSY (no other CPU can keep time).
 */
int hpvm_isolate(unsigned int cpu)
{
	int r;

	smp_call_function_single(cpu, take_vectors, NULL, 1);
	r = irq_dedicate_cpu(cpu);
	if (r)
		goto irq;
	r = sched_dedicate_cpu(cpu);
	if (r)
		goto irq;
	if (IS_ENABLED(CONFIG_DEDICATED_CPUS) && IS_ENABLED(CONFIG_SOFTLOCKUP_DETECTOR))
		per_cpu(was_watched, cpu) = lockup_detector_watch_cpu(cpu, false);
	r = tick_dedicate_cpu(cpu);
	if (!r)
		return 0;

	watch_again(cpu);
	sched_release_cpu(cpu);
irq:
	smp_call_function_single(cpu, give_vectors, NULL, 1);
	irq_release_cpu(cpu);
	return r;
}

void hpvm_unisolate(unsigned int cpu)
{
	tick_release_cpu(cpu);
	watch_again(cpu);
	sched_release_cpu(cpu);
	smp_call_function_single(cpu, give_vectors, NULL, 1);
	irq_release_cpu(cpu);
}
