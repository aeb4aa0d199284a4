// SPDX-License-Identifier: GPL-2.0-only
/*
 * The direct mode on SVM: intercepts, MSR permission map, and getting out of the
 * guest.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/kvm_host.h>

#include <asm/apic.h>
#include <asm/hpvm.h>

#include "../lapic.h"
#include "../x86.h"
#include "svm_hpvm.h"
#include "svm.h"
#include "svm_onhyperv.h"

#define X2APIC_MSR(reg)	(APIC_BASE_MSR + ((reg) >> 4))

/* The next VMRUN has to exit at once. */
static DEFINE_PER_CPU(bool, forced_exit);

/* Shadow paging would exit all the time. */
static bool svm_hpvm_supported(void)
{
	return npt_enabled;
}

/*
 * Off in direct mode are:
 *
 * - the INTR intercept and V_INTR_MASKING: interrupts go through the guest's IDT,
 *   masked by its own EFLAGS.IF and by CR8, which is the hardware's TPR (APM
 *   vol. 2 15.21.1).  What protects the host: its own events are NMIs, and the NMI
 *   intercept stays on.
 * - the intercept of writes to CR8: see above.
 * - the virtual interrupt that KVM uses to wait for EFLAGS.IF: nothing is
 *   injected.
 *
 * On is the intercept of CLGI: with virtual GIF that instruction wouldn't exit, and
 * would hold back virtual interrupts only (APM vol. 2 15.33).
 *
 * AVIC is off already: it's inactive.
 */
static void svm_hpvm_set_direct(struct kvm_vcpu *vcpu, bool direct)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb01.ptr;

	if (direct) {
		svm_clr_intercept(svm, INTERCEPT_INTR);
		svm_clr_intercept(svm, INTERCEPT_CR8_WRITE);
		svm_clr_intercept(svm, INTERCEPT_VINTR);
		svm_set_intercept(svm, INTERCEPT_CLGI);
		vmcb->control.int_ctl &= ~(V_INTR_MASKING_MASK | V_TPR_MASK |
					   V_IRQ_INJECTION_BITS_MASK);
	} else {
		svm_set_intercept(svm, INTERCEPT_INTR);
		if (vgif)
			svm_clr_intercept(svm, INTERCEPT_CLGI);
		/* Until svm_update_cr8_intercept() has looked. */
		svm_set_intercept(svm, INTERCEPT_CR8_WRITE);
		vmcb->control.int_ctl |= V_INTR_MASKING_MASK;
	}
	vmcb_mark_dirty(vmcb, VMCB_INTR);
	__svm_hpvm_update_msrpm(vcpu);
}

static void svm_hpvm_set_hlt_exits(struct kvm_vcpu *vcpu, bool exits)
{
	if (exits)
		svm_set_intercept(to_svm(vcpu), INTERCEPT_HLT);
	else
		svm_clr_intercept(to_svm(vcpu), INTERCEPT_HLT);
}

/* Two bits for each MSR, those below 0x2000 first: read, write (APM vol. 2 15.11). */
static void set_msrpm(unsigned long *map, u32 msr, bool read, bool write)
{
	__assign_bit(2 * msr, map, !read);
	__assign_bit(2 * msr + 1, map, !write);
}

/*
 * The MSRs of the direct mode in the MSR permission map.  Not opened, because
 * they reach further than this CPU's own interrupts: ICR (any CPU), LVT entries
 * and SVR (NMI and SMI delivery modes), ID and LDR; and TMR, since posted vectors
 * are edge-triggered in hardware.  The map of a nested guest is merged from this
 * one, but never while the vCPU is direct.
 */
