// SPDX-License-Identifier: GPL-2.0-only
/*
 * "nohz_full=" for one CPU, begun and ended at run time.
 *
 * The CPU joins tick_nohz_full_mask, and context tracking begins there: in user
 * and in guest mode RCU takes it for quiescent, and CPU time is accounted at the
 * transitions.  So the tick stops while one task runs there.  What's left out:
 *
 * - RCU's callbacks of the CPU aren't offloaded, which is possible only while it's
 *   offline.  Callbacks keep the tick until they are done (rcu_needs_cpu()); in the
 *   guest there come no new ones.
 * - CPU timers (setrlimit, timer_create) that were armed before are checked at the
 *   next tick only.
 */
#include <linux/context_tracking.h>
#include <linux/cpu.h>
#include <linux/dedicated_cpus.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/sched/clock.h>
#include <linux/sched/isolation.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>
#include <linux/timer.h>
#include <linux/vtime.h>
#include <linux/workqueue.h>

#include "tick-internal.h"
#include "timer_migration.h"

/* The CPU became full dynticks here, not by a boot parameter. */
static DEFINE_PER_CPU(bool, tick_dedicated);

static void do_nothing(void *unused)
{
}

/*
 * Make this CPU the one that keeps time, and let none give that duty up any more:
 * full dynticks CPUs rely on it.  In a kworker of the CPU.
 */
static long take_timekeeping(void *unused)
{
	int cpu = get_cpu();

	/*
	 * Another CPU may be in tick_nohz_stop_tick() and about to give up the duty
	 * that it had.  It has IRQs off; wait for it, and look again.  This CPU
	 * can't go idle meanwhile.
	 */
	do {
		WRITE_ONCE(tick_do_timer_cpu, cpu);
		smp_call_function(do_nothing, NULL, 1);
	} while (READ_ONCE(tick_do_timer_cpu) != cpu);
	WRITE_ONCE(tick_nohz_full_running, true);
	put_cpu();
	return 0;
}

/**
 * tick_hand_over - before a CPU goes offline: let it not be the one that keeps time
 * @cpu:	the CPU, or one that is to be dedicated
 *
 * May sleep.  Returns 0, or -EBUSY if there is no other.
 */
int tick_hand_over(unsigned int cpu)
{
	unsigned int hk;

	if (!tick_nohz_full_running || READ_ONCE(tick_do_timer_cpu) != cpu)
		return 0;
	hk = cpumask_any_and_but(cpu_online_mask, housekeeping_cpumask(HK_TYPE_TICK), cpu);
	if (hk >= nr_cpu_ids)
		return -EBUSY;
	return work_on_cpu(hk, take_timekeeping, NULL);
}

/*
 * In the CPU's stopper thread: no other task runs there, so that none has begun an
 * interval of CPU time or a stay in user mode untracked.
 */
static int begin_tracking(void *unused)
{
	struct vtime *vtime = &current->vtime;
	unsigned int cpu = smp_processor_id();

	local_irq_disable();
	write_seqcount_begin(&vtime->seqcount);
	vtime->state = VTIME_SYS;
	vtime->starttime = sched_clock();
	vtime->cpu = cpu;
	write_seqcount_end(&vtime->seqcount);
	__this_cpu_write(context_tracking.active, true);
	/* The scheduler's dependency is brought up to date when this thread ends. */
	cpumask_set_cpu(cpu, tick_nohz_full_mask);
	local_irq_enable();
	return 0;
}

static int end_tracking(void *unused)
{
	struct vtime *vtime = &current->vtime;

	/* The kick of tick_nohz_dep_set_cpu() has to come first. */
	if (tick_nohz_tick_stopped())
		return -EAGAIN;

	local_irq_disable();
	cpumask_clear_cpu(smp_processor_id(), tick_nohz_full_mask);
	vtime_account_kernel(current);
	__this_cpu_write(context_tracking.active, false);
	write_seqcount_begin(&vtime->seqcount);
	vtime->state = VTIME_INACTIVE;
	vtime->cpu = -1;
	write_seqcount_end(&vtime->seqcount);
	local_irq_enable();
	return 0;
}

