/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_HPVM_H
#define __KVM_X86_HPVM_H

/*
 * The direct mode of a vCPU: its pCPU's local APIC is the guest's.  Interface
 * to the rest of KVM; user space's is <asm/kvm_hpvm.h>.
 */

#include <linux/irq_work.h>
#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/workqueue.h>

#include <asm/hpvm.h>
#include <asm/kvm_hpvm.h>

#include "logic.h"

struct irq_bypass_producer;
struct kvm_hpvm_claim;
struct kvm_kernel_irqfd;
struct kvm_lapic;

#ifdef CONFIG_KVM_HPVM

/**
 * struct kvm_hpvm_ops - what VMX and SVM do differently
 * @supported:	can the processor do it at all?
 * @set_direct:	switch the controls; process context, vCPU loaded
 * @set_hlt_exits: whether HLT exits; process context, vCPU loaded
 * @end_hlt:	where the processor keeps apart from RIP that it's in HLT: it isn't any more.
 *		Process context, vCPU loaded; optional
 * @set_msrs:	bring the MSR bitmap in line with ->open_msrs; IRQs on or off,
 *		vCPU loaded
 * @force_exit:	make the next VM entry exit at once, if the guest hasn't been left
 *		by an NMI just now; true: it was needed.  NMI-safe
 * @exited:	undo @force_exit; IRQs off
 * @cpus_taken:	@cpus have become dedicated: nothing that hardware does for other VMs
 *		may interrupt them from now on.  Process context; optional
 * @reasons:	KVM_HPVM_REASON_*: what of VMX or SVM keeps the vCPU ordinary now;
 *		optional
 */
struct kvm_hpvm_ops {
	bool (*supported)(void);
	void (*set_direct)(struct kvm_vcpu *vcpu, bool direct);
	void (*set_hlt_exits)(struct kvm_vcpu *vcpu, bool exits);
	void (*end_hlt)(struct kvm_vcpu *vcpu);
	void (*set_msrs)(struct kvm_vcpu *vcpu);
	bool (*force_exit)(void);
	void (*exited)(struct kvm_vcpu *vcpu);
	void (*cpus_taken)(const struct cpumask *cpus);
	u64 (*reasons)(struct kvm_vcpu *vcpu);
};

/* What the circuit breaker is for, in the order of KVM_HPVM_REASON_BREAKER_*. */
enum hpvm_cause {
	HPVM_CAUSE_NMI,
	HPVM_CAUSE_LATE,
	HPVM_CAUSE_STORM,
	HPVM_CAUSE_ISR,
	HPVM_CAUSE_STRAY,
	HPVM_NR_CAUSES,
};

/**
 * struct kvm_hpvm_breaker - the circuit breaker of a VM
 * @causes:	BIT(enum hpvm_cause): why it holds the VM; set in any context
 * @fresh:	those that haven't been told yet
 * @vcpu_id:	where each was seen last
 * @reset_at:	when user space has released the VM last, by ktime_get_mono_fast_ns(); what
 *		was seen before doesn't count
 * @sensitive:	for tests: so often is too often
 * @kvm:	the VM
 * @irq_work:	of an NMI that has set @causes
 * @work:	what follows of it
 */
struct kvm_hpvm_breaker {
	unsigned long causes;
	unsigned long fresh;
	int vcpu_id[HPVM_NR_CAUSES];
	u64 reset_at;
	unsigned int sensitive;
	struct kvm *kvm;
	struct irq_work irq_work;
	struct work_struct work;
};

/**
 * struct kvm_hpvm_vm - whom an IPI, or a device's interrupt, may go to straight
 * @in_guest:	by APIC ID: the vCPU's state is in its pCPU's local APIC
 * @all:	@enabled as the first cluster's mask, or HPVM_NO_MASK
 * @enabled:	by APIC ID: the vCPU's APIC is enabled; HPVM_APIC_IDS: one beyond is
 * @phys:	by APIC ID: the pCPU's x2APIC ID
 * @bound:	by APIC ID: the vCPU has a pCPU; irqfds.lock, as what follows
 * @held:	by APIC ID: user space wants it ordinary
 * @pcpu:	by APIC ID: the pCPU
 * @irqs:	of assigned devices: struct kvm_hpvm_device_irq
 * @irqs_changed: counts what may change their ways
 * @breaker:	holds all of its vCPUs
 */
