// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a CPU for a guest, and giving it back.
 *
 * What differs on a dedicated CPU, from taking to giving back, whether the guest
 * runs or not:
 *
 * - the host's tasks, timers and device interrupts are elsewhere (isolate.c);
 * - host IPIs arrive as NMIs (host_ipi.c);
 * - its clock event device is ours (clock.c), the LAPIC timer is the guest's;
 * - the LVT entries that the host uses are masked, unless they are NMI or SMI;
 * - the spurious vector is one that no interrupt can have.
 *
 * KVM leaves the local APIC empty (nothing pending, in service or armed)
 * whenever the host runs with IRQs on.
 */
#define pr_fmt(fmt) "hpvm: " fmt

#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/cpuset.h>
#include <linux/dedicated_cpus.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/sched/isolation.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <asm/apic.h>
#include <asm/hpvm.h>
#include <asm/hpvm_stray.h>
#include <asm/irq.h>

#include "cpu.h"

/*
 * Serialises taking and giving back; protects ->holder and, together with
 * cpus_read_lock(), bits that are set in hpvm_cpus.  Taken first.
 */
static DEFINE_MUTEX(hpvm_mutex);
static struct cpumask hpvm_cpus;
static bool hpvm_ready __ro_after_init;

/* As APIC_EILVTn() */
#define APIC_EILVT(n)	(0x500 + 0x10 * (n))

static const u16 hpvm_lvts[] = {
	APIC_LVTTHMR, APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR, APIC_LVTCMCI,
	/* AMD: machine-check thresholds, deferred errors, IBS */
	APIC_EILVT(0), APIC_EILVT(1), APIC_EILVT(2), APIC_EILVT(3),
};

/* Does this CPU have LVT entry @reg?  SDM vol. 3A 11.5.1, APM vol. 2 ch. 16 */
static bool hpvm_has_lvt(u16 reg)
{
	unsigned int maxlvt = GET_APIC_MAXLVT(apic_read(APIC_LVR));

	switch (reg) {
	case APIC_LVTPC:
		return maxlvt >= 4;
	case APIC_LVTTHMR:
		return maxlvt >= 5;
	case APIC_LVTCMCI:
		return maxlvt >= 6;
	case APIC_EILVT(0):
	case APIC_EILVT(1):
	case APIC_EILVT(2):
	case APIC_EILVT(3):
		return boot_cpu_has(X86_FEATURE_EXTAPIC) &&
		       (reg - APIC_EILVT(0)) >> 4 < ((apic_read(APIC_EFEAT) >> 16) & 0xff);
	default:
		return true;
	}
}

/* NMI and SMI don't go through an IDT that could be the guest's. */
static bool hpvm_lvt_stays(u32 lvt)
{
	u32 mode = lvt & APIC_DM_FIXED_MASK;

	return mode == APIC_DM_NMI || mode == APIC_DM_SMI;
}

/*
 * On the CPU, IRQs off.  From the first line on, IPIs of the host arrive as
 * NMIs.
 */
static void hpvm_cpu_enter(void *data)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	unsigned int i;

	hpvm_ipi_dedicate(true);

	for (i = 0; i < ARRAY_SIZE(hpvm_lvts); i++) {
		if (!hpvm_has_lvt(hpvm_lvts[i]))
			continue;
		p->lvt[i] = apic_read(hpvm_lvts[i]);
		if (!hpvm_lvt_stays(p->lvt[i]))
			apic_write(hpvm_lvts[i], p->lvt[i] | APIC_LVT_MASKED);
	}
	hpvm_set_spurious_vector(HPVM_SPURIOUS_VECTOR);
}

static void hpvm_cpu_exit(void *data)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	unsigned int i;
	u8 vector;

	/* Errors that the guest caused are not the host's to report. */
	apic_write(APIC_ESR, 0);
	for (i = 0; i < ARRAY_SIZE(hpvm_lvts); i++)
		if (hpvm_has_lvt(hpvm_lvts[i]))
			apic_write(hpvm_lvts[i], p->lvt[i]);
	hpvm_set_spurious_vector(SPURIOUS_APIC_VECTOR);

	hpvm_ipi_dedicate(false);

	/*
	 * Machine-check interrupts: a counter of AMD's that ran over while its own was
	 * masked raises no other until the handler has reset it.
	 */
	for (i = 0; i < ARRAY_SIZE(hpvm_lvts); i++) {
		if (!hpvm_has_lvt(hpvm_lvts[i]) || p->lvt[i] & APIC_LVT_MASKED)
			continue;
		vector = p->lvt[i] & APIC_VECTOR_MASK;
		if (vector == THRESHOLD_APIC_VECTOR || vector == DEFERRED_ERROR_VECTOR)
			__apic_send_IPI_self(vector);
	}
}

