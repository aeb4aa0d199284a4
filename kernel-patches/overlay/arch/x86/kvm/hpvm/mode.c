// SPDX-License-Identifier: GPL-2.0-only
/*
 * The direct mode: who has it, and when.
 *
 * Direct mode is a runtime state of a vCPU that is bound to a pCPU.  It's
 * decided before each pass through vcpu_enter_guest(); whatever doesn't fit
 * (nested virtualization, SMM, debugging, an access to the vCPU's state from
 * user space, ...) is the same transition to ordinary mode.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/jiffies.h>
#include <linux/kvm_host.h>

#include <asm/hpvm.h>
#include <asm/irq_remapping.h>

#include "../hyperv.h"
#include "../irq.h"
#include "../lapic.h"
#include "../smm.h"
#include "../x86.h"
#include "direct.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* On while a VM has dedicated CPUs, as vCPUs that are bound do. */
DEFINE_STATIC_KEY_FALSE(kvm_hpvm_key);
EXPORT_SYMBOL_GPL(kvm_hpvm_key);

const struct kvm_hpvm_ops *kvm_hpvm_ops;

/* The vendor module's init; before a VM can exist. */
void kvm_hpvm_register(const struct kvm_hpvm_ops *ops)
{
	kvm_hpvm_ops = ops;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_register);

void kvm_hpvm_unregister(void)
{
	kvm_hpvm_ops = NULL;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_unregister);

u64 kvm_hpvm_features(void)
{
	u64 features;

	if (!kvm_hpvm_ops || !kvm_hpvm_ops->supported() || !hpvm_cpu_supported())
		return 0;

	features = KVM_HPVM_F_DIRECT;
	if (boot_cpu_has(X86_FEATURE_TSC_DEADLINE_TIMER))
		features |= KVM_HPVM_F_TIMER_DEADLINE;
	if (hpvm_apic_bus_khz())
		features |= KVM_HPVM_F_TIMER_ONESHOT;
	if (irq_remapping_guest_vectors())
		features |= KVM_HPVM_F_IRQ;
	return features;
}

int kvm_hpvm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	u64 features = cap->args[0];
	int r = 0;

	if (cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;
	if (kvm_hpvm_host_off())
		return -ESHUTDOWN;
	if (!(features & KVM_HPVM_F_DIRECT) || (features & ~kvm_hpvm_features()))
		return -EINVAL;

	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus)
		r = -EBUSY;
	else if (!kvm->arch.hpvm)
		r = kvm_hpvm_vm_create(kvm);
	if (!r) {
		/* A device's interrupt goes one way, from beginning to end. */
		spin_lock_irq(&kvm->irqfds.lock);
		if (kvm_arch_has_assigned_device(kvm))
			r = -EBUSY;
		else
			kvm->arch.hpvm_features = features;
		spin_unlock_irq(&kvm->irqfds.lock);
	}
	if (!r) {
		/*
		 * A count that the guest calibrates in ordinary mode must have
		 * the rate that it has in direct mode.
		 */
		if (features & KVM_HPVM_F_TIMER_ONESHOT)
			kvm->arch.hpvm_bus_khz = hpvm_apic_bus_khz();
	}
	mutex_unlock(&kvm->lock);
	return r;
}