struct kvm_hpvm_vm {
	/* On its own: each slow exit writes it. */
	DECLARE_BITMAP(in_guest, HPVM_APIC_IDS + 1) ____cacheline_aligned_in_smp;

	/* What senders read otherwise hardly changes. */
	u32 all ____cacheline_aligned_in_smp;
	DECLARE_BITMAP(enabled, HPVM_APIC_IDS + 1);
	u32 phys[HPVM_APIC_IDS + 1];
	DECLARE_BITMAP(bound, HPVM_APIC_IDS + 1);
	DECLARE_BITMAP(held, HPVM_APIC_IDS + 1);
	u32 pcpu[HPVM_APIC_IDS + 1];
	struct list_head irqs;
	unsigned long irqs_changed;
	struct kvm_hpvm_breaker breaker;
	bool ended;	/* no vCPU is left to run, and none of who sent to them */
};

/**
 * struct kvm_hpvm_vcpu - a bound vCPU; protected by vcpu->mutex
 *
 * Whose pCPU it is:
 * @claim:	of the CPU it owns
 * @pcpu:	that CPU
 * @host_adjust_is_0: IA32_TSC_ADJUST of the pCPU is 0
 * @nmi_kicks:	the pCPU's count when it was bound
 * @nmis_sent:	likewise
 * @window_kicks: likewise
 *
 * What user space wants:
 * @hold:	the vCPU is to be ordinary
 * @report:	KVM_HPVM_REASON_*: being ordinary for these ends KVM_RUN
 * @told:	those of @report that KVM_RUN has told of, 0 if direct; HPVM_UNTOLD
 * @tell:	KVM_RUN has to end with KVM_EXIT_HPVM
 *
 * What was decided last (mode.c):
 * @direct:	direct, or ordinary
 * @settled:	ordinary because it's held, and told so: there's nothing to decide.
 *		Cleared by a storm of @strays, too
 * @reasons:	KVM_HPVM_REASON_*
 * @nested_until: in jiffies: no direct mode before, after a nested guest
 * @open_msrs:	KVM_HPVM_MSR_*: those of them that don't exit
 * @eoi_exits:	EOI is intercepted
 * @hlt_exits:	HLT exits
 * @apicv_off:	APICv is inhibited
 *
 * The local APIC's (lapic.c):
 * @in_lapic:	it holds the guest's state (from the last check before VM entry to the
 *		first thing after the loop of entries)
 * @strays:	interrupts that arrived in the host since the guest was left, up to
 *		HPVM_STORM, at which TPR holds them back; by the pCPU
 * @rates:	how often each cause of the breaker's was seen; by the pCPU
 * @quiet:	ticks between the last two slow exits
 * @break_isr:	for tests: take the next vector for one that can't be put in service
 *
 * The timer's (timer.c):
 * @timer:	enum kvm_hpvm_timer_step
 * @timer_reasons: KVM_HPVM_TIMER_REASON_*
 * @start_count: write @left to TMICT at the next entry
 * @left:	TMCCT when the guest was left (one-shot step)
 * @left_at:	ktime then
 * @armed:	what the timer was set to when the guest was left
 *
 * For senders, vmx/hpvm_ipi.S among them (table.c); constant while bound:
 * @vm:		of this vCPU's VM
 * @lapic_regs:	the virtual LAPIC's
 * @not_self:	mask without this vCPU in the first cluster; 0: not of that
 * @reachable:	the table has its APIC ID
 */
struct kvm_hpvm_vcpu {
	struct kvm_hpvm_claim *claim;
	unsigned int pcpu;
	bool host_adjust_is_0;
	unsigned int nmi_kicks;
	unsigned int nmis_sent;
	unsigned long window_kicks;

