// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping the host's tasks off dedicated CPUs.
 *
 * The CPU leaves the housekeeping masks, which takes it out of the scheduling
 * domains: no load balancing reaches it.  A task that wakes up, is forked or
 * gets a new affinity goes elsewhere, unless its affinity allows nothing but
 * dedicated CPUs: that's the vCPU's thread, kernel threads of this CPU, and what
 * an administrator pinned here.  Affinities themselves are left as they are, so
 * that there is nothing to restore.
 */
#include <linux/cpuset.h>
#include <linux/mmu_context.h>
#include <linux/sched/isolation.h>
#include <linux/slab.h>

#include "sched.h"

DEFINE_STATIC_KEY_FALSE(dedicated_cpus_key);

/* Changed with the caller's serialisation, read at any time. */
static struct cpumask dedicated_mask;

/* The CPUs that unbound work wasn't kept off already. */
static struct cpumask wq_excluded;
/* The housekeeping types that the CPU was in. */
static DEFINE_PER_CPU(unsigned long, housekeeping_types);

bool cpu_is_dedicated(unsigned int cpu)
{
	return cpumask_test_cpu(cpu, &dedicated_mask);
}

/* Under p->pi_lock, IRQs off.  An idle CPU, if there is one. */
int __dedicated_cpus_avoid(struct task_struct *p, int cpu,
			   const struct cpumask *allowed)
{
	int other, found = cpu;

	if (!cpumask_test_cpu(cpu, &dedicated_mask) || is_migration_disabled(p))
		return cpu;

	for_each_cpu_and(other, allowed, cpu_active_mask) {
		if (cpumask_test_cpu(other, &dedicated_mask))
			continue;
		found = other;
		if (available_idle_cpu(other))
			break;
	}
	return found;
}

/*
 * A thread that works for others (KVM's recovery of huge pages, vhost) inherits its
 * creator's affinity, but not what that is for.  It gets what its cpuset allows.
 */
void __dedicated_cpus_unpin(struct task_struct *p)
{
	struct affinity_context all = {
		.new_mask	= cpu_possible_mask,
		.user_mask	= NULL,
		.flags		= SCA_USER,
	};

	if (!cpumask_subset(p->cpus_ptr, &dedicated_mask))
		return;
	__sched_setaffinity(p, &all);
	kfree(all.user_mask);
}

/**
 * dedicated_cpu_pin - let the current task run on one CPU only
 * @cpu:	an online CPU
 *
 * Like sched_setaffinity(), but wherever the task's cpuset is.  It's a choice of user
 * space, too, that changes of the cpuset keep to as long as it has the CPU: otherwise
 * they would allow the task all CPUs of the set, and it would leave the dedicated one.
 *
 * Context: process, may sleep.  Returns 0, -ENOMEM, or -EINVAL for a CPU that is offline.
 */
int dedicated_cpu_pin(unsigned int cpu)
{
	struct affinity_context one = {
		.new_mask	= cpumask_of(cpu),
		.user_mask	= alloc_user_cpus_ptr(NUMA_NO_NODE),
		.flags		= SCA_USER,
	};
	int r;

	if (!one.user_mask)
		return -ENOMEM;
	cpumask_copy(one.user_mask, one.new_mask);
	r = __set_cpus_allowed_ptr(current, &one);
	kfree(one.user_mask);
	return r;
}
EXPORT_SYMBOL_GPL(dedicated_cpu_pin);

/* A task that is queued on one of @cpus and needn't be, with a reference; or NULL. */
static struct task_struct *find_movable_task(const struct cpumask *cpus, unsigned int *cpu)
{
	struct task_struct *g, *p;

	guard(rcu)();
	for_each_process_thread(g, p) {
		*cpu = task_cpu(p);
		if (!cpumask_test_cpu(*cpu, cpus) || !READ_ONCE(p->on_rq))
			continue;
		if (__dedicated_cpus_avoid(p, *cpu, p->cpus_ptr) != *cpu)
			return get_task_struct(p);
	}
	return NULL;
}

/*
 * Sleeping tasks go elsewhere when they wake up.  New ones don't come, so this
 * ends; the limit is for tasks whose affinity changes meanwhile.
 */
static void push_tasks(const struct cpumask *cpus)
{
	unsigned int cpu, limit = 10000;
	struct task_struct *p;

	while (limit-- && (p = find_movable_task(cpus, &cpu))) {
		/* The CPU is offline if it doesn't run at all. */
		if (stop_one_cpu(cpu, __balance_push_cpu_stop, p)) {
			put_task_struct(p);
			break;
		}
	}
}

/*
 * Once a second: a task that was allowed nowhere else stays when its affinity
 * grows, and one in migrate_disable() stays at first.
 */
static void sweep_tasks(struct work_struct *work)
{
	unsigned int cpu;

	for_each_cpu(cpu, &dedicated_mask)
		if (READ_ONCE(cpu_rq(cpu)->nr_running) > 1)
			push_tasks(cpumask_of(cpu));
	queue_delayed_work(system_unbound_wq, to_delayed_work(work), HZ);
}