/* KVM_HPVM_REASON_*: why the vCPU has to be ordinary now. */
static u64 ordinary_reasons(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	u64 why = kvm_hpvm_ops->reasons ? kvm_hpvm_ops->reasons(vcpu) : 0;

	if (h->hold)
		why |= KVM_HPVM_REASON_HELD;
	if (kvm_hpvm_host_held())
		why |= KVM_HPVM_REASON_HOST_HELD;
	why |= kvm_hpvm_breaker_reasons(vcpu->kvm);
	if (vcpu->cpu != h->pcpu)
		why |= KVM_HPVM_REASON_WRONG_CPU;
	if (!apic_x2apic_mode(apic))
		why |= KVM_HPVM_REASON_NOT_X2APIC;
	else if (!kvm_apic_sw_enabled(apic))
		why |= KVM_HPVM_REASON_APIC_OFF;
	if (kvm_apic_accept_pic_intr(vcpu))
		why |= KVM_HPVM_REASON_EXTINT;
	/*
	 * A nested guest's entries and exits would each be a change of mode.  A guest
	 * whose kernel has KVM loaded and no VM of its own is no such guest.
	 */
	if (is_guest_mode(vcpu) || (why & KVM_HPVM_REASON_NESTED))
		h->nested_until = jiffies + HZ;
	if (time_before(jiffies, h->nested_until))
		why |= KVM_HPVM_REASON_NESTED;
#ifdef CONFIG_KVM_SMM
	if (is_smm(vcpu) || vcpu->arch.smi_pending || kvm_test_request(KVM_REQ_SMI, vcpu))
		why |= KVM_HPVM_REASON_SMM;
#endif
	if (vcpu->guest_debug)
		why |= KVM_HPVM_REASON_DEBUG;
#ifdef CONFIG_KVM_HYPERV
	if (to_hv_vcpu(vcpu) && to_hv_synic(vcpu)->active)
		why |= KVM_HPVM_REASON_HYPERV;
#endif
#ifdef CONFIG_KVM_XEN
	if (vcpu->arch.xen.vcpu_info_cache.active)
		why |= KVM_HPVM_REASON_XEN;
#endif
	if (test_bit(KVM_APIC_PV_EOI_PENDING, &vcpu->arch.apic_attention))
		why |= KVM_HPVM_REASON_PV_EOI;
	if (test_bit(KVM_APIC_CHECK_VAPIC, &vcpu->arch.apic_attention))
		why |= KVM_HPVM_REASON_VAPIC;
	if (!kvm_hpvm_isr_ok(apic) || kvm_hpvm_device_in_service(vcpu))
		why |= KVM_HPVM_REASON_ISR;
	if (vcpu->arch.mp_state != KVM_MP_STATE_RUNNABLE ||
	    kvm_apic_has_pending_init_or_sipi(vcpu))
		why |= KVM_HPVM_REASON_NOT_RUNNABLE;
	return why;
}

/* The MSRs that are safe to open now: KVM_HPVM_MSR_*. */
static u8 open_msrs(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	u8 open = 0;

	if (h->timer == KVM_HPVM_TIMER_DEADLINE &&
	    kvm_msr_allowed(vcpu, MSR_IA32_TSC_DEADLINE, KVM_MSR_FILTER_READ) &&
	    kvm_msr_allowed(vcpu, MSR_IA32_TSC_DEADLINE, KVM_MSR_FILTER_WRITE))
		open |= KVM_HPVM_MSR_DEADLINE;
	if (h->timer == KVM_HPVM_TIMER_ONESHOT)
		open |= KVM_HPVM_MSR_COUNT;
	if (!h->eoi_exits)
		open |= KVM_HPVM_MSR_EOI;
	if (!vcpu->arch.ia32_tsc_adjust_msr && !vcpu->arch.l1_tsc_offset &&
	    h->host_adjust_is_0 &&
	    kvm_msr_allowed(vcpu, MSR_IA32_TSC_ADJUST, KVM_MSR_FILTER_READ))
		open |= KVM_HPVM_MSR_ADJUST;
	return open;
}

/* IRQs on or off. */
void kvm_hpvm_update_msrs(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	u8 open = open_msrs(vcpu);

	if (open == h->open_msrs)
		return;
	h->open_msrs = open;
	kvm_hpvm_ops->set_msrs(vcpu);
}

/*
 * APICv follows the mode, vCPU by vCPU: virtual-interrupt delivery needs
 * external-interrupt exiting, which a direct vCPU does without, and an ordinary one is
 * to be as good as any other VM's; but for one that waits for an EOI, which has to exit.
 *
 * Another CPU may have found APICv active just before, and post an interrupt just
 * after.  It sets PIR, ON, and kicks a vCPU that it sees in guest mode, by an IPI that
 * is an NMI on a dedicated CPU; vcpu_enter_guest() sets the mode first, then looks at
 * ON.  So the bit reaches the virtual IRR, and from there the hardware's.
 */