	bool hold;
	u64 report;
	u64 told;
	bool tell;

	bool direct;
	bool settled;
	u64 reasons;
	unsigned long nested_until;
	u8 open_msrs;
	bool eoi_exits;
	bool hlt_exits;
	bool apicv_off;

	bool in_lapic;
	unsigned int strays;
	struct hpvm_rate rates[HPVM_NR_CAUSES];
	u64 quiet;
	bool break_isr;

	u8 timer;
	u64 timer_reasons;
	bool start_count;
	u32 left;
	ktime_t left_at;
	u64 armed;

	struct kvm_hpvm_vm *vm;
	void *lapic_regs;
	u32 not_self;
	bool reachable;
};

/* No set of reasons. */
#define HPVM_UNTOLD	(~0ULL)

/* Being ordinary for these alone: the vCPU is as one of any other VM. */
#define HPVM_HOLDS	(KVM_HPVM_REASON_HELD | KVM_HPVM_REASON_HOST_HELD | \
			 KVM_HPVM_REASON_BREAKER_NMI * GENMASK_ULL(HPVM_NR_CAUSES - 1, 0))

/* Out of vcpu->requests: decide on the mode again, or tell user space of it. */
#define KVM_REQ_HPVM	KVM_ARCH_REQ(48)

/* Which MSRs the guest may access without an exit. */
enum {
	KVM_HPVM_MSR_DEADLINE	= BIT(0),	/* IA32_TSC_DEADLINE, rw */
	KVM_HPVM_MSR_COUNT	= BIT(1),	/* TMICT w, TMCCT r */
	KVM_HPVM_MSR_EOI	= BIT(2),	/* EOI, w */
	KVM_HPVM_MSR_ADJUST	= BIT(3),	/* IA32_TSC_ADJUST, r */
};

#ifdef COMPILE_OFFSETS
/* What vmx/hpvm_ipi.S has to know, from headers that assembly can't include. */
static __always_inline void kvm_hpvm_asm_offsets(void)
{
	BLANK();
	DEFINE(VM_EXIT_REASON, VM_EXIT_REASON);
	DEFINE(VM_EXIT_INSTRUCTION_LEN, VM_EXIT_INSTRUCTION_LEN);
	DEFINE(GUEST_RIP, GUEST_RIP);
	DEFINE(GUEST_RFLAGS, GUEST_RFLAGS);
	DEFINE(GUEST_CS_AR_BYTES, GUEST_CS_AR_BYTES);
	DEFINE(VMX_AR_L_MASK, VMX_AR_L_MASK);
	DEFINE(GUEST_INTERRUPTIBILITY_INFO, GUEST_INTERRUPTIBILITY_INFO);
	DEFINE(GUEST_INTR_STATE_STI, GUEST_INTR_STATE_STI);
	DEFINE(GUEST_INTR_STATE_MOV_SS, GUEST_INTR_STATE_MOV_SS);
	DEFINE(X2APIC_ICR_MSR, APIC_BASE_MSR + (APIC_ICR >> 4));
	DEFINE(APIC_ICR, APIC_ICR);
	DEFINE(HPVM_ICR_FIXED, HPVM_ICR_FIXED);
	DEFINE(APIC_DEST_LOGICAL, APIC_DEST_LOGICAL);
	DEFINE(APIC_DEST_SELF, APIC_DEST_SELF);
	DEFINE(APIC_DEST_ALLINC, APIC_DEST_ALLINC);
	DEFINE(APIC_DEST_ALLBUT, APIC_DEST_ALLBUT);
	DEFINE(HPVM_APIC_IDS, HPVM_APIC_IDS);
	DEFINE(HPVM_CLUSTER_IDS, HPVM_CLUSTER_IDS);
	DEFINE(HPVM_CLUSTERS, HPVM_CLUSTERS);
	/* From vcpu->arch.regs, which is what the stack has. */
	DEFINE(KVM_regs_to_hpvm, (long)offsetof(struct kvm_vcpu, arch.hpvm) -
				 (long)offsetof(struct kvm_vcpu, arch.regs));
	DEFINE(KVM_regs_to_ipis, (long)offsetof(struct kvm_vcpu, stat.hpvm_ipis) -
				 (long)offsetof(struct kvm_vcpu, arch.regs));
	DEFINE(KVM_regs_to_kvm, (long)offsetof(struct kvm_vcpu, kvm) -
				(long)offsetof(struct kvm_vcpu, arch.regs));
	OFFSET(KVM_assigned_devices, kvm, arch.assigned_device_count);
	OFFSET(HPVM_vm, kvm_hpvm_vcpu, vm);
	OFFSET(HPVM_lapic_regs, kvm_hpvm_vcpu, lapic_regs);
	OFFSET(HPVM_not_self, kvm_hpvm_vcpu, not_self);
	OFFSET(HPVM_VM_in_guest, kvm_hpvm_vm, in_guest);
	OFFSET(HPVM_VM_all, kvm_hpvm_vm, all);
	OFFSET(HPVM_VM_phys, kvm_hpvm_vm, phys);
}
#endif