static bool hpvm_no_guest(void)
{
	return false;
}

/* On the CPU, IRQs off, last of all: no source of the guest may be left. */
static void hpvm_cpu_quiesce_lapic(void *data)
{
	DECLARE_BITMAP(seen, NR_VECTORS) = {};

	/* No doorbell while the drain would swallow it; one is rung afterwards. */
	hpvm_force_exit_set(hpvm_no_guest);
	apic_write(APIC_LVTT, apic_read(APIC_LVTT) | APIC_LVT_MASKED);
	if (boot_cpu_has(X86_FEATURE_TSC_DEADLINE_TIMER))
		wrmsrl(MSR_IA32_TSC_DEADLINE, 0);
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_TASKPRI, 0);
	hpvm_window_drain(seen, NR_VECTORS);
	apic_write(APIC_TASKPRI, 0x10);
	atomic_set(this_cpu_ptr(&hpvm_pcpu.rung), 0);
	hpvm_force_exit_clear(NULL, NULL);
}

static void hpvm_cpu_run_work(void *data)
{
	hpvm_doorbell();
	/* None is on its way any more; the next unknown NMI isn't ours. */
	this_cpu_write(hpvm_pcpu.nmi_claimed,
		       atomic_read(this_cpu_ptr(&hpvm_pcpu.nmi_sent)));
}

/* The last dedicated CPU is gone: IPIs are the apic driver's again. */
static void hpvm_ipi_put(void)
{
	if (!cpumask_empty(&hpvm_cpus))
		return;
	hpvm_ipi_disable();
	static_branch_disable(&hpvm_stray_key);
	/* Until here a doorbell may have been on its way. */
	synchronize_rcu();
	x86_platform_ipi_callback = NULL;
}

/* Under cpus_read_lock().  Does the host have a CPU for itself without @cpu? */
static bool hpvm_host_has_another(unsigned int cpu)
{
	unsigned int hk;

	for_each_online_cpu(hk)
		if (hk != cpu && !cpumask_test_cpu(hk, &hpvm_cpus) &&
		    housekeeping_cpu(hk, HK_TYPE_TIMER) &&
		    housekeeping_cpu(hk, HK_TYPE_TICK) &&
		    housekeeping_cpu(hk, HK_TYPE_DOMAIN))
			return true;
	return false;
}

static void hpvm_cpu_unreserve(unsigned int cpu)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	put_pid(p->holder);
	p->holder = NULL;
	cpumask_clear_cpu(cpu, &hpvm_cpus);
}

/* With hpvm_mutex held.  May the CPUs be taken?  They can't go offline afterwards. */
static int hpvm_cpus_reserve(const struct cpumask *cpus, struct pid *holder,
			     unsigned int *failed)
{
	unsigned int cpu, reserved;
	int r = 0;

	cpus_read_lock();
	for_each_cpu(cpu, cpus) {
		if (!cpu_possible(cpu))
			r = -EINVAL;
		else if (!cpu_online(cpu))
			r = -ENODEV;
		else if (cpumask_test_cpu(cpu, &hpvm_cpus))
			r = -EBUSY;
		else if (!hpvm_host_has_another(cpu))
			r = -ENOSPC;
		if (r)
			break;
		cpumask_set_cpu(cpu, &hpvm_cpus);
		per_cpu(hpvm_pcpu.holder, cpu) = get_pid(holder);
	}
	cpus_read_unlock();
	if (!r)
		return 0;

	*failed = cpu;
	for_each_cpu(reserved, cpus) {
		if (reserved == cpu)
			break;
		hpvm_cpu_unreserve(reserved);
	}
	return r;
}

