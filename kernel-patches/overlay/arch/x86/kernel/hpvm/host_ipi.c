// SPDX-License-Identifier: GPL-2.0-only
/*
 * IPIs of the host to dedicated CPUs.
 *
 * A fixed-vector IPI would enter the guest.  The apic's send functions are
 * therefore replaced (by static call, only while some CPU is dedicated): for a
 * dedicated CPU they set a bit in its mask of pending work and send an NMI.
 *
 * On the dedicated CPU the NMI does nothing but pass the work on:
 *
 * - in the host, it rings the doorbell: a self-IPI of a vector of the host's,
 *   whose handler runs the work in interrupt context once IRQs are on;
 * - between the last check for pending work and the VM exit (force_exit is set),
 *   a doorbell would be delivered to the guest; instead, an exit is forced, and
 *   hpvm_force_exit_clear() rings.  An NMI in guest mode exits by itself.
 *
 * The doorbell is the vector that the kernel keeps for platforms.  While a vCPU stays
 * ordinary, an interrupt of the host exits from its guest as from any other: then others
 * ring it, with no NMI before it (hpvm_accept_irqs()).
 *
 * Work that a CPU notices too late is a fault, of which the guest's owner is told.  Once a
 * second a CPU that has some left is sent another NMI.
 */
#define pr_fmt(fmt) "hpvm: " fmt

#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/hardirq.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/processor.h>
#include <linux/sched.h>
#include <linux/timer.h>
#include <linux/uaccess.h>

#include <asm/apic.h>
#include <asm/hpvm.h>
#include <asm/irq.h>
#include <asm/irq_regs.h>
#include <asm/msr.h>
#include <asm/nmi.h>
#include <asm/ptrace.h>
#include <asm/reboot.h>

DEFINE_PER_CPU_ALIGNED(struct hpvm_pcpu, hpvm_pcpu);
EXPORT_PER_CPU_SYMBOL_GPL(hpvm_pcpu);

/* hpvm_pcpu.dedicated of all CPUs; each changes its own bit. */
static struct cpumask hpvm_nmi_cpus;

/* The CPUs that an IPI goes to as it is; used with IRQs off. */
static DEFINE_PER_CPU(struct cpumask, hpvm_ipi_mask);

/* NMI-safe; IRQs in any state; on the dedicated CPU, in the host. */
static void hpvm_ring(struct hpvm_pcpu *p)
{
	/* Before the self-IPI, so that rung == 0 means: not in the IRR. */
	if (!atomic_xchg(&p->rung, 1))
		hpvm_x2apic_write(APIC_SELF_IPI, X86_PLATFORM_IPI_VECTOR);
}

/* NMI-safe.  It's on its own CPU that @p is looked at: that's out of its guest. */
static void hpvm_take_time(struct hpvm_pcpu *p)
{
	u64 at = READ_ONCE(p->raised_at);

	/* Work without a time is noticed, too: see hpvm_kicked(). */
	if (!p->noticed_after)
		p->noticed_after = at ? max_t(s64, ktime_get_mono_fast_ns() - at, 1) : 1;
}

/* NMI-safe.  Get pending work done: out of the guest, or by the doorbell. */
static void hpvm_notice(struct hpvm_pcpu *p)
{
	hpvm_take_time(p);
	/* Only this CPU changes it, with IRQs off and not in NMI context. */
	if (!p->force_exit)
		hpvm_ring(p);
	else if (p->force_exit())
		p->nmi_window++;
}

/* See hpvm_nmi(). */
static void hpvm_send_nmi(unsigned int cpu, struct hpvm_pcpu *p)
{
	atomic_inc(&p->nmi_sent);
	apic->send_IPI(cpu, NMI_VECTOR);
	atomic_inc(&p->nmi_gone);
}

/*
 * May interrupts be sent to a dedicated CPU?  Preemption off until hpvm_end_irq().  Pairs
 * with hpvm_refuse_irqs(), which waits for who has seen that they may.
 */