extern struct static_key_false kvm_hpvm_key;
extern const struct kvm_hpvm_ops *kvm_hpvm_ops;

/* mode.c */
void kvm_hpvm_register(const struct kvm_hpvm_ops *ops);
void kvm_hpvm_unregister(void);
u64 kvm_hpvm_features(void);
int kvm_hpvm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap);
void kvm_hpvm_update(struct kvm_vcpu *vcpu);
void __cold __kvm_hpvm_quiesce(struct kvm_vcpu *vcpu);
void kvm_hpvm_end(struct kvm_vcpu *vcpu);
void kvm_hpvm_unsettle(struct kvm_vcpu *vcpu);
void kvm_hpvm_update_msrs(struct kvm_vcpu *vcpu);
void kvm_hpvm_set_report(struct kvm_vcpu *vcpu, u64 report);
void kvm_hpvm_report_status(struct kvm_vcpu *vcpu);
int __cold kvm_hpvm_handle_request(struct kvm_vcpu *vcpu);

/* hold.c */
bool kvm_hpvm_host_held(void);
bool kvm_hpvm_host_off(void);
void kvm_hpvm_hold_changed(struct kvm *kvm);

/* breaker.c */
void kvm_hpvm_note(struct kvm_vcpu *vcpu, enum hpvm_cause cause);
void kvm_hpvm_unclaimed_nmi(void *guest);
void kvm_hpvm_noticed(void *guest, u64 ns);
void kvm_hpvm_breaker_reset(struct kvm *kvm);
void kvm_hpvm_breaker_init(struct kvm *kvm, struct kvm_hpvm_vm *vm);
void kvm_hpvm_breaker_end(struct kvm *kvm);

/* KVM_HPVM_REASON_BREAKER_*: why it holds the VM. */
static inline u64 kvm_hpvm_breaker_reasons(struct kvm *kvm)
{
	return KVM_HPVM_REASON_BREAKER_NMI * READ_ONCE(kvm->arch.hpvm->breaker.causes);
}

/* liveness.c */
void kvm_hpvm_note_exit(struct kvm_vcpu *vcpu);
void kvm_hpvm_note_timer(struct kvm_vcpu *vcpu);
void kvm_hpvm_sample(struct kvm_vcpu *vcpu);
void kvm_hpvm_create_vcpus(struct kvm *kvm);

#if IS_ENABLED(CONFIG_KVM_HPVM_KUNIT_TEST)
void kvm_hpvm_create_provoke(struct kvm *kvm);
#else
static inline void kvm_hpvm_create_provoke(struct kvm *kvm) {}
#endif

/* bind.c */
int kvm_hpvm_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
int kvm_hpvm_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp);
void kvm_hpvm_vcpu_destroy(struct kvm_vcpu *vcpu);

