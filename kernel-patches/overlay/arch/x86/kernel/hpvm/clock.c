// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's clock event device of a dedicated CPU.
 *
 * The CPU's own LAPIC timer is the guest's.  What deadlines the host still has
 * there are kept by an hrtimer on a housekeeping CPU, which raises
 * HPVM_WORK_TIMER.  The device outranks the LAPIC's, so that registering it is
 * all it takes; unbinding it makes clockevents go back to the LAPIC's.  Meanwhile
 * that one must not look fit for a broadcast device, or it would become one.
 *
 * A deadline is late by one IPI, the hrtimer's latency and one NMI.
 */
#include <linux/cpumask.h>
#include <linux/sched/isolation.h>
#include <linux/smp.h>
#include <linux/topology.h>

#include <asm/hpvm.h>

/* Who keeps the deadlines of a dedicated CPU. */
static DEFINE_PER_CPU(unsigned int, hpvm_clock_keeper);

static bool can_keep(unsigned int cpu)
{
	return cpu_online(cpu) && !per_cpu(hpvm_pcpu.dedicated, cpu);
}

/* The @turn-th of the CPUs in both masks that can, counted round; or nr_cpu_ids. */
static unsigned int nth_keeper(const struct cpumask *a, const struct cpumask *b,
			       unsigned int turn)
{
	unsigned int cpu, n = 0;

	for_each_cpu_and(cpu, a, b)
		n += can_keep(cpu);
	if (!n)
		return nr_cpu_ids;
	turn %= n;
	for_each_cpu_and(cpu, a, b)
		if (can_keep(cpu) && !turn--)
			return cpu;
	return nr_cpu_ids;
}

/* Near the CPU, and a different one each time.  IRQs on or off. */
static unsigned int choose_keeper(unsigned int cpu)
{
	const struct cpumask *hk = housekeeping_cpumask(HK_TYPE_TIMER);
	static atomic_t turns;
	unsigned int keeper, turn = atomic_inc_return(&turns);

	keeper = nth_keeper(hk, cpumask_of_node(cpu_to_node(cpu)), turn);
	if (keeper >= nr_cpu_ids)
		keeper = nth_keeper(hk, cpu_online_mask, turn);
	if (keeper >= nr_cpu_ids)
		keeper = nth_keeper(cpu_online_mask, cpu_online_mask, turn);
	per_cpu(hpvm_clock_keeper, cpu) = keeper;
	return keeper;
}

static enum hrtimer_restart hpvm_clock_expired(struct hrtimer *timer)
{
	struct hpvm_clock *clock = container_of(timer, struct hpvm_clock, timer);

	hpvm_raise(clock->cpu, HPVM_WORK_TIMER);
	return HRTIMER_NORESTART;
}

/* On the housekeeping CPU, IRQs off. */
static void hpvm_clock_start(void *data)
{
	struct hpvm_clock *clock = data;

	/* Cleared first: a deadline stored after this is asked for again. */
	atomic_xchg(&clock->asked, 0);
	hrtimer_start(&clock->timer, READ_ONCE(clock->expires),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

/* On the dedicated CPU, IRQs off, under the hrtimer base's lock. */
static int hpvm_clock_set_next(ktime_t expires, struct clock_event_device *evt)
{
	struct hpvm_clock *clock = container_of(evt, struct hpvm_clock, evt);
	unsigned int keeper = per_cpu(hpvm_clock_keeper, clock->cpu);

	WRITE_ONCE(clock->expires, expires);
	if (atomic_xchg(&clock->asked, 1))
		return 0;
	/* It may have gone offline, or been dedicated itself. */
	if (keeper >= nr_cpu_ids || !can_keep(keeper))
		keeper = choose_keeper(clock->cpu);
	if (WARN_ON_ONCE(keeper >= nr_cpu_ids) ||
	    smp_call_function_single_async(keeper, &clock->csd)) {
		/* Try again at once; -ETIME would end as a lost deadline. */
		atomic_set(&clock->asked, 0);
		hpvm_raise(clock->cpu, HPVM_WORK_TIMER);
	}
	return 0;
}

/* A late or cancelled expiry is harmless: the handler looks at the clock. */
static int hpvm_clock_shutdown(struct clock_event_device *evt)
{
	return 0;
}

/* HPVM_WORK_TIMER, in interrupt context on the dedicated CPU. */
void hpvm_clock_event(struct hpvm_clock *clock)
{
	clock->events++;
	if (clockevent_state_oneshot(&clock->evt))
		clock->evt.event_handler(&clock->evt);
}

/* On the dedicated CPU, IRQs off. */
static void hpvm_clock_register(void *unused)
{
	struct hpvm_clock *clock = this_cpu_ptr(&hpvm_pcpu.clock);
	struct clock_event_device *lapic = lapic_clock_event(clock->cpu);

	clock->c3stop = lapic->features & CLOCK_EVT_FEAT_C3STOP;
	lapic->features |= CLOCK_EVT_FEAT_C3STOP;
	clockevents_register_device(&clock->evt);
}

static void hpvm_clock_init(struct hpvm_clock *clock, unsigned int cpu)
{
	clock->cpu = cpu;
	atomic_set(&clock->asked, 0);
	INIT_CSD(&clock->csd, hpvm_clock_start, clock);
	hrtimer_init(&clock->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	clock->timer.function = hpvm_clock_expired;
	clock->evt = (struct clock_event_device) {
		.name			= "hpvm",
		.features		= CLOCK_EVT_FEAT_ONESHOT | CLOCK_EVT_FEAT_KTIME,
		.rating			= 500,
		.irq			= -1,
		.set_next_ktime		= hpvm_clock_set_next,
		.set_state_shutdown	= hpvm_clock_shutdown,
		.set_state_oneshot	= hpvm_clock_shutdown,
		.cpumask		= cpumask_of(cpu),
		.mult			= 1,
		.min_delta_ns		= 1000,
		.max_delta_ns		= KTIME_MAX,
	};
}

/* After hpvm_isolate().  May sleep. */
void hpvm_clock_take(const struct cpumask *cpus)
{
	unsigned int cpu;

	for_each_cpu(cpu, cpus) {
		choose_keeper(cpu);
		hpvm_clock_init(per_cpu_ptr(&hpvm_pcpu.clock, cpu), cpu);
	}
	on_each_cpu_mask(cpus, hpvm_clock_register, NULL, true);
}

/* A grace period and hpvm_clock_given() must follow.  May sleep. */
void hpvm_clock_give(const struct cpumask *cpus)
{
	struct hpvm_clock *clock;
	unsigned int cpu;

	for_each_cpu(cpu, cpus) {
		clock = per_cpu_ptr(&hpvm_pcpu.clock, cpu);
		lapic_clock_event(cpu)->features &= ~CLOCK_EVT_FEAT_C3STOP | clock->c3stop;
		WARN_ON(clockevents_unbind_device(&clock->evt, cpu));
		/* No new request can come; wait for one under way, but for its timer. */
		while (atomic_read(&clock->asked))
			cpu_relax();
	}
}

/*
 * hpvm_clock_start(), which clears ->asked first, is through: it runs with IRQs off.
 * A timer that fires before this raises work for a device that is unbound, which isn't
 * in oneshot state.
 */
void hpvm_clock_given(const struct cpumask *cpus)
{
	unsigned int cpu;

	for_each_cpu(cpu, cpus)
		hrtimer_cancel(per_cpu_ptr(&hpvm_pcpu.clock.timer, cpu));
}