static void update_apicv(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	bool was_active = kvm_vcpu_apicv_active(vcpu);
	bool off = h->direct || (h->reasons & KVM_HPVM_REASON_ISR);

	if (off == h->apicv_off)
		return;
	/* kvm_vcpu_apicv_activated() looks at it. */
	h->apicv_off = off;
	__kvm_vcpu_update_apicv(vcpu);
	/* The bitmap of EOI exits isn't kept up to date while it's inactive. */
	if (!was_active && kvm_vcpu_apicv_active(vcpu))
		kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
}

static void go_ordinary(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	/* In this order: restart_apic_timer() is held back while direct. */
	kvm_hpvm_timer_switch(vcpu, KVM_HPVM_TIMER_EMULATED);
	h->direct = false;
	h->open_msrs = 0;
	kvm_hpvm_ops->set_direct(vcpu, false);
	update_apicv(vcpu);
	++vcpu->stat.hpvm_direct_leaves;
	trace_kvm_hpvm_leave(vcpu->vcpu_id, h->pcpu, h->reasons);
	/* What is pending in the virtual IRR is injected as ever. */
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	kvm_hpvm_end_storm(h);
}

static void go_direct(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	/* A storm may have unsettled it, and the hold have ended, before its request. */
	hpvm_refuse_irqs(h->pcpu);
	/* The preemption timer forces exits now. */
	kvm_lapic_switch_to_sw_timer(vcpu);

	h->direct = true;
	h->eoi_exits = false;
	update_apicv(vcpu);
	kvm_hpvm_ops->set_direct(vcpu, true);
	/* Keep KVM's paravirtual EOI out from this pass on: it looks at these hints. */
	vcpu->arch.apic->irr_pending = true;
	vcpu->arch.apic->highest_isr_cache = -1;
	++vcpu->stat.hpvm_direct_entries;
	trace_kvm_hpvm_enter(vcpu->vcpu_id, h->pcpu, 0);
}

/*
 * HLT doesn't exit if user space wants that for the VM, and the vCPU is direct, or is held
 * in ordinary mode and would be direct otherwise: then it's as in any other VM.
 *
 * For any other reason an ordinary vCPU halts in the host.  Its HLT may be what is left of
 * an operating system that another one has replaced (kexec), with nothing behind it, and
 * be ended by INIT only; and what the host does on the pCPU is an event that ends some
 * CPUs' HLT.
 */
static void update_hlt(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	bool exits = !kvm_hlt_in_guest(vcpu->kvm) ||
		     (h->reasons & ~HPVM_HOLDS);

	/* The controls are those of the nested guest meanwhile. */
	if (exits == h->hlt_exits || is_guest_mode(vcpu))
		return;
	h->hlt_exits = exits;
	kvm_hpvm_ops->set_hlt_exits(vcpu, exits);
}

/* For user space, which asked to be told: the guest isn't entered before. */
static void report_change(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	u64 why = h->reasons & h->report;

	if (!h->report || why == h->told || (!why && !h->direct))
		return;
	h->told = why;
	h->tell = true;
	kvm_make_request(KVM_REQ_HPVM, vcpu);
}

/* User space chooses what it's told of.  Process context. */
void kvm_hpvm_set_report(struct kvm_vcpu *vcpu, u64 report)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (report == h->report)
		return;
	h->report = report;
	h->told = HPVM_UNTOLD;
	h->tell = false;
	kvm_hpvm_unsettle(vcpu);
}

/*
 * KVM_REQ_HPVM, before the guest is entered: begin this pass anew, and decide again; or
 * have KVM_RUN end, to tell of a change; and say where the guest is.  What
 * vcpu_enter_guest() returns.
 */