/* lapic.c */
void kvm_hpvm_post_lvtt(struct kvm_lapic *apic);
bool kvm_hpvm_isr_ok(struct kvm_lapic *apic);
bool kvm_hpvm_enter_irqoff(struct kvm_vcpu *vcpu);
void kvm_hpvm_leave_irqoff(struct kvm_vcpu *vcpu);
bool kvm_hpvm_exit_pending(struct kvm_vcpu *vcpu);
void kvm_hpvm_count_stray(struct kvm_vcpu *vcpu);
void kvm_hpvm_end_storm(struct kvm_hpvm_vcpu *h);

/* table.c */
int kvm_hpvm_vm_create(struct kvm *kvm);
void kvm_hpvm_vm_end(struct kvm *kvm);
void kvm_hpvm_vm_destroy(struct kvm *kvm);
void kvm_hpvm_count_vcpus(struct kvm *kvm);
void kvm_hpvm_apic_map_changed(struct kvm *kvm);
void kvm_hpvm_set_held(struct kvm_vcpu *vcpu, bool held);
void kvm_hpvm_table_bind(struct kvm_vcpu *vcpu);
void kvm_hpvm_table_unbind(struct kvm_vcpu *vcpu);
void kvm_hpvm_table_enter(struct kvm_vcpu *vcpu);
void kvm_hpvm_table_leave(struct kvm_vcpu *vcpu);
typedef void (*kvm_hpvm_vcpu_fn)(struct kvm_vcpu *vcpu, void *data);
void kvm_hpvm_visit_vcpus(kvm_hpvm_vcpu_fn fn, void *data);

/* ipi.c */
void kvm_hpvm_take_stray(void *guest, u8 vector);
bool __cold __kvm_hpvm_deliver(struct kvm_vcpu *vcpu, u8 vector);
bool kvm_hpvm_send_icr(struct kvm_vcpu *vcpu, u64 icr);

/* fast_exit.c: IRQs off, in the loop of entries */
fastpath_t kvm_hpvm_fast_cpuid(struct kvm_vcpu *vcpu);
fastpath_t kvm_hpvm_fast_rdmsr(struct kvm_vcpu *vcpu);
fastpath_t kvm_hpvm_fast_wrmsr(struct kvm_vcpu *vcpu);
fastpath_t kvm_hpvm_fast_out(struct kvm_vcpu *vcpu, u16 port, int size);
fastpath_t kvm_hpvm_fast_mmio(struct kvm_vcpu *vcpu, gpa_t gpa);

/* irq.c */
void kvm_hpvm_update_irqs(struct kvm *kvm);
void kvm_hpvm_update_route(struct kvm *kvm, unsigned int host_irq);
bool kvm_hpvm_device_in_service(struct kvm_vcpu *vcpu);
int kvm_hpvm_add_producer(struct kvm_kernel_irqfd *irqfd,
			  struct irq_bypass_producer *prod);
void kvm_hpvm_del_producer(struct kvm_kernel_irqfd *irqfd);
int kvm_hpvm_get_irqs(struct kvm *kvm, void __user *argp);
void kvm_hpvm_create_vm_debugfs(struct kvm *kvm);

/* timer.c */
u8 kvm_hpvm_timer_step(struct kvm_vcpu *vcpu, u64 *reasons);
void kvm_hpvm_timer_switch(struct kvm_vcpu *vcpu, u8 step);
void kvm_hpvm_timer_enter(struct kvm_vcpu *vcpu);
void kvm_hpvm_timer_leave(struct kvm_vcpu *vcpu);
bool kvm_hpvm_arm_deadline(struct kvm_vcpu *vcpu, u64 deadline);

u64 kvm_hpvm_count_to_ns(struct kvm *kvm, u32 count, u32 divide);
u64 kvm_hpvm_ns_to_count(struct kvm *kvm, u64 ns, u32 divide);

/* The rate of the VM's APIC bus, if it's the hardware's; 0: it's apic_bus_cycle_ns. */
static inline u32 kvm_hpvm_bus_khz(struct kvm *kvm)
{
	return kvm->arch.hpvm_bus_khz;
}