static DECLARE_DELAYED_WORK(sweep_work, sweep_tasks);

/*
 * The fair server keeps real-time tasks from starving fair ones, with a timer on
 * each CPU.  Where all tasks are fair a dedicated CPU does without, see
 * dedicated_cpu_all_fair().  It isn't switched off by its runtime of 0: that goes
 * through the root domain's admission control, which doesn't count the servers of
 * CPUs in the default root domain once that has been rebuilt, and refuses.
 *
 * After a change of dedicated_mask.  Who starts a server holds the rq's lock, too, and
 * so sees the mask, or is seen here.
 */
static void update_fair_server(unsigned int cpu)
{
	struct rq *rq = cpu_rq(cpu);

	guard(rq_lock_irqsave)(rq);
	update_rq_clock(rq);
	if (dedicated_cpu_all_fair(rq))
		dl_server_stop(&rq->fair_server);
	else if (rq->cfs.h_nr_queued)
		dl_server_start(&rq->fair_server);
}

struct dedicated_call {
	struct work_struct work;
	long (*fn)(void *unused);
	long result;
};

static DEFINE_PER_CPU(struct dedicated_call, dedicated_call);

static void dedicated_call_fn(struct work_struct *work)
{
	struct dedicated_call *call = container_of(work, struct dedicated_call, work);

	call->result = call->fn(NULL);
}

/**
 * dedicated_cpus_call - work_on_cpu() for several CPUs, at the same time
 * @cpus:	online CPUs
 * @fn:		called on each, in a kworker of it, with NULL
 * @failed:	a CPU where @fn didn't return 0; or NULL
 *
 * The caller is serialised.  Returns 0, or what @fn returned on @failed.
 */
long dedicated_cpus_call(const struct cpumask *cpus, long (*fn)(void *),
			 unsigned int *failed)
{
	struct dedicated_call *call;
	unsigned int cpu;
	long r = 0;

	for_each_cpu(cpu, cpus) {
		call = per_cpu_ptr(&dedicated_call, cpu);
		INIT_WORK(&call->work, dedicated_call_fn);
		call->fn = fn;
		schedule_work_on(cpu, &call->work);
	}
	for_each_cpu(cpu, cpus) {
		call = per_cpu_ptr(&dedicated_call, cpu);
		flush_work(&call->work);
		if (!call->result || r)
			continue;
		r = call->result;
		if (failed)
			*failed = cpu;
	}
	return r;
}

static void exclude_unbound_work(struct cpumask *cpus, bool exclude)
{
	cpus_read_lock();
	workqueue_unbound_exclude_cpus(cpus, exclude);
	cpus_read_unlock();
}

/**
 * sched_dedicate_cpus - move the host's tasks away and keep them away
 * @cpus:	online CPUs; see <linux/dedicated_cpus.h> for the context
 *
 * Returns 0 or -ENOMEM.
 */
int sched_dedicate_cpus(const struct cpumask *cpus)
{
	static struct cpumask excluded;
	unsigned int cpu;
	int r;

	r = housekeeping_prepare();
	if (!r)
		r = sched_tick_offload_init();
	if (r)
		return r;

	for_each_cpu(cpu, cpus) {
		per_cpu(housekeeping_types, cpu) = housekeeping_exclude_cpu(cpu);
		cpumask_set_cpu(cpu, &dedicated_mask);
		static_branch_inc(&dedicated_cpus_key);
		update_fair_server(cpu);
	}
	/* Who chose one of them before has queued its task after this. */
	synchronize_rcu();
	rebuild_sched_domains();

	cpumask_copy(&excluded, cpus);
	exclude_unbound_work(&excluded, true);
	cpumask_or(&wq_excluded, &wq_excluded, &excluded);

	push_tasks(cpus);
	queue_delayed_work(system_unbound_wq, &sweep_work, HZ);
	for_each_cpu(cpu, cpus)
		if (per_cpu(housekeeping_types, cpu) & BIT(HK_TYPE_TICK))
			sched_tick_start(cpu);
	return 0;
}

void sched_release_cpus(const struct cpumask *cpus)
{
	static struct cpumask included;
	unsigned int cpu;

	for_each_cpu(cpu, cpus)
		if (per_cpu(housekeeping_types, cpu) & BIT(HK_TYPE_TICK))
			sched_tick_stop(cpu);

	if (cpumask_and(&included, cpus, &wq_excluded)) {
		cpumask_andnot(&wq_excluded, &wq_excluded, cpus);
		exclude_unbound_work(&included, false);
	}

	for_each_cpu(cpu, cpus) {
		static_branch_dec(&dedicated_cpus_key);
		cpumask_clear_cpu(cpu, &dedicated_mask);
	}
	if (cpumask_empty(&dedicated_mask))
		cancel_delayed_work_sync(&sweep_work);
	for_each_cpu(cpu, cpus) {
		housekeeping_include_cpu(cpu, per_cpu(housekeeping_types, cpu));
		update_fair_server(cpu);
	}
	rebuild_sched_domains();
}
