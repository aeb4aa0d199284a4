/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _ASM_X86_KVM_HPVM_H
#define _ASM_X86_KVM_HPVM_H

/*
 * KVM direct mode ("hpvm"): a vCPU that owns one physical CPU (pCPU) takes
 * timer and device interrupts through its own IDT, without VM exits.
 *
 * Documentation/virt/kvm/x86/hpvm.rst describes the interface.  Include this
 * file after <linux/kvm.h>.
 */

#include <linux/types.h>
#include <linux/ioctl.h>

/*
 * KVM_CHECK_EXTENSION returns the mask of KVM_HPVM_F_* that this host can do;
 * 0 if it can't do the mode at all.  It's an int: there are no more than 31 of them.
 *
 * KVM_ENABLE_CAP on the VM, before the first vCPU exists: args[0] is the mask
 * of KVM_HPVM_F_* the VM may use, with KVM_HPVM_F_DIRECT set.
 * Errors: EINVAL (a bit the host can't do, DIRECT missing, flags or another
 * argument not 0), EBUSY (vCPUs exist, or a device is assigned), ESHUTDOWN (the
 * administrator has switched the mode off: kvm.hpvm=off).
 */
#define KVM_CAP_X86_HPVM		4850

/* Direct mode.  The other bits refine it. */
#define KVM_HPVM_F_DIRECT		(1ULL << 0)
/* The guest arms IA32_TSC_DEADLINE in the hardware (while its TSC offset is 0). */
#define KVM_HPVM_F_TIMER_DEADLINE	(1ULL << 1)
/* The guest arms TMICT in the hardware (one-shot and periodic modes). */
#define KVM_HPVM_F_TIMER_ONESHOT	(1ULL << 2)
/* Interrupts of assigned devices go straight to the guest's vCPUs. */
#define KVM_HPVM_F_IRQ			(1ULL << 3)

/*
 * VM ioctl: dedicate CPUs, all of them in one pass, or none.  Each entry gets a
 * descriptor that stands for "this CPU is dedicated": KVM_HPVM_BIND accepts it, from
 * whichever VM and process; the line "kvm-hpvm-cpu:" of its /proc/PID/fdinfo names the
 * CPU.  The CPU is the host's again when its last descriptor is closed and no vCPU is
 * bound to it.  May sleep.
 *
 * Errors: EINVAL  flags or pad not 0, nr is 0 or more than KVM_HPVM_MAX_CPUS; no such
 *                 CPU, or one twice
 *         ENODEV  the CPU is offline
 *         EBUSY   the CPU is dedicated already: holder_pid says to which process (0:
 *                 not visible in the caller's PID namespace)
 *         EPERM   neither CAP_SYS_ADMIN nor in the administrator's list
 *                 (/sys/module/kvm/parameters/hpvm_cpus)
 *         EACCES  the CPU is in the cpuset of no thread of the caller
 *         ENOSPC  the host would have no CPU for itself
 *         ENOTEMPTY  device interrupts that can't be moved target the CPU; the
 *                 kernel log names them
 *         EOPNOTSUPP  the host can't dedicate CPUs any more (the platform's
 *                 interrupt vector was taken)
 *         ESHUTDOWN  the administrator has switched the mode off: kvm.hpvm=off
 *         EMFILE, ENFILE, ENOMEM, EFAULT
 *         ENXIO   the VM has not enabled KVM_CAP_X86_HPVM
 *
 * An error that concerns a CPU leaves the entry's index in failed; else that is nr.
 */
struct kvm_hpvm_cpu {
	__u32 pcpu;		/* in: Linux CPU number */
	__s32 fd;		/* out: close-on-exec; -1 after an error */
	__u32 holder_pid;	/* out: of the failed entry, with EBUSY */
	__u32 pad;
};

struct kvm_hpvm_take {
	__u32 nr;		/* in: entries in cpus[] */
	__u32 flags;		/* in: 0 */
	__u32 failed;		/* out: the entry that the error is about */
	__u32 pad;
	struct kvm_hpvm_cpu cpus[];
};

#define KVM_HPVM_MAX_CPUS		4096
#define KVM_HPVM_TAKE_CPUS		_IOWR(KVMIO, 0xf4, struct kvm_hpvm_take)