static bool hpvm_begin_irq(struct hpvm_pcpu *p)
{
	atomic_inc(&p->sending);
	/* Pairs with that in hpvm_refuse_irqs(): one of the two sees the other's. */
	smp_mb__after_atomic();
	/* Pairs with hpvm_accept_irqs(). */
	return smp_load_acquire(&p->irqs);
}

static void hpvm_end_irq(struct hpvm_pcpu *p)
{
	/* The interrupt is sent before it isn't seen to be any more. */
	smp_mb__before_atomic();
	atomic_dec(&p->sending);
}

/* From another CPU, IRQs off.  False: it may not, and an NMI has to be sent. */
static bool hpvm_ring_remote(unsigned int cpu, struct hpvm_pcpu *p)
{
	bool may = hpvm_begin_irq(p);

	/* The work's bit is set: if it has been rung, the handler is yet to look at it. */
	if (may && !atomic_xchg(&p->rung, 1))
		apic->send_IPI(cpu, X86_PLATFORM_IPI_VECTOR);
	hpvm_end_irq(p);
	return may;
}

/* A vCPU that is held ordinary takes it without an exit. */
static bool hpvm_post(unsigned int cpu)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);
	bool may;

	guard(preempt)();
	may = hpvm_begin_irq(p) && READ_ONCE(p->posted);
	if (may)
		apic->send_IPI(cpu, POSTED_INTR_VECTOR);
	hpvm_end_irq(p);
	return may;
}

/**
 * hpvm_refuse_irqs - the host's interrupts may not be sent to a dedicated CPU any more
 * @cpu:	the CPU
 *
 * NMIs are, instead.  When it returns, none is on its way but a doorbell that
 * hpvm_work_pending() knows of: either hpvm_begin_irq() sees the flag cleared, or
 * ->sending is seen here until its interrupt is sent; and that takes far less to arrive
 * than the delay.  Process context.
 */
void hpvm_refuse_irqs(unsigned int cpu)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	if (!p->irqs)
		return;
	WRITE_ONCE(p->irqs, false);
	/* Pairs with that in hpvm_begin_irq(). */
	smp_mb();
	while (atomic_read(&p->sending))
		cpu_relax();
	udelay(9);
	/* Only now, or the last one would be taken for the guest's. */
	WRITE_ONCE(p->posted, false);
}
EXPORT_SYMBOL_GPL(hpvm_refuse_irqs);

/**
 * hpvm_accept_irqs - interrupts of the host's may be sent to a dedicated CPU
 * @cpu:	the CPU
 * @posted:	notifications of posted interrupts, too; that vector is the host's then
 *
 * Its vCPU has external-interrupt exiting (and posted interrupts), and keeps them until
 * hpvm_refuse_irqs().  Process context.
 */
void hpvm_accept_irqs(unsigned int cpu, bool posted)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	if (p->irqs && p->posted == posted)
		return;
	hpvm_refuse_irqs(cpu);
	WRITE_ONCE(p->posted, posted);
	/* Nobody sends one before the CPU knows whose it is; see hpvm_begin_irq(). */
	smp_store_release(&p->irqs, true);
}
EXPORT_SYMBOL_GPL(hpvm_accept_irqs);

/**
 * hpvm_raise - give a dedicated CPU work of the host
 * @cpu:	the CPU; may be this one
 * @work:	what to do there, in interrupt context
 *
 * Any context, NMI included.
 */
