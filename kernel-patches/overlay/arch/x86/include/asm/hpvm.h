/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ASM_X86_HPVM_H
#define _ASM_X86_HPVM_H

/*
 * Dedicated CPUs: while a CPU is dedicated, every maskable interrupt that its
 * local APIC accepts is a guest's, and every event of the host reaches it as
 * an NMI (the doorbell, while its vCPU stays ordinary) plus a bit in a per-CPU
 * mask of pending work.  Three kinds of senders see to that: the host's IPIs
 * are replaced (host_ipi.c), devices' interrupts go elsewhere
 * (kernel/irq/dedicated.c), and so do the notifications that hardware sends for
 * posted interrupts of other VMs (kvm/vmx/hpvm_pi.c).
 */

#include <linux/bitmap.h>
#include <linux/clockchips.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/smp.h>
#include <linux/time64.h>

#include <asm/apicdef.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>

struct kvm_vcpu;

/* arch/x86/kernel/apic/vector.c: whether this CPU's vectors aren't for the host. */
void lapic_dedicate(bool dedicate);

#ifdef CONFIG_KVM_HPVM

/**
 * struct hpvm_clock - the host's clock event device of a dedicated CPU
 * @evt:	the device; set_next_ktime only
 * @timer:	runs on a housekeeping CPU and raises HPVM_WORK_TIMER
 * @csd:	asks the housekeeping CPU to start @timer
 * @expires:	the deadline @csd is to start @timer with
 * @asked:	@csd is on its way
 * @cpu:	the dedicated CPU
 * @events:	times that the host's timers were looked at
 * @c3stop:	CLOCK_EVT_FEAT_C3STOP, if the LAPIC's device has it
 */
struct hpvm_clock {
	struct clock_event_device	evt;
	struct hrtimer			timer;
	call_single_data_t		csd;
	ktime_t				expires;
	atomic_t			asked;
	unsigned int			cpu;
	unsigned long			events;
	unsigned int			c3stop;
};

/* The bits of the mask of pending work. */
enum hpvm_work {
	HPVM_WORK_RESCHEDULE,
	HPVM_WORK_CALL_FUNCTION,
	HPVM_WORK_CALL_FUNCTION_SINGLE,
	HPVM_WORK_IRQ_WORK,
	HPVM_WORK_TIMER,
	HPVM_WORK_REBOOT,
	HPVM_NR_WORK,
};

/**
 * struct hpvm_vcpu_status - what KVM says about the vCPU on a dedicated CPU
 * @id:		KVM's vCPU number
 * @direct:	in direct mode
 * @timer:	enum kvm_hpvm_timer_step
 * @reasons:	KVM_HPVM_REASON_*
 * @timer_reasons: KVM_HPVM_TIMER_REASON_*
 * @last_exit:	TSC when a direct guest was left last, other than by a fast path
 * @last_timer:	likewise, and its timer had fired or been armed anew since the time before
 * @sample:	somebody waits for what follows
 * @rip:	the guest's
 * @rflags:	likewise
 * @cpl:	likewise
 * @halted:	it sleeps in HLT or MWAIT, or is right behind one
 */
struct hpvm_vcpu_status {
	int	id;
	bool	direct;
	u8	timer;
	u64	reasons;
	u64	timer_reasons;
	u64	last_exit;
	u64	last_timer;
	bool	sample;
	unsigned long rip;
	unsigned long rflags;
	int	cpl;
	bool	halted;
};

/**
 * struct hpvm_guest_ops - what a dedicated CPU's guest is told
 * @stray:	an interrupt of the guest has arrived in the host, and had its EOI; in
 *		interrupt context
 * @unclaimed_nmi: there was an NMI that no handler has claimed; in NMI context
 * @noticed:	so long it took from the raising of work of the host until the CPU, out of
 *		its guest, noticed; in interrupt context
 */
struct hpvm_guest_ops {
	void (*stray)(void *guest, u8 vector);
	void (*unclaimed_nmi)(void *guest);
	void (*noticed)(void *guest, u64 ns);
};

/**
 * struct hpvm_pcpu - what the host keeps about a CPU
 * @dedicated:	IPIs of the host to this CPU are NMIs
 * @pending:	mask of HPVM_WORK_*, set by any CPU, consumed by the doorbell
 * @raised_at:	when, by ktime_get_mono_fast_ns(), the first of @pending was raised; 0: unknown
 * @noticed_after: so many ns later, or 1 if that's unknown, this CPU noticed; 0: not yet
 * @rung:	a doorbell is sent, or about to be, and hasn't been handled yet
 * @force_exit:	non-NULL from the last check for pending work until the VM exit
 *		was taken up: the way to get out of (or not into) the guest.  Runs
 *		in NMI context.
 * @nmi_sent:	NMIs sent for @pending, or about to be
 * @nmi_gone:	those of them whose ICR write is done
 * @nmis_sent:	the same by the work that was first
 * @nmi_claimed: NMIs taken for ours; never more than @nmi_sent
 * @nmi_early:	so many of these may have been another's: ours are still to come
 * @nmi_window:	NMIs between the last check and the VM entry
 * @holder:	who the CPU is dedicated to
 * @ops:	whom the guest's interrupts go to that arrive in the host, and what the
 *		host sees of the CPU; changed on it, with IRQs off
 * @guest:	for @ops
 * @lose_nmi:	for tests: don't send the next NMI
 * @irqs:	the vCPU exits by interrupts: others may ring the doorbell, and, if @posted, send
 *		notifications of posted interrupts
 * @posted:	one of these may come: its vector is the host's
 * @sending:	CPUs that are about to send either, or looking whether they may
 * @vcpu:	for the administrator
 * @lvt:	host's values of the LVT entries masked while dedicated
 */