/* User space wants another rate.  Before the first vCPU. */
static inline void kvm_hpvm_set_bus_cycle(struct kvm *kvm, u64 bus_cycle_ns)
{
	kvm->arch.apic_bus_cycle_ns = bus_cycle_ns;
	kvm->arch.hpvm_bus_khz = 0;
}

/* A register of the virtual LAPIC; @regs is struct kvm_lapic's. */
static inline void hpvm_set_vreg(void *regs, u32 reg, u32 val)
{
	*(u32 *)(regs + reg) = val;
}

static __always_inline struct kvm_hpvm_vcpu *kvm_hpvm(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_hpvm_key) ? vcpu->arch.hpvm : NULL;
}

/* May the VM's vCPUs become direct?  Constant from the first vCPU on. */
static inline bool kvm_hpvm_vm(struct kvm *kvm)
{
	return kvm->arch.hpvm_features;
}

/* Is the vCPU in direct mode?  Read by its own thread. */
static __always_inline bool kvm_hpvm_direct(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = kvm_hpvm(vcpu);

	return h && h->direct;
}

/* Is the vCPU's APICv inhibited?  Read by its own thread. */
static __always_inline bool kvm_hpvm_apicv_off(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = kvm_hpvm(vcpu);

	return h && h->apicv_off;
}

/* Does the hardware, not an hrtimer, keep the guest's LAPIC timer? */
static __always_inline bool kvm_hpvm_timer_in_hw(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = kvm_hpvm(vcpu);

	return h && h->timer != KVM_HPVM_TIMER_EMULATED;
}

/*
 * Before each entry: is there anything to decide, or to do?  The only question that the
 * vCPUs of other VMs, and settled ones, are asked.
 */
static __always_inline bool kvm_hpvm_decides(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = kvm_hpvm(vcpu);

	return h && !READ_ONCE(h->settled);
}

/* Before the guest is entered: must vcpu_enter_guest() return @r instead? */
static inline bool kvm_hpvm_requested(struct kvm_vcpu *vcpu, int *r)
{
	if (!kvm_check_request(KVM_REQ_HPVM, vcpu))
		return false;
	*r = kvm_hpvm_handle_request(vcpu);
	return true;
}

/* Make KVM's ordinary state hold everything; vCPU loaded, IRQs on. */
static __always_inline void kvm_hpvm_quiesce(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm(vcpu))
		__kvm_hpvm_quiesce(vcpu);
}

/* User space has the vCPU go on elsewhere, as for a reset; vCPU loaded. */
static inline void kvm_hpvm_end_hlt(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm_vm(vcpu->kvm) && kvm_hpvm_ops->end_hlt)
		kvm_hpvm_ops->end_hlt(vcpu);
}

/* IRQs off, after kvm_hpvm_enter_irqoff(): have the VM entry exit at once. */
static inline void kvm_hpvm_immediate_exit(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm_direct(vcpu))
		kvm_hpvm_ops->force_exit();
}

/* Send an edge-triggered interrupt straight into the guest; true: it was sent. */
static __always_inline bool kvm_hpvm_deliver(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_hpvm_vm *vm;

	if (!static_branch_unlikely(&kvm_hpvm_key))
		return false;
	/* The vCPU may leave the guest: this only spares the others the call. */
	vm = vcpu->kvm->arch.hpvm;
	return vm && vcpu->vcpu_id < HPVM_APIC_IDS &&
	       test_bit(vcpu->vcpu_id, vm->in_guest) && __kvm_hpvm_deliver(vcpu, vector);
}

static inline bool kvm_hpvm_is_vcpu_ioctl(unsigned int ioctl)
{
	return ioctl == KVM_HPVM_BIND || ioctl == KVM_HPVM_SET_CTRL ||
	       ioctl == KVM_HPVM_GET_STATE;
}

/*
 * KVM_SET_CLOCK with KVM_CLOCK_HOST_TSC alone: a clock that goes on from there, as the
 * guest's TSC has, at the same line.  vCPUs read it by what another VM has told them until
 * this one has told each, at its first entry; and by what their neighbour was told.
 */