void hpvm_raise(unsigned int cpu, enum hpvm_work work)
{
	struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	/* An interrupt between its time and the NMI would make it late. */
	guard(irqsave)();
	/* Before its bit: see hpvm_doorbell().  It's NMIs that may come too late. */
	if (!READ_ONCE(p->irqs) && !READ_ONCE(p->raised_at))
		cmpxchg(&p->raised_at, 0, ktime_get_mono_fast_ns());
	/* Fully ordered: the work's data is visible before its bit. */
	if (atomic_fetch_or(BIT(work), &p->pending))
		return;		/* its NMI or doorbell is under way */

	if (cpu == raw_smp_processor_id()) {
		hpvm_notice(p);
	} else if (IS_ENABLED(CONFIG_KVM_HPVM_KUNIT_TEST) && xchg(&p->lose_nmi, false)) {
		return;
	} else if (!hpvm_ring_remote(cpu, p)) {
		atomic_inc(&p->nmis_sent[work]);
		hpvm_send_nmi(cpu, p);
	}
}

/* Work that is older than this should have been done. */
#define HPVM_OVERDUE_NS		(10 * NSEC_PER_MSEC)

static void hpvm_look_after(struct timer_list *timer)
{
	struct hpvm_pcpu *p;
	unsigned int cpu;
	u64 now, at;
	s64 age;

	for_each_cpu(cpu, &hpvm_nmi_cpus) {
		p = per_cpu_ptr(&hpvm_pcpu, cpu);
		if (!atomic_read(&p->pending))
			continue;
		now = ktime_get_mono_fast_ns();
		/* Work without a time, see hpvm_doorbell(), has one from here on. */
		at = cmpxchg(&p->raised_at, 0, now);
		if (!at && !atomic_read(&p->pending))
			cmpxchg(&p->raised_at, now, 0);	/* it was done just now */
		age = at ? now - at : 0;
		if (age > (s64)HPVM_OVERDUE_NS)
			hpvm_send_nmi(cpu, p);
		if (age > (s64)NSEC_PER_SEC)
			pr_warn_ratelimited("CPU %u hasn't come to the host's work 0x%x for %lld ms\n",
					    cpu, atomic_read(&p->pending),
					    age / NSEC_PER_MSEC);
	}
	mod_timer(timer, jiffies + HZ);
}

static DEFINE_TIMER(hpvm_looker, hpvm_look_after);

static void hpvm_raise_vector(unsigned int cpu, int vector)
{
	switch (vector) {
	case RESCHEDULE_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_RESCHEDULE);
		break;
	case CALL_FUNCTION_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_CALL_FUNCTION);
		break;
	case CALL_FUNCTION_SINGLE_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_CALL_FUNCTION_SINGLE);
		break;
	case IRQ_WORK_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_IRQ_WORK);
		break;
	case LOCAL_TIMER_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_TIMER);
		break;
	case REBOOT_VECTOR:
		hpvm_raise(cpu, HPVM_WORK_REBOOT);
		break;
	case POSTED_INTR_VECTOR:
		if (hpvm_post(cpu))
			break;
		fallthrough;
	case POSTED_INTR_NESTED_VECTOR:
		/*
		 * To a vCPU in guest mode: an exit is all that they ask for.  (The one
		 * that wakes vCPUs up isn't sent here; see kvm/vmx/hpvm_pi.c.)
		 */
		hpvm_raise(cpu, HPVM_WORK_RESCHEDULE);
		break;
	default:
		/* It would be the guest's.  This host has an IPI that's new to us. */
		WARN_ONCE(1, "no work for vector %#x", vector);
		break;
	}
}

static void hpvm_send_IPI(int cpu, int vector)
{
	if (vector != NMI_VECTOR && hpvm_cpu_dedicated(cpu))
		hpvm_raise_vector(cpu, vector);
	else
		apic->send_IPI(cpu, vector);
}

/*
 * To the CPUs of @mask but @but.  Those that aren't dedicated get it as the driver
 * sends it, in one ICR write a cluster; no shorthand, which would reach all.
 */