/*
 * vCPU ioctl: bind the vCPU to a pCPU, or release it with KVM_HPVM_NO_CPU.
 * The pCPU stays dedicated until it's released or the vCPU is destroyed, and longer
 * if there is a descriptor for it.  A vCPU that is bound to another CPU moves; after
 * an error it's bound as before.  May sleep.
 *
 * Errors: those of KVM_HPVM_TAKE_CPUS, and
 *         EINVAL  other flags, or the CPU isn't the descriptor's
 *         EBADF   not a descriptor of KVM_HPVM_TAKE_CPUS
 *         EBUSY   another vCPU is bound to the CPU
 *         ENXIO   the VM has no in-kernel local APIC
 *         ESHUTDOWN  as there, unless the vCPU is bound already
 *
 * To release a vCPU that isn't bound is no error.
 */
struct kvm_hpvm_bind {
	__u32 pcpu;		/* in: Linux CPU number, or KVM_HPVM_NO_CPU */
	__u32 flags;		/* in: KVM_HPVM_BIND_* */
	__u32 holder_pid;	/* out: with EBUSY */
	__s32 fd;		/* in: with KVM_HPVM_BIND_FD, else 0 */
};

/* The CPU is dedicated already: fd is its descriptor, and permission enough. */
#define KVM_HPVM_BIND_FD		(1U << 0)
/*
 * Confine the calling thread, which is to call KVM_RUN, to the CPU, whatever its
 * affinity or cpuset was.  Without it the caller does that.
 */
#define KVM_HPVM_BIND_PIN		(1U << 1)

#define KVM_HPVM_NO_CPU			(~0U)
#define KVM_HPVM_BIND			_IOWR(KVMIO, 0xf0, struct kvm_hpvm_bind)

/*
 * vCPU ioctl: hold the vCPU in ordinary mode, or let it go direct whenever the
 * conditions hold; and which changes of its state end KVM_RUN.  The two may have
 * different owners, so each is changed only where the call says so; KVM_HPVM_GET_STATE
 * returns both.  After KVM_HPVM_BIND neither is set; a vCPU that moves to another CPU
 * keeps them.  Takes effect before the vCPU enters the guest again.
 * Errors: EINVAL (other flags, or a report that isn't to change), ENXIO (not bound).
 *
 * A reason in report that the kernel doesn't know is one that never holds.
 */
#define KVM_HPVM_CTRL_HOLD_ORDINARY	(1U << 0)
#define KVM_HPVM_CTRL_REPORT		(1U << 1)	/* in change only */
/* In change only: have the VM's circuit breaker let go.  It's one for all vCPUs. */
#define KVM_HPVM_CTRL_RESET		(1U << 2)

struct kvm_hpvm_ctrl {
	__u32 flags;		/* KVM_HPVM_CTRL_*: the new values of those in change */
	__u32 change;		/* KVM_HPVM_CTRL_* */
	__u64 report;		/* KVM_HPVM_REASON_*: see KVM_EXIT_HPVM */
};

#define KVM_HPVM_SET_CTRL		_IOW(KVMIO, 0xf1, struct kvm_hpvm_ctrl)

/*
 * exit_reason of KVM_RUN: other reasons of kvm_hpvm_ctrl.report hold than KVM_RUN has
 * told before, or none and the vCPU is direct; the first time after KVM_HPVM_SET_CTRL
 * has changed them, whichever it is.  kvm_run's padding has a struct kvm_hpvm_exit.
 * The guest hasn't run since, and there is nothing to complete.
 */
#define KVM_EXIT_HPVM			4850

struct kvm_hpvm_exit {
	__u64 reasons;		/* KVM_HPVM_REASON_*, all of them */
	__u32 state;		/* enum kvm_hpvm_run_state */
	__u32 pad;
};

enum kvm_hpvm_run_state {
	KVM_HPVM_STATE_UNBOUND,
	KVM_HPVM_STATE_ORDINARY,
	KVM_HPVM_STATE_DIRECT,
};

/* Steps of the timer negotiation, best last. */
enum kvm_hpvm_timer_step {
	/* KVM's software timer; arming and firing exit. */
	KVM_HPVM_TIMER_EMULATED,
	/* Arming IA32_TSC_DEADLINE exits, firing doesn't. */
	KVM_HPVM_TIMER_FIRE,
	/* TMICT: neither arming nor firing exits. */
	KVM_HPVM_TIMER_ONESHOT,
	/* IA32_TSC_DEADLINE: neither arming nor firing exits. */
	KVM_HPVM_TIMER_DEADLINE,
};