struct hpvm_pcpu {
	bool			dedicated;
	atomic_t		pending;
	u64			raised_at;
	u64			noticed_after;
	atomic_t		rung;
	bool			(*force_exit)(void);
	atomic_t		nmi_sent;
	atomic_t		nmi_gone;
	atomic_t		nmis_sent[HPVM_NR_WORK];
	unsigned int		nmi_claimed;
	unsigned int		nmi_early;
	unsigned long		nmi_window;
	struct hpvm_clock	clock;
	struct pid		*holder;
	const struct hpvm_guest_ops *ops;
	void			*guest;
	bool			lose_nmi;
	bool			irqs;
	bool			posted;
	atomic_t		sending;
	struct hpvm_vcpu_status	vcpu;
	u32			lvt[10];
};

DECLARE_PER_CPU_ALIGNED(struct hpvm_pcpu, hpvm_pcpu);

/* Are IPIs of the host to @cpu NMIs?  Any context. */
static inline bool hpvm_cpu_dedicated(unsigned int cpu)
{
	return READ_ONCE(per_cpu(hpvm_pcpu.dedicated, cpu));
}

/* Registers of this CPU's local APIC, which is in x2APIC mode.  NMI-safe. */
static __always_inline u32 hpvm_x2apic_read(u32 reg)
{
	return __rdmsr(APIC_BASE_MSR + (reg >> 4));
}

static __always_inline void hpvm_x2apic_write(u32 reg, u32 val)
{
	__wrmsr(APIC_BASE_MSR + (reg >> 4), val, 0);
}

/*
 * The host's spurious vector on a dedicated CPU.  No interrupt can have it, so
 * none is taken for a spurious one (which isn't EOI'd, SDM vol. 3A 11.9); the
 * host's handler for it does nothing.
 */
#define HPVM_SPURIOUS_VECTOR	X86_TRAP_SPURIOUS

static inline void hpvm_set_spurious_vector(u8 vector)
{
	u32 spiv = hpvm_x2apic_read(APIC_SPIV);

	if ((spiv & APIC_VECTOR_MASK) != vector)
		hpvm_x2apic_write(APIC_SPIV, (spiv & ~APIC_VECTOR_MASK) | vector);
}

/* cpu.c: taking and giving back.  Process context, may sleep. */
int hpvm_cpus_take(const struct cpumask *cpus, struct pid *holder, unsigned int *failed);
void hpvm_cpu_give(unsigned int cpu);
void hpvm_cpus_given(void);
struct pid *hpvm_cpu_get_holder(unsigned int cpu);
void hpvm_cpu_set_holder(unsigned int cpu, struct pid *holder);
bool hpvm_cpu_in_cpuset(unsigned int cpu);
bool hpvm_cpu_supported(void);

/* host_ipi.c: host IPIs to a dedicated CPU. */
int hpvm_ipi_init(void);
void hpvm_ipi_enable(void);
void hpvm_ipi_disable(void);
void hpvm_ipi_dedicate(bool dedicate);
void hpvm_raise(unsigned int cpu, enum hpvm_work work);
void hpvm_accept_irqs(unsigned int cpu, bool posted);
void hpvm_refuse_irqs(unsigned int cpu);
void hpvm_doorbell(void);
bool hpvm_kicked(struct hpvm_pcpu *p);
void hpvm_unclaimed_nmi(void);
void hpvm_send_self_nmi(void);
void hpvm_send_unclaimed_nmi(unsigned int cpu);
void hpvm_lose_nmi(unsigned int cpu);
void hpvm_force_exit_set(bool (*force_exit)(void));
void hpvm_force_exit_clear(void (*undo)(struct kvm_vcpu *vcpu), struct kvm_vcpu *vcpu);

/*
 * Is there work of the host for this CPU?  IRQs off.  False means, too, that no
 * doorbell is pending in the local APIC.
 */
static __always_inline bool hpvm_work_pending(void)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);

	return atomic_read(&p->pending) || atomic_read(&p->rung);
}

/* apic.c: the LAPIC timer's clock event device of a CPU. */
struct clock_event_device *lapic_clock_event(unsigned int cpu);

/* clock.c: the host's clock event device of a dedicated CPU. */
void hpvm_clock_take(const struct cpumask *cpus);
void hpvm_clock_give(const struct cpumask *cpus);
void hpvm_clock_given(const struct cpumask *cpus);
void hpvm_clock_event(struct hpvm_clock *clock);

/* window.c: taking vectors out of the local APIC. */
int hpvm_window_init(void);
unsigned int hpvm_window_drain(unsigned long *seen, unsigned int limit);
bool hpvm_window_accept(u8 vector, unsigned long *seen);

/* stray.c: interrupts of the guest that arrive in the host. */
void hpvm_switch_tasks(unsigned int cpu);
void hpvm_set_guest(unsigned int cpu, const struct hpvm_guest_ops *ops, void *guest);

static inline u64 hpvm_tsc_to_ns(u64 ticks)
{
	return mul_u64_u32_div(ticks, USEC_PER_SEC, tsc_khz);
}

/* status.c */
u64 hpvm_ns_since(u64 tsc);

/* apic_timer.c */
u32 hpvm_apic_bus_khz(void);
bool hpvm_deadline_sticky(void);

/* IRQs off. */
static inline bool hpvm_this_cpu_dedicated(void)
{
	return this_cpu_read(hpvm_pcpu.dedicated);
}

#else

static inline bool hpvm_this_cpu_dedicated(void) { return false; }
static inline void hpvm_unclaimed_nmi(void) {}

#endif /* CONFIG_KVM_HPVM */
#endif /* _ASM_X86_HPVM_H */