static void hpvm_send(const struct cpumask *mask, unsigned int but, int vector)
{
	struct cpumask *others;
	unsigned long flags;
	unsigned int cpu;

	local_irq_save(flags);
	others = this_cpu_ptr(&hpvm_ipi_mask);
	/* Looked at once: a CPU that begins or ends to be dedicated is in one of the two. */
	cpumask_andnot(others, mask, &hpvm_nmi_cpus);
	for_each_cpu_andnot(cpu, mask, others)
		if (cpu != but)
			hpvm_raise_vector(cpu, vector);
	if (but < nr_cpu_ids)
		__cpumask_clear_cpu(but, others);
	if (!cpumask_empty(others))
		apic->send_IPI_mask(others, vector);
	local_irq_restore(flags);
}

/* NMIs are what they are on all CPUs. */
static void hpvm_send_IPI_mask(const struct cpumask *mask, int vector)
{
	if (vector == NMI_VECTOR)
		apic->send_IPI_mask(mask, vector);
	else
		hpvm_send(mask, nr_cpu_ids, vector);
}

static void hpvm_send_IPI_mask_allbutself(const struct cpumask *mask, int vector)
{
	if (vector == NMI_VECTOR)
		apic->send_IPI_mask_allbutself(mask, vector);
	else
		hpvm_send(mask, raw_smp_processor_id(), vector);
}

static void hpvm_send_IPI_allbutself(int vector)
{
	if (vector == NMI_VECTOR)
		apic->send_IPI_allbutself(vector);
	else
		hpvm_send(cpu_online_mask, raw_smp_processor_id(), vector);
}

static void hpvm_send_IPI_all(int vector)
{
	if (vector == NMI_VECTOR)
		apic->send_IPI_all(vector);
	else
		hpvm_send(cpu_online_mask, nr_cpu_ids, vector);
}

static void hpvm_send_IPI_self(int vector)
{
	unsigned int cpu = raw_smp_processor_id();

	if (hpvm_cpu_dedicated(cpu))
		hpvm_raise_vector(cpu, vector);
	else
		apic->send_IPI_self(vector);
}

/*
 * From here on IPIs of the host to this CPU are NMIs, or aren't any more.  IRQs off.
 * Senders that have looked before are done after an RCU grace period.
 */
void hpvm_ipi_dedicate(bool dedicate)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);

	cpumask_assign_cpu(smp_processor_id(), &hpvm_nmi_cpus, dedicate);
	WRITE_ONCE(p->dedicated, dedicate);
	WRITE_ONCE(p->raised_at, 0);
	p->noticed_after = 0;
	p->nmi_early = 0;
}

/* May sleep.  Only the static calls change; struct apic is read-only. */
void hpvm_ipi_enable(void)
{
	static_call_update(apic_call_send_IPI, hpvm_send_IPI);
	static_call_update(apic_call_send_IPI_mask, hpvm_send_IPI_mask);
	static_call_update(apic_call_send_IPI_mask_allbutself,
			   hpvm_send_IPI_mask_allbutself);
	static_call_update(apic_call_send_IPI_allbutself, hpvm_send_IPI_allbutself);
	static_call_update(apic_call_send_IPI_all, hpvm_send_IPI_all);
	static_call_update(apic_call_send_IPI_self, hpvm_send_IPI_self);
	mod_timer(&hpvm_looker, jiffies + HZ);
}

void hpvm_ipi_disable(void)
{
	timer_delete_sync(&hpvm_looker);
	static_call_update(apic_call_send_IPI, apic->send_IPI);
	static_call_update(apic_call_send_IPI_mask, apic->send_IPI_mask);
	static_call_update(apic_call_send_IPI_mask_allbutself,
			   apic->send_IPI_mask_allbutself);
	static_call_update(apic_call_send_IPI_allbutself, apic->send_IPI_allbutself);
	static_call_update(apic_call_send_IPI_all, apic->send_IPI_all);
	static_call_update(apic_call_send_IPI_self, apic->send_IPI_self);
}

