// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notifications of posted interrupts stay off dedicated CPUs.
 *
 * Hardware sends them: VT-d for a device, and with IPI virtualization the CPU on
 * which another vCPU of the VM runs.  They are fixed interrupts with the vector
 * PID.NV for the local APIC PID.NDST, which KVM sets to where the vCPU was loaded
 * last.  On a CPU that has become another VM's such an interrupt would go through
 * that guest's IDT, and the vCPU that it's for would sleep on: while ON is set
 * nothing is sent any more.  So while a CPU is dedicated no descriptor names it:
 *
 * - What names it when it's taken gets another destination, and its vCPU is woken:
 *   vmx_hpvm_pi_cpus_taken().
 * - A vCPU that is loaded on a dedicated CPU (its thread may run nowhere else) is
 *   notified on a CPU of the host's from the beginning.  There the vector for
 *   vCPUs that run does nothing, so it has the wakeup vector while it runs, too, and
 *   is on a list of vCPUs to be kicked: vmx_hpvm_pi_load().
 *
 * VMs with the direct mode don't let hardware post; see vmx_can_use_ipiv() and
 * vmx_can_use_vtd_pi().
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/sched/isolation.h>
#include <linux/spinlock.h>

#include <asm/hpvm.h>
#include <asm/irq_vectors.h>
#include <asm/smp.h>

#include "../hpvm/direct.h"
#include "../irq.h"
#include "../lapic.h"
#include "hpvm_pi.h"
#include "posted_intr.h"
#include "vmx.h"

DEFINE_STATIC_KEY_FALSE(vmx_hpvm_pi_key);

/* The key's branches are patched everywhere. */
static bool ready;

/*
 * The vCPUs that are loaded, or blocked, on a dedicated CPU, by vcpu_vmx.hpvm_pi_link.
 * Each is put there and taken off by its own thread.  IRQs must be off when taking
 * this lock, as for wakeup_vcpus_on_cpu_lock.
 */
static LIST_HEAD(watched_vcpus);
static DEFINE_RAW_SPINLOCK(watched_lock);

int __vmx_hpvm_pi_cpu(int cpu)
{
	int hk;

	if (!hpvm_cpu_dedicated(cpu))
		return cpu;
	/*
	 * One that is taken just now has vmx_hpvm_pi_cpus_taken() look for what names
	 * it, after an RCU grace period that waits for the caller.
	 */
	for_each_cpu_and(hk, housekeeping_cpumask(HK_TYPE_TIMER), cpu_online_mask)
		if (!hpvm_cpu_dedicated(hk))
			return hk;
	/* The last one can't be taken. */
	WARN_ON_ONCE(1);
	return cpu;
}

static void watch(struct vcpu_vmx *vmx)
{
	scoped_guard(raw_spinlock_irqsave, &watched_lock)
		list_add_tail(&vmx->hpvm_pi_link, &watched_vcpus);
	vmx->hpvm_pi_watched = true;
	hpvm_pi_set_vector(&vmx->pi_desc, POSTED_INTR_WAKEUP_VECTOR);
}

static void unwatch(struct vcpu_vmx *vmx)
{
	if (!vmx->hpvm_pi_watched)
		return;
	hpvm_pi_set_vector(&vmx->pi_desc, POSTED_INTR_VECTOR);
	vmx->hpvm_pi_watched = false;
	scoped_guard(raw_spinlock_irqsave, &watched_lock)
		list_del(&vmx->hpvm_pi_link);
}