/**
 * hpvm_cpus_take - make CPUs dedicated, all of them or none
 * @cpus:	Linux CPU numbers, one at least
 * @holder:	to whom; a reference is taken for each
 * @failed:	after an error, the CPU that it's about
 *
 * Waits for CPUs that are being given back.  Process context, may sleep.  Returns 0, or
 * -EINVAL	no such CPU
 * -ENODEV	the CPU is offline
 * -EBUSY	it's dedicated already
 * -ENOSPC	it's the last one that the host has for itself
 * -ENOTEMPTY	device interrupts that can't be moved target it; the log names them
 * -ENOMEM
 * -EOPNOTSUPP	hpvm_cpu_supported() is false
 */
int hpvm_cpus_take(const struct cpumask *cpus, struct pid *holder, unsigned int *failed)
{
	unsigned int cpu;
	int r;

	*failed = cpumask_first(cpus);
	if (!hpvm_cpu_supported())
		return -EOPNOTSUPP;

	hpvm_cpus_given();
	mutex_lock(&hpvm_mutex);
	/* Not under cpus_read_lock(): patching static calls takes it. */
	if (cpumask_empty(&hpvm_cpus)) {
		x86_platform_ipi_callback = hpvm_doorbell;
		hpvm_ipi_enable();
		static_branch_enable(&hpvm_stray_key);
	}

	r = hpvm_cpus_reserve(cpus, holder, failed);
	if (r)
		goto out;
	r = hpvm_isolate(cpus, failed);
	if (r) {
		for_each_cpu(cpu, cpus)
			hpvm_cpu_unreserve(cpu);
		goto out;
	}
	hpvm_clock_take(cpus);
	on_each_cpu_mask(cpus, hpvm_cpu_enter, NULL, true);
	hpvm_mce_take(cpus);
	/* Senders that had looked at ->dedicated before are done after this. */
	synchronize_rcu();
	for_each_cpu(cpu, cpus)
		hpvm_status_add(cpu);
out:
	hpvm_ipi_put();
	mutex_unlock(&hpvm_mutex);
	return r;
}
EXPORT_SYMBOL_GPL(hpvm_cpus_take);

/* With hpvm_mutex held. */
static void hpvm_give(const struct cpumask *cpus)
{
	unsigned int cpu;

	for_each_cpu(cpu, cpus)
		hpvm_status_remove(cpu);

	on_each_cpu_mask(cpus, hpvm_cpu_quiesce_lapic, NULL, true);
	hpvm_clock_give(cpus);
	on_each_cpu_mask(cpus, hpvm_cpu_exit, NULL, true);
	hpvm_mce_give(cpus);
	/* Who saw the CPUs dedicated has raised its work; that must still be done. */
	synchronize_rcu();
	hpvm_clock_given(cpus);
	on_each_cpu_mask(cpus, hpvm_cpu_run_work, NULL, true);

	hpvm_unisolate(cpus);
	for_each_cpu(cpu, cpus)
		hpvm_cpu_unreserve(cpu);
	hpvm_ipi_put();
}

/* CPUs to be given back; any context. */
static struct cpumask hpvm_giving;

static void hpvm_give_work(struct work_struct *work)
{
	static struct cpumask cpus;
	unsigned int cpu;

	mutex_lock(&hpvm_mutex);
	cpumask_clear(&cpus);
	/* For one that is added from here on the work is queued again. */
	for_each_cpu(cpu, &hpvm_giving)
		if (cpumask_test_and_clear_cpu(cpu, &hpvm_giving))
			cpumask_set_cpu(cpu, &cpus);
	if (!cpumask_empty(&cpus))
		hpvm_give(&cpus);
	mutex_unlock(&hpvm_mutex);
}

static DECLARE_DELAYED_WORK(hpvm_giver, hpvm_give_work);

/**
 * hpvm_cpu_give - make a dedicated CPU an ordinary one again, soon
 * @cpu:	a CPU that hpvm_cpus_take() took
 *
 * Not at once, so that the CPUs of a VM that ends go back in one pass: in a tenth of a
 * second, or when somebody waits for it in hpvm_cpus_given().  The vCPU doesn't run any
 * more.
 */