/*
 * Claim no more NMIs than were sent, or a real unknown NMI would be hidden.  The
 * hardware may merge two of ours into one; those can't be told from ones still
 * on their way, of which each other CPU has at most one.
 *
 * Another's NMI, as of a performance counter, may come between a sender's count and
 * its ICR write, and is taken for ours.  Then ours is unknown when it comes: as many
 * claims as were ahead of what had gone may come again.  (An NMI may be here before
 * its sender has counted it as gone.  Then an unknown one is hidden, once.)
 */
static int hpvm_nmi(unsigned int cmd, struct pt_regs *regs)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	unsigned int lag = atomic_read(&p->nmi_sent) - p->nmi_claimed;
	int early;

	if (!lag) {
		if (!p->nmi_early)
			return NMI_DONE;
		p->nmi_early--;
		return NMI_HANDLED;
	}

	p->nmi_claimed += max(1U, lag - min(lag, num_online_cpus()));
	early = p->nmi_claimed - atomic_read(&p->nmi_gone);
	if (early > 0)
		p->nmi_early = early;

	if (atomic_read(&p->pending))
		hpvm_notice(p);
	return NMI_HANDLED;
}

/*
 * Each handler of unknown NMIs was asked (watchdogs, debuggers), and none has claimed this
 * one.  NMI context.
 */
void hpvm_unclaimed_nmi(void)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);

	if (p->ops)
		p->ops->unclaimed_nmi(p->guest);
}

/*
 * The idle loop's STI lets an interrupt in only after the HLT or MWAIT behind it, which
 * that ends.  An NMI may come between the two (SDM vol. 2B, STI), and then the doorbell
 * that it rings does, too: the CPU would wait, whatever the work has woken.  Both may end
 * at any time; end them.
 */
static void hpvm_end_wait(struct pt_regs *regs)
{
	static const u8 hlt[] = { 0xf4 }, mwait[] = { 0x0f, 0x01, 0xc9 };
	u8 opcode[sizeof(mwait)];

	if (!regs || user_mode(regs) ||
	    copy_from_kernel_nofault(opcode, (void *)regs->ip, sizeof(opcode)))
		return;
	if (!memcmp(opcode, hlt, sizeof(hlt)))
		regs->ip += sizeof(hlt);
	else if (!memcmp(opcode, mwait, sizeof(mwait)))
		regs->ip += sizeof(mwait);
}

/* The doorbell's handler: in interrupt context, IRQs off, EOI'd. */
void hpvm_doorbell(void)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	u64 raised_at, noticed_after;
	unsigned long work;

	hpvm_end_wait(get_irq_regs());
	/*
	 * Before the work is taken: who sets a bit and finds that it has been rung has done
	 * both before the next line.
	 */
	atomic_set(&p->rung, 0);
	work = atomic_xchg(&p->pending, 0);
	/*
	 * After it, so that the time of work that was done isn't left to be taken for that of
	 * work to come.  What was raised between the two has no time, or a later one than its
	 * own, and is never said to be late when it isn't.
	 */
	raised_at = xchg(&p->raised_at, 0);
	noticed_after = xchg(&p->noticed_after, 0);
	if (raised_at && noticed_after && p->ops)
		p->ops->noticed(p->guest, noticed_after);

	if (work & BIT(HPVM_WORK_RESCHEDULE))
		scheduler_ipi();
	if (work & BIT(HPVM_WORK_CALL_FUNCTION))
		generic_smp_call_function_interrupt();
	else if (work & BIT(HPVM_WORK_CALL_FUNCTION_SINGLE))
		generic_smp_call_function_single_interrupt();
	if (work & BIT(HPVM_WORK_IRQ_WORK))
		irq_work_run();
	if (work & BIT(HPVM_WORK_TIMER))
		hpvm_clock_event(&p->clock);
	if (work & BIT(HPVM_WORK_REBOOT)) {
		cpu_emergency_disable_virtualization();
		stop_this_cpu(NULL);
	}
}