/* Why a bound vCPU is in ordinary mode (a mask; 0 in direct mode). */
#define KVM_HPVM_REASON_NEVER_RAN	(1ULL << 0)  /* not entered since bound */
#define KVM_HPVM_REASON_HELD		(1ULL << 1)  /* KVM_HPVM_SET_CTRL */
#define KVM_HPVM_REASON_WRONG_CPU	(1ULL << 2)  /* thread isn't on the pCPU */
#define KVM_HPVM_REASON_NOT_X2APIC	(1ULL << 3)  /* guest uses xAPIC or none */
#define KVM_HPVM_REASON_APIC_OFF	(1ULL << 4)  /* SVR: software-disabled */
#define KVM_HPVM_REASON_EXTINT		(1ULL << 5)  /* LVT0 accepts 8259 ExtINT */
#define KVM_HPVM_REASON_NESTED		(1ULL << 6)  /* runs a nested guest, or did a second ago */
#define KVM_HPVM_REASON_SMM		(1ULL << 7)  /* in or entering SMM */
#define KVM_HPVM_REASON_DEBUG		(1ULL << 8)  /* KVM_SET_GUEST_DEBUG */
#define KVM_HPVM_REASON_HYPERV		(1ULL << 9)  /* SynIC, or an AutoEOI vector */
#define KVM_HPVM_REASON_XEN		(1ULL << 10) /* Xen event channel upcall */
#define KVM_HPVM_REASON_PV_EOI		(1ULL << 11) /* a paravirtual EOI is pending */
/* In service: two vectors of a class, or that of an assigned device. */
#define KVM_HPVM_REASON_ISR		(1ULL << 12)
#define KVM_HPVM_REASON_NOT_RUNNABLE	(1ULL << 13) /* waits for INIT/SIPI, or halted */
#define KVM_HPVM_REASON_VAPIC		(1ULL << 14) /* KVM_SET_VAPIC_ADDR is in use */
#define KVM_HPVM_REASON_NMI		(1ULL << 15) /* handles an NMI (SVM without VNMI) */
#define KVM_HPVM_REASON_PROTECTED	(1ULL << 16) /* a confidential guest */
#define KVM_HPVM_REASON_HOST_HELD	(1ULL << 17) /* the parameter kvm.hpvm isn't "auto" */
/* The circuit breaker, until KVM_HPVM_CTRL_RESET; all vCPUs of the VM. */
#define KVM_HPVM_REASON_BREAKER_NMI	(1ULL << 18) /* NMIs that nobody has sent */
#define KVM_HPVM_REASON_BREAKER_LATE	(1ULL << 19) /* an event of the host came too late */
#define KVM_HPVM_REASON_BREAKER_STORM	(1ULL << 20) /* interrupts without end */
#define KVM_HPVM_REASON_BREAKER_ISR	(1ULL << 21) /* a vector isn't taken in service */
#define KVM_HPVM_REASON_BREAKER_STRAY	(1ULL << 22) /* devices' interrupts arrive in the host */

/* Why the timer isn't at its best step (a mask; 0 at DEADLINE and ONESHOT). */
#define KVM_HPVM_TIMER_REASON_POLICY	(1ULL << 0)  /* not in args[0] */
#define KVM_HPVM_TIMER_REASON_OFFSET	(1ULL << 1)  /* the TSC offset isn't 0 */
#define KVM_HPVM_TIMER_REASON_SCALING	(1ULL << 2)  /* the TSC is scaled */
#define KVM_HPVM_TIMER_REASON_RATE	(1ULL << 3)  /* user space chose another APIC bus rate */
#define KVM_HPVM_TIMER_REASON_VECTOR	(1ULL << 4)  /* LVTT vector below 32 */
#define KVM_HPVM_TIMER_REASON_RUNNING	(1ULL << 5)  /* until the emulated count ends */
#define KVM_HPVM_TIMER_REASON_ORDINARY	(1ULL << 6)  /* the vCPU isn't direct */

/*
 * vCPU ioctl: state and counters.  All counters but the kicks are also in
 * KVM_GET_STATS_FD, as hpvm_*.  Like all vCPU ioctls it waits for a KVM_RUN that
 * is under way.  Errors: ENXIO (the VM has not enabled KVM_CAP_X86_HPVM).
 */
