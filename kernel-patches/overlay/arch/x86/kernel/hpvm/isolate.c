// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making CPUs quiet: what runs on them for the host goes elsewhere and stays away
 * until they are given back.  No boot parameter is needed.
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
#include <linux/cpumask.h>
#include <linux/dedicated_cpus.h>
#include <linux/smp.h>

#include <asm/hpvm.h>

#include "cpu.h"

/* The CPUs that the lockup detectors watched. */
static struct cpumask was_watched;

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

static void stop_watching(const struct cpumask *cpus)
{
	static struct cpumask watched;

	if (!IS_ENABLED(CONFIG_DEDICATED_CPUS) || !IS_ENABLED(CONFIG_SOFTLOCKUP_DETECTOR))
		return;
	cpumask_copy(&watched, cpus);
	lockup_detector_watch_cpus(&watched, false);
	cpumask_or(&was_watched, &was_watched, &watched);
}

static void watch_again(const struct cpumask *cpus)
{
	static struct cpumask watched;

	if (!IS_ENABLED(CONFIG_DEDICATED_CPUS) || !IS_ENABLED(CONFIG_SOFTLOCKUP_DETECTOR))
		return;
	cpumask_and(&watched, cpus, &was_watched);
	cpumask_andnot(&was_watched, &was_watched, cpus);
	lockup_detector_watch_cpus(&watched, true);
}

/*
 * The CPUs are online and can't go offline.  Process context, may sleep; without
 * cpus_read_lock(); the caller is serialised.  Returns 0, or with the CPU in @failed
 * -ENOMEM, -ENOTEMPTY (an interrupt can't be moved) or -EBUSY (no other CPU can keep
 * time).
 */
int hpvm_isolate(const struct cpumask *cpus, unsigned int *failed)
{
	int r;

	on_each_cpu_mask(cpus, take_vectors, NULL, true);
	r = irq_dedicate_cpus(cpus, failed);
	if (r)
		goto irq;
	*failed = cpumask_first(cpus);
	r = sched_dedicate_cpus(cpus);
	if (r)
		goto irq;
	stop_watching(cpus);
	r = tick_dedicate_cpus(cpus);
	if (!r)
		return 0;

	watch_again(cpus);
	sched_release_cpus(cpus);
irq:
	on_each_cpu_mask(cpus, give_vectors, NULL, true);
	irq_release_cpus(cpus);
	return r;
}

void hpvm_unisolate(const struct cpumask *cpus)
{
	tick_release_cpus(cpus);
	watch_again(cpus);
	sched_release_cpus(cpus);
	on_each_cpu_mask(cpus, give_vectors, NULL, true);
	irq_release_cpus(cpus);
}