/* As vmx_vcpu_pi_load().  Preemption off. */
void __vmx_hpvm_pi_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct pi_desc *pi = &vmx->pi_desc;

	/* Before KVM looks at the vector: it's on no list of KVM's. */
	unwatch(vmx);
	vmx_vcpu_pi_load(vcpu, cpu);
	if (!enable_apicv || !lapic_in_kernel(vcpu))
		return;
	/*
	 * That may have left the destination as it was, because the vCPU was here
	 * last.  But this CPU may have been another VM's in between.
	 */
	hpvm_pi_retarget(pi, READ_ONCE(pi->ndst), cpu_physical_id(vmx_hpvm_pi_cpu(cpu)));

	/*
	 * What is posted before the vector changes notifies nobody, but has set ON,
	 * which is looked at before the guest is entered, and when the vCPU blocks.
	 */
	if (READ_ONCE(ready) && hpvm_cpu_dedicated(cpu) && !kvm_hpvm_vm(vcpu->kvm))
		watch(vmx);
}

/* As vmx_vcpu_pi_put().  Preemption off. */
void __vmx_hpvm_pi_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx->hpvm_pi_watched) {
		vmx_vcpu_pi_put(vcpu);
		return;
	}
	/* It has the wakeup vector while it runs, too: blocked, it stays so. */
	if (!kvm_vcpu_is_blocking(vcpu) || vmx_interrupt_blocked(vcpu))
		unwatch(vmx);
	/* See vmx_vcpu_pi_put(). */
	if (vcpu->preempted)
		pi_set_sn(&vmx->pi_desc);
}

/* The handler of the wakeup vector, on any CPU of the host's.  IRQs off. */
void __vmx_hpvm_pi_wakeup(void)
{
	struct vcpu_vmx *vmx;

	guard(raw_spinlock)(&watched_lock);
	list_for_each_entry(vmx, &watched_vcpus, hpvm_pi_link)
		if (pi_test_on(&vmx->pi_desc))
			kvm_vcpu_kick(&vmx->vcpu);
}

struct taken {
	const struct cpumask *cpus;
	bool found;
};

static void leave_cpus(struct kvm_vcpu *vcpu, void *data)
{
	struct pi_desc *pi = &to_vmx(vcpu)->pi_desc;
	struct taken *taken = data;
	unsigned int cpu;
	bool named;

	for_each_cpu(cpu, taken->cpus) {
		/* The CPU that is chosen may be taken now; see __vmx_hpvm_pi_cpu(). */
		scoped_guard(preempt)
			named = hpvm_pi_retarget(pi, cpu_physical_id(cpu),
						 cpu_physical_id(__vmx_hpvm_pi_cpu(cpu)));
		if (!named)
			continue;
		taken->found = true;
		/*
		 * The vCPU isn't loaded: what was loaded on that CPU has been put.
		 * If it's loaded elsewhere just now, vmx_vcpu_pi_load() has the last
		 * word about the destination: its cmpxchg comes later, or this one
		 * has failed.
		 *
		 * If it's blocked, it's on the list of a CPU that isn't notified any
		 * more.  So have its thread run.  That loads it, which takes it off
		 * the list, and then it looks at ON before it blocks again:
		 * - what was posted before the destination changed, or before it's
		 *   loaded, has set ON;
		 * - what is posted later notifies it where it's loaded.
		 */
		kvm_vcpu_wake_up(vcpu);
		return;
	}
}

/*
 * These CPUs have become dedicated, and an RCU grace period is over since: whoever
 * loads a vCPU there from now on sees it.  Before a guest has one of them: till then
 * the host's handlers are in force there.  Process context, may sleep.
 */
void vmx_hpvm_pi_cpus_taken(const struct cpumask *cpus)
{
	struct taken taken = { .cpus = cpus };
	unsigned int cpu;

	if (!enable_apicv)
		return;

	static_branch_enable(&vmx_hpvm_pi_key);
	WRITE_ONCE(ready, true);

	/* What is loaded there is put, and loaded again. */
	for_each_cpu(cpu, cpus)
		hpvm_switch_tasks(cpu);
	kvm_hpvm_visit_vcpus(leave_cpus, &taken);

	/* What was sent before is on its way: let it arrive, as fixup_irqs() does. */
	if (taken.found)
		usleep_range(1000, 2000);
}