struct kvm_hpvm_state {
	__u32 pcpu;		/* KVM_HPVM_NO_CPU: not bound */
	__u32 state;		/* enum kvm_hpvm_run_state */
	__u32 timer;		/* enum kvm_hpvm_timer_step */
	__u32 apic_bus_khz;	/* the LAPIC timer's, in both modes; 0: not measured */
	__u64 reasons;		/* KVM_HPVM_REASON_* */
	__u64 timer_reasons;	/* KVM_HPVM_TIMER_REASON_* */
	/* Counted since the vCPU was created; the kicks since it was bound. */
	__u64 direct_entries;	/* ordinary to direct */
	__u64 direct_leaves;	/* direct to ordinary */
	__u64 recorded;		/* vectors taken out of the LAPIC at a VM exit */
	__u64 reposted;		/* vectors put into the LAPIC before an entry */
	__u64 in_service;	/* in-service vectors re-created before an entry */
	__u64 nmi_kicks;	/* NMIs from the host while in direct mode */
	__u64 window_kicks;	/* of these: between the last check and the entry */
	__u64 eoi_intercepts;	/* entries with EOI intercepted (level interrupts) */
	__u64 ipis;		/* ICR writes that took the fast path, an exit each */
	__u32 ctrl_flags;	/* KVM_HPVM_CTRL_HOLD_ORDINARY */
	__u32 pad;
	__u64 report;		/* of KVM_HPVM_SET_CTRL */
	__u64 nmis_sent;	/* by the host, since the vCPU was bound; nmi_kicks came */
	__u64 slow_exits;	/* out of direct mode's guest, other than by the fast path */
	__u64 quiet_ns;		/* between the last two of them; this call is the last */
	__u64 since_timer_ns;	/* since the last of them that found the guest's timer
				 * to have fired or been armed anew; 0: none has
				 */
	__u64 reserved;
};

#define KVM_HPVM_GET_STATE		_IOR(KVMIO, 0xf2, struct kvm_hpvm_state)

/* Why an interrupt of an assigned device doesn't go straight to a vCPU (a mask). */
#define KVM_HPVM_IRQ_REASON_POLICY	(1ULL << 0)  /* the VM doesn't have KVM_HPVM_F_IRQ */
#define KVM_HPVM_IRQ_REASON_NOT_MSI	(1ULL << 1)  /* INTx, or an MSI without a route */
#define KVM_HPVM_IRQ_REASON_NOT_ONE_VCPU (1ULL << 2)  /* several destinations, or none */
#define KVM_HPVM_IRQ_REASON_MODE	(1ULL << 3)  /* NMI, SMI, INIT or ExtINT */
#define KVM_HPVM_IRQ_REASON_VECTOR	(1ULL << 4)  /* below 32, or above 239 */
#define KVM_HPVM_IRQ_REASON_LEVEL	(1ULL << 5)  /* level-triggered: needs its EOI seen */
#define KVM_HPVM_IRQ_REASON_UNBOUND	(1ULL << 6)  /* the vCPU has no pCPU, or an ID above 254 */
#define KVM_HPVM_IRQ_REASON_HELD	(1ULL << 7)  /* KVM_HPVM_SET_CTRL, kvm.hpvm, breaker */
#define KVM_HPVM_IRQ_REASON_NOT_X2APIC	(1ULL << 8)  /* the vCPU's APIC is an xAPIC or off */
#define KVM_HPVM_IRQ_REASON_NOT_REMAPPED (1ULL << 9)  /* the IOMMU can't */

struct kvm_hpvm_irq {
	__u32 gsi;		/* of the irqfd */
	__u32 host_irq;		/* Linux interrupt number; 0: INTx */
	__u32 vcpu_id;		/* destination; KVM_HPVM_NO_CPU: not one */
	__u32 pcpu;		/* it's raised there with the guest's vector;
				 * KVM_HPVM_NO_CPU: it goes through the host
				 */
	__u32 vector;		/* the guest's */
	__u32 pad;
	__u64 reasons;		/* KVM_HPVM_IRQ_REASON_*; 0: straight */
	__u64 reserved[2];	/* out: 0 */
};

/* More aren't told. */
#define KVM_HPVM_MAX_IRQS		4096

/*
 * VM ioctl: how the interrupts of assigned devices go.  Errors: EINVAL (flags or
 * reserved not 0), E2BIG (there are more than nr or KVM_HPVM_MAX_IRQS; nr says how many, and the
 * first ones are there), EFAULT, ENOMEM, ENXIO (the VM has not enabled
 * KVM_CAP_X86_HPVM).
 */
struct kvm_hpvm_irqs {
	__u32 nr;		/* in: room in irqs[]; out: how many there are */
	__u32 flags;		/* in: 0 */
	__u64 reserved;		/* in: 0 */
	struct kvm_hpvm_irq irqs[];
};

#define KVM_HPVM_GET_IRQS		_IOWR(KVMIO, 0xf3, struct kvm_hpvm_irqs)

#endif /* _ASM_X86_KVM_HPVM_H */