void __svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned long *map = (unsigned long *)svm->msrpm;
	bool direct = kvm_hpvm_direct(vcpu);
	u8 open = direct ? vcpu->arch.hpvm->open_msrs : 0;
	u32 reg;

	set_msrpm(map, MSR_IA32_TSC_DEADLINE, open & KVM_HPVM_MSR_DEADLINE,
		  open & KVM_HPVM_MSR_DEADLINE);
	set_msrpm(map, MSR_IA32_TSC_ADJUST, open & KVM_HPVM_MSR_ADJUST, false);

	set_msrpm(map, X2APIC_MSR(APIC_TASKPRI), direct, direct);
	set_msrpm(map, X2APIC_MSR(APIC_PROCPRI), direct, false);
	for (reg = 0; reg < 0x80; reg += 0x10) {
		set_msrpm(map, X2APIC_MSR(APIC_ISR + reg), direct, false);
		set_msrpm(map, X2APIC_MSR(APIC_IRR + reg), direct, false);
	}
	set_msrpm(map, X2APIC_MSR(APIC_SELF_IPI), false, direct);
	set_msrpm(map, X2APIC_MSR(APIC_EOI), false, open & KVM_HPVM_MSR_EOI);
	set_msrpm(map, X2APIC_MSR(APIC_TMICT), false, open & KVM_HPVM_MSR_COUNT);
	set_msrpm(map, X2APIC_MSR(APIC_TMCCT), open & KVM_HPVM_MSR_COUNT, false);

	svm_hv_vmcb_dirty_nested_enlightenments(vcpu);
	svm->nested.force_msr_bitmap_recalc = true;
	vmcb_mark_dirty(svm->vmcb01.ptr, VMCB_PERM_MAP);
}

/*
 * In NMI context, or with IRQs off; between the last check for pending work and
 * svm_hpvm_exited() only.  What it asks for happens after CLGI.
 */
static bool svm_hpvm_force_exit(void)
{
	if (kvm_handling_nmi_from_guest(kvm_get_running_vcpu()))
		return false;

	this_cpu_write(forced_exit, true);
	return true;
}

/*
 * GIF is 0.  From here on an NMI is held back until VMRUN has set GIF, and exits
 * then (APM vol. 2 15.17).  One that came before this was taken by the host, and
 * has set the flag: send another one.
 */
void __svm_hpvm_close_window(void)
{
	if (this_cpu_read(forced_exit))
		hpvm_send_self_nmi();
}

static void svm_hpvm_exited(struct kvm_vcpu *vcpu)
{
	this_cpu_write(forced_exit, false);
}

static u64 svm_hpvm_reasons(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 why = 0;

	/* Interrupts are held back until STGI, which only KVM's injection knows. */
	if (!gif_set(svm))
		why |= KVM_HPVM_REASON_NESTED;
	/* Its registers and its view of the MSRs are not what KVM sees. */
	if (sev_guest(vcpu->kvm))
		why |= KVM_HPVM_REASON_PROTECTED;
	/*
	 * Without virtual NMIs KVM single-steps the guest to see the end of its NMI
	 * handler: an interrupt would save the TF that isn't the guest's.
	 */
	if (!vnmi && (vcpu->arch.nmi_pending || vcpu->arch.nmi_injected ||
		      svm->nmi_masked || svm->nmi_singlestep))
		why |= KVM_HPVM_REASON_NMI;
	return why;
}

/*
 * Exits that are handled without leaving; see ../hpvm/fast_exit.c.  The next RIP is known.
 * It isn't for a page fault (APM vol. 2 15.7.1), so MMIO takes the ordinary way.
 */
fastpath_t __svm_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	u32 info = control->exit_info_1;

	switch (control->exit_code) {
	case SVM_EXIT_CPUID:
		return kvm_hpvm_fast_cpuid(vcpu);
	case SVM_EXIT_MSR:
		return info ? kvm_hpvm_fast_wrmsr(vcpu) : kvm_hpvm_fast_rdmsr(vcpu);
	case SVM_EXIT_IOIO:
		if (info & (SVM_IOIO_TYPE_MASK | SVM_IOIO_STR_MASK))
			return EXIT_FASTPATH_NONE;
		return kvm_hpvm_fast_out(vcpu, info >> 16,
					 (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT);
	default:
		return EXIT_FASTPATH_NONE;
	}
}

static const struct kvm_hpvm_ops svm_hpvm_ops = {
	.supported	= svm_hpvm_supported,
	.set_direct	= svm_hpvm_set_direct,
	.set_hlt_exits	= svm_hpvm_set_hlt_exits,
	.set_msrs	= __svm_hpvm_update_msrpm,
	.force_exit	= svm_hpvm_force_exit,
	.exited		= svm_hpvm_exited,
	.reasons	= svm_hpvm_reasons,
};

void __init svm_hpvm_init(void)
{
	kvm_hpvm_register(&svm_hpvm_ops);
}

void svm_hpvm_exit(void)
{
	kvm_hpvm_unregister();
}