static inline u64 kvm_hpvm_clock_elapsed(struct kvm *kvm, const struct kvm_clock_data *data,
					 u64 now_tsc)
{
	if (!kvm->arch.hpvm_features || data->flags != KVM_CLOCK_HOST_TSC ||
	    now_tsc <= data->host_tsc)
		return 0;
	return hpvm_tsc_to_ns(now_tsc - data->host_tsc);
}

#else

static inline u64 kvm_hpvm_clock_elapsed(struct kvm *kvm, const struct kvm_clock_data *data,
					 u64 now_tsc)
{
	return 0;
}

static inline u64 kvm_hpvm_features(void) { return 0; }

static inline int kvm_hpvm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	return -EINVAL;
}

static inline bool kvm_hpvm_vm(struct kvm *kvm) { return false; }
static inline u32 kvm_hpvm_bus_khz(struct kvm *kvm) { return 0; }
static inline u64 kvm_hpvm_count_to_ns(struct kvm *kvm, u32 count, u32 divide) { return 0; }
static inline u64 kvm_hpvm_ns_to_count(struct kvm *kvm, u64 ns, u32 divide) { return 0; }

static inline void kvm_hpvm_set_bus_cycle(struct kvm *kvm, u64 bus_cycle_ns)
{
	kvm->arch.apic_bus_cycle_ns = bus_cycle_ns;
}

static inline bool kvm_hpvm_direct(struct kvm_vcpu *vcpu) { return false; }
static inline bool kvm_hpvm_apicv_off(struct kvm_vcpu *vcpu) { return false; }
static inline bool kvm_hpvm_timer_in_hw(struct kvm_vcpu *vcpu) { return false; }
static inline bool kvm_hpvm_decides(struct kvm_vcpu *vcpu) { return false; }
static inline void kvm_hpvm_update(struct kvm_vcpu *vcpu) {}
static inline bool kvm_hpvm_requested(struct kvm_vcpu *vcpu, int *r) { return false; }
static inline void kvm_hpvm_quiesce(struct kvm_vcpu *vcpu) {}
static inline void kvm_hpvm_end_hlt(struct kvm_vcpu *vcpu) {}
static inline bool kvm_hpvm_enter_irqoff(struct kvm_vcpu *vcpu) { return false; }
static inline void kvm_hpvm_immediate_exit(struct kvm_vcpu *vcpu) {}
static inline void kvm_hpvm_leave_irqoff(struct kvm_vcpu *vcpu) {}
static inline bool kvm_hpvm_exit_pending(struct kvm_vcpu *vcpu) { return false; }
static inline bool kvm_hpvm_deliver(struct kvm_vcpu *vcpu, u8 vector) { return false; }
static inline bool kvm_hpvm_is_vcpu_ioctl(unsigned int ioctl) { return false; }

static inline int kvm_hpvm_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
				      void __user *argp)
{
	return -EINVAL;
}

static inline void kvm_hpvm_vcpu_destroy(struct kvm_vcpu *vcpu) {}
static inline void kvm_hpvm_vm_end(struct kvm *kvm) {}
static inline void kvm_hpvm_vm_destroy(struct kvm *kvm) {}
static inline void kvm_hpvm_asm_offsets(void) {}
static inline void kvm_hpvm_count_vcpus(struct kvm *kvm) {}
static inline void kvm_hpvm_apic_map_changed(struct kvm *kvm) {}
static inline void kvm_hpvm_update_route(struct kvm *kvm, unsigned int host_irq) {}

static inline int kvm_hpvm_add_producer(struct kvm_kernel_irqfd *irqfd,
					struct irq_bypass_producer *prod)
{
	return -EINVAL;
}

static inline void kvm_hpvm_del_producer(struct kvm_kernel_irqfd *irqfd) {}

static inline int kvm_hpvm_vm_ioctl(struct kvm *kvm, unsigned int ioctl,
				    void __user *argp)
{
	return -ENOTTY;
}

static inline void kvm_hpvm_create_vm_debugfs(struct kvm *kvm) {}

#endif /* CONFIG_KVM_HPVM */
#endif /* __KVM_X86_HPVM_H */