int kvm_hpvm_handle_request(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_exit *exit = (void *)vcpu->run->padding;
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	/* It's asked whether it is bound or not. */
	if (!h)
		return 1;
	kvm_hpvm_sample(vcpu);
	kvm_hpvm_unsettle(vcpu);
	if (!h->tell)
		return 1;
	h->tell = false;
	vcpu->run->exit_reason = KVM_EXIT_HPVM;
	*exit = (struct kvm_hpvm_exit) {
		.reasons = h->reasons,
		.state = h->direct ? KVM_HPVM_STATE_DIRECT : KVM_HPVM_STATE_ORDINARY,
	};
	return 0;
}

/* For the administrator, who doesn't want to disturb the vCPU by an ioctl. */
void kvm_hpvm_report_status(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	struct hpvm_vcpu_status *s = per_cpu_ptr(&hpvm_pcpu.vcpu, h->pcpu);

	WRITE_ONCE(s->id, vcpu->vcpu_id);
	WRITE_ONCE(s->direct, h->direct);
	WRITE_ONCE(s->timer, h->timer);
	WRITE_ONCE(s->reasons, h->reasons);
	WRITE_ONCE(s->timer_reasons, h->timer_reasons);
	/* The CPU may have had another one. */
	WRITE_ONCE(s->last_exit, vcpu->stat.hpvm_last_exit);
	WRITE_ONCE(s->last_timer, vcpu->stat.hpvm_last_timer);
}

/*
 * Held, and for no other reason: the vCPU is to cost no more than one of any other VM, so
 * nothing is decided again until whoever holds it lets it go.  Interrupts of the host may
 * come to it.
 */
static void settle(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	if (!h->reasons || (h->reasons & ~HPVM_HOLDS))
		return;
	WRITE_ONCE(h->settled, true);
	/* A storm that comes later than this sets it to false. */
	kvm_hpvm_end_storm(h);
	hpvm_accept_irqs(h->pcpu, kvm_vcpu_apicv_active(vcpu));
}

/* What was settled isn't any more.  Process context. */
void kvm_hpvm_unsettle(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	WRITE_ONCE(h->settled, false);
	hpvm_refuse_irqs(h->pcpu);
}

/* Before events are injected; vCPU loaded, IRQs on. */
void kvm_hpvm_update(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	u8 step;

	/* It sets SVM's intercepts, and this is called again after it. */
	if (kvm_test_request(KVM_REQ_APICV_UPDATE, vcpu))
		return;

	h->reasons = ordinary_reasons(vcpu);
	if (h->reasons) {
		if (h->direct)
			go_ordinary(vcpu);
		else
			kvm_hpvm_end_storm(h);
		update_apicv(vcpu);
		h->timer_reasons = KVM_HPVM_TIMER_REASON_ORDINARY;
	} else {
		if (!h->direct)
			go_direct(vcpu);
		step = kvm_hpvm_timer_step(vcpu, &h->timer_reasons);
		if (step != h->timer)
			kvm_hpvm_timer_switch(vcpu, step);
		kvm_hpvm_update_msrs(vcpu);
	}
	update_hlt(vcpu);
	report_change(vcpu);
	kvm_hpvm_report_status(vcpu);
	settle(vcpu);
}

/*
 * User space is about to look at or change the vCPU's state: have all of it in
 * ordinary format.  The next KVM_RUN goes direct again.
 */
void __kvm_hpvm_quiesce(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.hpvm->direct)
		return;
	go_ordinary(vcpu);
	kvm_hpvm_report_status(vcpu);
}

/* The vCPU is about to be unbound: from here on it's as one of any other VM.  As above. */
void kvm_hpvm_end(struct kvm_vcpu *vcpu)
{
	kvm_hpvm_unsettle(vcpu);
	__kvm_hpvm_quiesce(vcpu);
	vcpu->arch.hpvm->reasons = 0;
	update_apicv(vcpu);
	update_hlt(vcpu);
}