/*
 * The doorbell was rung by another CPU, and for an exit, which it was: all that is left to
 * do is what sysvec_reschedule_ipi() does, at no more cost.  False: hpvm_doorbell() it is.
 * IRQs off, in the entry of the interrupt, before its EOI.
 *
 * Not if an NMI was before it (->noticed_after), which may have to end a wait.
 */
bool hpvm_kicked(struct hpvm_pcpu *p)
{
	const int kick = BIT(HPVM_WORK_RESCHEDULE);

	if (!READ_ONCE(p->irqs) || p->noticed_after || atomic_read(&p->pending) != kick)
		return false;
	hpvm_x2apic_write(APIC_EOI, 0);
	inc_irq_stat(x86_platform_ipis);
	/* As in hpvm_doorbell(). */
	atomic_set(&p->rung, 0);
	if (atomic_cmpxchg(&p->pending, kick, 0) == kick) {
		/* In this order, as in hpvm_doorbell(): an NMI may come. */
		WRITE_ONCE(p->raised_at, 0);
		WRITE_ONCE(p->noticed_after, 0);
		scheduler_ipi();
	} else {
		hpvm_ring(p);
	}
	return true;
}

/**
 * hpvm_force_exit_set - from now on the doorbell must not ring
 * @force_exit:	makes the next (or this) VM entry exit at once; NMI-safe.  False if
 *		that wasn't needed
 *
 * IRQs off.  The caller checks hpvm_work_pending() after this.
 */
void hpvm_force_exit_set(bool (*force_exit)(void))
{
	this_cpu_write(hpvm_pcpu.force_exit, force_exit);
	barrier();
}
EXPORT_SYMBOL_GPL(hpvm_force_exit_set);

/**
 * hpvm_send_self_nmi - send this CPU an NMI that is claimed as ours
 *
 * For use with NMIs held back (SVM's GIF): it's there as soon as they aren't.
 */
void hpvm_send_self_nmi(void)
{
	hpvm_send_nmi(raw_smp_processor_id(), this_cpu_ptr(&hpvm_pcpu));
}
EXPORT_SYMBOL_GPL(hpvm_send_self_nmi);

/* For tests: an NMI that isn't counted. */
void hpvm_send_unclaimed_nmi(unsigned int cpu)
{
	apic->send_IPI(cpu, NMI_VECTOR);
}
EXPORT_SYMBOL_GPL(hpvm_send_unclaimed_nmi);

/* For tests: the next NMI for work of the host isn't sent to @cpu. */
void hpvm_lose_nmi(unsigned int cpu)
{
	WRITE_ONCE(per_cpu(hpvm_pcpu.lose_nmi, cpu), true);
}
EXPORT_SYMBOL_GPL(hpvm_lose_nmi);

/**
 * hpvm_force_exit_clear - the end of what hpvm_force_exit_set() began
 * @undo:	undoes what @force_exit has done, if it was called; or NULL
 * @vcpu:	passed to it
 *
 * IRQs off, after the guest's vectors were taken out of the local APIC.
 *
 * The racer is an NMI on this CPU, which looks at the pointer.  Before that's cleared
 * the NMI forces an exit, and @undo comes later.  Afterwards it rings the doorbell.  In
 * the other order one that came in between would leave an exit armed that nobody
 * undoes: the guest would be entered and left, without an instruction of its own, until
 * the next NMI with work.
 */
void hpvm_force_exit_clear(void (*undo)(struct kvm_vcpu *vcpu), struct kvm_vcpu *vcpu)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);

	WRITE_ONCE(p->force_exit, NULL);
	barrier();
	if (undo)
		undo(vcpu);
	if (atomic_read(&p->pending)) {
		hpvm_take_time(p);
		hpvm_ring(p);
	}
}
EXPORT_SYMBOL_GPL(hpvm_force_exit_clear);

int __init hpvm_ipi_init(void)
{
	return register_nmi_handler(NMI_LOCAL, hpvm_nmi, 0, "hpvm");
}