void hpvm_cpu_give(unsigned int cpu)
{
	cpumask_set_cpu(cpu, &hpvm_giving);
	queue_delayed_work(system_unbound_wq, &hpvm_giver, HZ / 10);
}
EXPORT_SYMBOL_GPL(hpvm_cpu_give);

/* Wait until all CPUs that were given back are the host's.  May sleep. */
void hpvm_cpus_given(void)
{
	flush_delayed_work(&hpvm_giver);
}
EXPORT_SYMBOL_GPL(hpvm_cpus_given);

/* The dedicated CPU is somebody else's from now on.  May sleep. */
void hpvm_cpu_set_holder(unsigned int cpu, struct pid *holder)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	mutex_lock(&hpvm_mutex);
	put_pid(p->holder);
	p->holder = get_pid(holder);
	mutex_unlock(&hpvm_mutex);
}
EXPORT_SYMBOL_GPL(hpvm_cpu_set_holder);

/* Returns a reference to the holder, or NULL.  May sleep. */
struct pid *hpvm_cpu_get_holder(unsigned int cpu)
{
	struct pid *pid;

	mutex_lock(&hpvm_mutex);
	pid = get_pid(per_cpu(hpvm_pcpu.holder, cpu));
	mutex_unlock(&hpvm_mutex);
	return pid;
}
EXPORT_SYMBOL_GPL(hpvm_cpu_get_holder);

/*
 * Can this host dedicate CPUs?  A host without x2APIC has no MSRs to give to a
 * guest; with FRED, interrupts have no IDT vectors; and the doorbell's vector
 * must be free.
 */
bool hpvm_cpu_supported(void)
{
	return hpvm_ready && x2apic_enabled() &&
	       !cpu_feature_enabled(X86_FEATURE_FRED) &&
	       (!x86_platform_ipi_callback ||
		x86_platform_ipi_callback == hpvm_doorbell);
}
EXPORT_SYMBOL_GPL(hpvm_cpu_supported);

/*
 * Is @cpu in the cpuset of one of the caller's threads?  A manager may give the vCPUs'
 * threads groups of their own, so that the CPU isn't in that of the thread that asks.
 * May sleep.
 */
bool hpvm_cpu_in_cpuset(unsigned int cpu)
{
	struct task_struct *thread;
	cpumask_var_t allowed;
	bool in = false;

	if (!alloc_cpumask_var(&allowed, GFP_KERNEL))
		return false;
	rcu_read_lock();
	for_each_thread(current, thread) {
		cpuset_cpus_allowed(thread, allowed);
		in = cpumask_test_cpu(cpu, allowed);
		if (in)
			break;
	}
	rcu_read_unlock();
	free_cpumask_var(allowed);
	return in;
}
EXPORT_SYMBOL_GPL(hpvm_cpu_in_cpuset);

/*
 * A CPU that is a guest's can't go offline: its vCPU has nowhere to run.  Under
 * cpus_write_lock(), so that it isn't being reserved.
 */
static int hpvm_cpu_offline(unsigned int cpu)
{
	if (cpumask_test_cpu(cpu, &hpvm_cpus))
		return -EBUSY;
	return tick_hand_over(cpu);
}

/* Dedicated CPUs can't be suspended with the others.  Say so before it begins. */
static int hpvm_pm_notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	if (event != PM_SUSPEND_PREPARE && event != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	hpvm_cpus_given();
	if (cpumask_empty(&hpvm_cpus))
		return NOTIFY_DONE;
	pr_err("can't suspend: CPUs %*pbl are dedicated to guests\n",
	       cpumask_pr_args(&hpvm_cpus));
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block hpvm_pm_notifier = { .notifier_call = hpvm_pm_notify };

static int __init hpvm_cpu_init(void)
{
	int r;

	r = hpvm_window_init();
	if (r)
		return r;
	r = hpvm_ipi_init();
	if (r)
		return r;
	r = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "x86/hpvm:online",
				      NULL, hpvm_cpu_offline);
	if (r < 0)
		return r;
	r = register_pm_notifier(&hpvm_pm_notifier);
	if (r)
		return r;
	hpvm_apic_timer_measure();
	hpvm_status_init();
	hpvm_ready = true;
	return 0;
}
late_initcall(hpvm_cpu_init);
