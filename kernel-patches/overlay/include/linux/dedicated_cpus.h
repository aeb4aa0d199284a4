/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_DEDICATED_CPUS_H
#define _LINUX_DEDICATED_CPUS_H

/*
 * CPUs that are taken from the host at run time and given back later: what
 * "isolcpus=", "nohz_full=" and "irqaffinity=" do at boot, for some CPUs at a time.
 *
 * Each dedicate function may sleep, is called with the CPUs online and kept so,
 * without cpus_read_lock() held, and is undone by its release function.  It waits for
 * grace periods and the like once, however many CPUs there are.  The caller serialises
 * them all.
 */

#include <linux/cpumask.h>
#include <linux/jump_label.h>
#include <linux/sched.h>

/*
 * What is used of workqueue.c, timer.c, hrtimer.c and watchdog.c.  Here, since headers of
 * those are included everywhere.
 */
void workqueue_unbound_exclude_cpus(struct cpumask *cpus, bool exclude);
void timers_evacuate_cpu(unsigned int cpu);
void hrtimers_evacuate_cpu(unsigned int cpu);
void lockup_detector_watch_cpus(struct cpumask *cpus, bool watch);

#ifdef CONFIG_DEDICATED_CPUS

/* On while a CPU is dedicated. */
DECLARE_STATIC_KEY_FALSE(dedicated_cpus_key);

static inline bool dedicated_cpus_exist(void)
{
	return static_branch_unlikely(&dedicated_cpus_key);
}

/* kernel/sched/dedicated.c: tasks, load balancing, unbound work. */
int sched_dedicate_cpus(const struct cpumask *cpus);
void sched_release_cpus(const struct cpumask *cpus);
long dedicated_cpus_call(const struct cpumask *cpus, long (*fn)(void *),
			 unsigned int *failed);
bool cpu_is_dedicated(unsigned int cpu);
int dedicated_cpu_pin(unsigned int cpu);
int __dedicated_cpus_avoid(struct task_struct *p, int cpu,
			   const struct cpumask *allowed);

/*
 * Where to run @p instead of @cpu: elsewhere if @cpu is dedicated and @p may run on
 * another one.  Under p->pi_lock.
 */
static inline int dedicated_cpus_avoid(struct task_struct *p, int cpu,
				       const struct cpumask *allowed)
{
	if (dedicated_cpus_exist())
		return __dedicated_cpus_avoid(p, cpu, allowed);
	return cpu;
}

void __dedicated_cpus_unpin(struct task_struct *p);

/* @p is a new worker, which may have the affinity of a vCPU's thread.  May sleep. */
static inline void dedicated_cpus_unpin(struct task_struct *p)
{
	if (dedicated_cpus_exist())
		__dedicated_cpus_unpin(p);
}

/* kernel/irq/dedicated.c: device interrupts. */
int irq_dedicate_cpus(const struct cpumask *cpus, unsigned int *failed);
void irq_release_cpus(const struct cpumask *cpus);
void __irq_avoid_dedicated_cpus(struct cpumask *mask);

/* Take the dedicated CPUs out of the CPUs that an interrupt is about to target. */
static inline void irq_avoid_dedicated_cpus(struct cpumask *mask)
{
	if (dedicated_cpus_exist())
		__irq_avoid_dedicated_cpus(mask);
}

/* kernel/time/tick-dedicated.c: tick, RCU, time accounting, timers. */
int tick_dedicate_cpus(const struct cpumask *cpus);
void tick_release_cpus(const struct cpumask *cpus);
int tick_hand_over(unsigned int cpu);

#else

static inline bool dedicated_cpus_exist(void) { return false; }
static inline int sched_dedicate_cpus(const struct cpumask *cpus) { return 0; }
static inline void sched_release_cpus(const struct cpumask *cpus) {}
static inline bool cpu_is_dedicated(unsigned int cpu) { return false; }
static inline void irq_release_cpus(const struct cpumask *cpus) {}
static inline int tick_dedicate_cpus(const struct cpumask *cpus) { return 0; }
static inline void tick_release_cpus(const struct cpumask *cpus) {}
static inline int tick_hand_over(unsigned int cpu) { return 0; }
static inline void irq_avoid_dedicated_cpus(struct cpumask *mask) {}
static inline void dedicated_cpus_unpin(struct task_struct *p) {}

static inline int irq_dedicate_cpus(const struct cpumask *cpus, unsigned int *failed)
{
	return 0;
}

static inline int dedicated_cpus_avoid(struct task_struct *p, int cpu,
				       const struct cpumask *allowed)
{
	return cpu;
}

static inline int dedicated_cpu_pin(unsigned int cpu)
{
	return set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

#endif /* CONFIG_DEDICATED_CPUS */
#endif /* _LINUX_DEDICATED_CPUS_H */
