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

#include <asm/hpvm.h>

static int hpvm_clock_housekeeper(unsigned int cpu)
{
	unsigned int hk;

	for_each_cpu_and(hk, housekeeping_cpumask(HK_TYPE_TIMER), cpu_online_mask)
		if (hk != cpu && !per_cpu(hpvm_pcpu.dedicated, hk))
			return hk;
	for_each_online_cpu(hk)
		if (hk != cpu && !per_cpu(hpvm_pcpu.dedicated, hk))
			return hk;
	return -1;
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
	int hk;

	WRITE_ONCE(clock->expires, expires);
	if (atomic_xchg(&clock->asked, 1))
		return 0;
	hk = hpvm_clock_housekeeper(clock->cpu);
	if (WARN_ON_ONCE(hk < 0) ||
	    smp_call_function_single_async(hk, &clock->csd)) {
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
static void hpvm_clock_register(void *data)
{
	struct hpvm_clock *clock = data;
	struct clock_event_device *lapic = lapic_clock_event(clock->cpu);

	clock->c3stop = lapic->features & CLOCK_EVT_FEAT_C3STOP;
	lapic->features |= CLOCK_EVT_FEAT_C3STOP;
	clockevents_register_device(&clock->evt);
}

void hpvm_clock_take(unsigned int cpu)
{
	struct hpvm_clock *clock = &per_cpu(hpvm_pcpu.clock, cpu);

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
	smp_call_function_single(cpu, hpvm_clock_register, clock, 1);
}

void hpvm_clock_give(unsigned int cpu)
{
	struct hpvm_clock *clock = &per_cpu(hpvm_pcpu.clock, cpu);

	lapic_clock_event(cpu)->features &= ~CLOCK_EVT_FEAT_C3STOP | clock->c3stop;
	WARN_ON(clockevents_unbind_device(&clock->evt, cpu));
	/* No new request can come; wait for one under way, then for its timer. */
	while (atomic_read(&clock->asked))
		cpu_relax();
	/* ->asked is cleared first; hpvm_clock_start() runs with IRQs off. */
	synchronize_rcu();
	hrtimer_cancel(&clock->timer);
}