static long leave_timer_hierarchy(void *unused)
{
	return tmigr_cpu_offline(smp_processor_id());
}

static long join_timer_hierarchy(void *unused)
{
	return tmigr_cpu_online(smp_processor_id());
}

static long fetch_timers(void *cpus)
{
	unsigned int cpu;

	for_each_cpu(cpu, (const struct cpumask *)cpus) {
		timers_evacuate_cpu(cpu);
		hrtimers_evacuate_cpu(cpu);
	}
	return 0;
}

/**
 * tick_dedicate_cpus - stop the tick of CPUs whenever one task runs there
 * @cpus:	online CPUs; see <linux/dedicated_cpus.h> for the context
 *
 * After sched_dedicate_cpus().  Returns 0, or -EBUSY if no other CPU can keep time.
 */
int tick_dedicate_cpus(const struct cpumask *cpus)
{
	unsigned int cpu, hk;
	int r = 0;

	/* Before cpus_read_lock(), which it takes itself. */
	for_each_cpu(cpu, cpus)
		static_branch_inc(&context_tracking_key);
	/* Else it's noted only on hosts that booted with "nohz_full=". */
	if (!sched_clock_stable())
		tick_nohz_dep_set(TICK_DEP_BIT_CLOCK_UNSTABLE);

	cpus_read_lock();
	/* None of @cpus is in that any more. */
	hk = cpumask_any_and(cpu_online_mask, housekeeping_cpumask(HK_TYPE_TICK));
	if (hk >= nr_cpu_ids || !arch_irq_work_has_interrupt()) {
		r = -EBUSY;
		goto out;
	}

	for_each_cpu(cpu, cpus) {
		if (tick_nohz_full_cpu(cpu))
			continue;
		if (!tick_nohz_full_running || READ_ONCE(tick_do_timer_cpu) == cpu)
			work_on_cpu(hk, take_timekeeping, NULL);
		stop_one_cpu(cpu, begin_tracking, NULL);
		per_cpu(tick_dedicated, cpu) = true;
	}
	/* They would handle timers of idle CPUs, at ticks that don't come. */
	dedicated_cpus_call(cpus, leave_timer_hierarchy, NULL);
	work_on_cpu(hk, fetch_timers, (void *)cpus);
out:
	cpus_read_unlock();
	if (r)
		for_each_cpu(cpu, cpus)
			static_branch_dec(&context_tracking_key);
	return r;
}

/* Undo it; the CPUs' ticks run afterwards. */
void tick_release_cpus(const struct cpumask *cpus)
{
	unsigned int cpu;

	dedicated_cpus_call(cpus, join_timer_hierarchy, NULL);

	for_each_cpu(cpu, cpus) {
		if (!per_cpu(tick_dedicated, cpu))
			continue;
		per_cpu(tick_dedicated, cpu) = false;
		/*
		 * Nobody would start it afterwards.  This dependency is of tasks, nothing
		 * else sets or clears it for a CPU.
		 */
		tick_nohz_dep_set_cpu(cpu, TICK_DEP_BIT_POSIX_TIMER);
		while (stop_one_cpu(cpu, end_tracking, NULL) == -EAGAIN) {
			tick_nohz_full_kick_cpu(cpu);
			usleep_range(100, 1000);
		}
		tick_nohz_dep_clear_cpu(cpu, TICK_DEP_BIT_POSIX_TIMER);
	}

	if (cpumask_empty(tick_nohz_full_mask))
		WRITE_ONCE(tick_nohz_full_running, false);
	for_each_cpu(cpu, cpus)
		static_branch_dec(&context_tracking_key);
}

static int __init tick_dedicated_init(void)
{
	/* Else it's there since early boot. */
	if (!tick_nohz_full_running && !zalloc_cpumask_var(&tick_nohz_full_mask, GFP_KERNEL))
		return -ENOMEM;
	return 0;
}
early_initcall(tick_dedicated_init);
