// SPDX-License-Identifier: GPL-2.0-only
/*
 * The direct mode on VMX: controls, MSR bitmap, and getting out of the guest.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/kvm_host.h>

#include <asm/apic.h>
#include <asm/hpvm.h>
#include <asm/mshyperv.h>

#include "../lapic.h"
#include "capabilities.h"
#include "hpvm_pi.h"
#include "vmx_hpvm.h"
#include "vmx.h"
#include "../x86.h"
#include "vmx_onhyperv.h"
#include "x86_ops.h"

/* vmx_hpvm_force_exit() has changed the current VMCS. */
static DEFINE_PER_CPU(bool, forced_exit);

/* Not a mode of vmx_update_msr_bitmap_x2apic(): it computes anew. */
#define MSR_BITMAP_MODE_HPVM	0xff

/* Shadow paging would exit all the time. */
static bool vmx_hpvm_supported(void)
{
	return enable_ept && cpu_has_vmx_msr_bitmap() &&
	       !kvm_is_using_evmcs();
}

/*
 * Keep vmx_update_hv_timer() from writing the timer's value: it could overwrite
 * the 0 of an NMI that came after the last check for pending work.
 */
static void vmx_hpvm_park_timer(struct vcpu_vmx *vmx)
{
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, -1);
	vmx->loaded_vmcs->hv_timer_soft_disabled = true;
}

/*
 * May VM exits go to the fast path for the ICR?  Not if L1D is to be flushed at each
 * entry.  Nor where VERW clears CPU buffers for guests with devices alone, and is made
 * not to while this guest runs (vmx_disable_fb_clear()); that depends on the guest's
 * IA32_ARCH_CAPABILITIES, which user space sets with the vCPU in ordinary mode.
 */
static bool vmx_hpvm_fast_icr(struct vcpu_vmx *vmx)
{
	if (boot_cpu_has_bug(X86_BUG_L1TF) &&
	    l1tf_vmx_mitigation == VMENTER_L1D_FLUSH_ALWAYS)
		return false;
	return !(static_branch_unlikely(&mmio_stale_data_clear) && vmx->disable_fb_clear);
}

/*
 * Primary and secondary controls that are off in direct mode:
 *
 * - use TPR shadow, and with it (SDM vol. 3C 27.2.1.1) virtualize x2APIC mode,
 *   APIC-register virtualization and virtual-interrupt delivery: the registers
 *   are the hardware's.
 * - CR8-load and CR8-store exiting: CR8 is the hardware's TPR.
 * - interrupt-window exiting: nothing is injected.
 *
 * The other two of the secondary controls are off already, because APICv is
 * inactive; and so is IPI virtualization, always (vmx_can_use_ipiv()).
 */
static void vmx_hpvm_set_direct(struct kvm_vcpu *vcpu, bool direct)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	/* Pin-based controls, APICv's controls, MSR bitmap. */
	vmx_refresh_apicv_exec_ctrl(vcpu);

	vmcs_writel(HOST_RIP, (unsigned long)(direct && vmx_hpvm_fast_icr(vmx) ?
					      vmx_hpvm_vmexit : vmx_vmexit));

	if (direct) {
		vmx_hpvm_park_timer(vmx);
		exec_controls_clearbit(vmx, CPU_BASED_TPR_SHADOW |
				       CPU_BASED_CR8_LOAD_EXITING |
				       CPU_BASED_CR8_STORE_EXITING |
				       CPU_BASED_INTR_WINDOW_EXITING);
		if (cpu_has_secondary_exec_ctrls())
			secondary_exec_controls_clearbit(vmx,
							 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE);
	} else {
		vmx->loaded_vmcs->hv_timer_soft_disabled = false;
		if (cpu_has_vmx_tpr_shadow())
			exec_controls_setbit(vmx, CPU_BASED_TPR_SHADOW);
		else
			exec_controls_setbit(vmx, CPU_BASED_CR8_LOAD_EXITING |
					     CPU_BASED_CR8_STORE_EXITING);
		/* Also brings the MSR bitmap up to date. */
		vmx_set_virtual_apic_mode(vcpu);
	}
}

static void vmx_hpvm_set_hlt_exits(struct kvm_vcpu *vcpu, bool exits)
{
	if (exits)
		exec_controls_setbit(to_vmx(vcpu), CPU_BASED_HLT_EXITING);
	else
		exec_controls_clearbit(to_vmx(vcpu), CPU_BASED_HLT_EXITING);
}

/* VM entry goes on with the activity state that the exit has saved (SDM vol. 3C 27.7.2). */
static void vmx_hpvm_end_hlt(struct kvm_vcpu *vcpu)
{
	if (vmcs_read32(GUEST_ACTIVITY_STATE) == GUEST_ACTIVITY_HLT)
		vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
}

static void set_bitmap(unsigned long *bitmap, u32 msr, bool open, int type)
{
	if (type & MSR_TYPE_R) {
		if (open)
			vmx_clear_msr_bitmap_read(bitmap, msr);
		else
			vmx_set_msr_bitmap_read(bitmap, msr);
	}
	if (type & MSR_TYPE_W) {
		if (open)
			vmx_clear_msr_bitmap_write(bitmap, msr);
		else
			vmx_set_msr_bitmap_write(bitmap, msr);
	}
}

/* Those that change while direct. */
static void vmx_hpvm_set_msrs(struct kvm_vcpu *vcpu)
{
	unsigned long *bitmap = to_vmx(vcpu)->vmcs01.msr_bitmap;
	u8 open = vcpu->arch.hpvm->open_msrs;

	set_bitmap(bitmap, MSR_IA32_TSC_DEADLINE, open & KVM_HPVM_MSR_DEADLINE,
		   MSR_TYPE_RW);
	set_bitmap(bitmap, MSR_IA32_TSC_ADJUST, open & KVM_HPVM_MSR_ADJUST,
		   MSR_TYPE_R);
	if (!kvm_hpvm_direct(vcpu))
		return;
	set_bitmap(bitmap, X2APIC_MSR(APIC_EOI), open & KVM_HPVM_MSR_EOI,
		   MSR_TYPE_W);
	set_bitmap(bitmap, X2APIC_MSR(APIC_TMICT), open & KVM_HPVM_MSR_COUNT,
		   MSR_TYPE_W);
	set_bitmap(bitmap, X2APIC_MSR(APIC_TMCCT), open & KVM_HPVM_MSR_COUNT,
		   MSR_TYPE_R);
}

/*
 * The x2APIC part of the MSR bitmap.  Returns true if it's ours: the vCPU is
 * direct.  Not opened, because they reach further than this CPU's own
 * interrupts: ICR (any CPU), LVT entries and SVR (NMI and SMI delivery modes),
 * ID and LDR; and TMR, since posted vectors are edge-triggered in hardware.
 */
bool vmx_hpvm_msr_bitmap(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long *bitmap = vmx->vmcs01.msr_bitmap;
	u32 reg, msr;

	if (!kvm_hpvm_direct(vcpu)) {
		if (vmx->x2apic_msr_bitmap_mode == MSR_BITMAP_MODE_HPVM)
			vmx_hpvm_set_msrs(vcpu);
		return false;
	}

	vmx->x2apic_msr_bitmap_mode = MSR_BITMAP_MODE_HPVM;
	for (msr = APIC_BASE_MSR; msr <= X2APIC_MSR(APIC_SELF_IPI); msr++)
		set_bitmap(bitmap, msr, false, MSR_TYPE_RW);

	set_bitmap(bitmap, X2APIC_MSR(APIC_TASKPRI), true, MSR_TYPE_RW);
	set_bitmap(bitmap, X2APIC_MSR(APIC_PROCPRI), true, MSR_TYPE_R);
	for (reg = 0; reg < 0x80; reg += 0x10) {
		set_bitmap(bitmap, X2APIC_MSR(APIC_ISR + reg), true, MSR_TYPE_R);
		set_bitmap(bitmap, X2APIC_MSR(APIC_IRR + reg), true, MSR_TYPE_R);
	}
	set_bitmap(bitmap, X2APIC_MSR(APIC_SELF_IPI), true, MSR_TYPE_W);
	vmx_hpvm_set_msrs(vcpu);
	return true;
}

/*
 * Exit right after the next VM entry: the preemption timer with value 0 expires
 * before the first instruction (SDM vol. 3C 26.5.1).  In NMI context, or with
 * IRQs off.  The VMCS is current: this is called between the last check for
 * pending work and vmx_hpvm_exited() only.
 */
static bool vmx_hpvm_force_exit(void)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (kvm_handling_nmi_from_guest(vcpu))
		return false;

	this_cpu_write(forced_exit, true);
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, 0);
	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL,
		     pin_controls_get(vmx) | PIN_BASED_VMX_PREEMPTION_TIMER);
	return true;
}

static void vmx_hpvm_exited(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!this_cpu_read(forced_exit))
		return;
	this_cpu_write(forced_exit, false);
	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, pin_controls_get(vmx));
	vmx_hpvm_park_timer(vmx);
}

/*
 * Exits that are handled without leaving; see ../hpvm/fast_exit.c.  Most writes to the ICR
 * don't come here, but end in hpvm_ipi.S.
 */
fastpath_t __vmx_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long qual;

	/* With the modifiers: from an enclave, for one, it's another exit. */
	switch (vmx->exit_reason.full) {
	case EXIT_REASON_CPUID:
		return kvm_hpvm_fast_cpuid(vcpu);
	case EXIT_REASON_MSR_READ:
		return kvm_hpvm_fast_rdmsr(vcpu);
	case EXIT_REASON_MSR_WRITE:
		return kvm_hpvm_fast_wrmsr(vcpu);
	case EXIT_REASON_IO_INSTRUCTION:
		/* SDM vol. 3C table 28-5: size less 1, direction is in, string. */
		qual = vmx_get_exit_qual(vcpu);
		if (qual & (BIT(3) | BIT(4)))
			return EXIT_FASTPATH_NONE;
		return kvm_hpvm_fast_out(vcpu, qual >> 16, (qual & 7) + 1);
	case EXIT_REASON_EPT_MISCONFIG:
		/*
		 * Not if the access delivers an event, which is no instruction; nor where
		 * the instruction's length isn't known, as skip_emulated_instruction() has it.
		 */
		if ((vmx->idt_vectoring_info & VECTORING_INFO_VALID_MASK) ||
		    static_cpu_has(X86_FEATURE_HYPERVISOR))
			return EXIT_FASTPATH_NONE;
		return kvm_hpvm_fast_mmio(vcpu, vmcs_read64(GUEST_PHYSICAL_ADDRESS));
	default:
		return EXIT_FASTPATH_NONE;
	}
}

static const struct kvm_hpvm_ops vmx_hpvm_ops = {
	.supported	= vmx_hpvm_supported,
	.set_direct	= vmx_hpvm_set_direct,
	.set_hlt_exits	= vmx_hpvm_set_hlt_exits,
	.end_hlt	= vmx_hpvm_end_hlt,
	.set_msrs	= vmx_hpvm_set_msrs,
	.force_exit	= vmx_hpvm_force_exit,
	.exited		= vmx_hpvm_exited,
	.cpus_taken	= vmx_hpvm_pi_cpus_taken,
};

/**
 * vmx_hpvm_init - offer the direct mode
 * @usable:	virtual NMIs and the preemption timer are there: with NMI exiting
 *		they keep the host in control and close the entry window
 */
void __init vmx_hpvm_init(bool usable)
{
	if (usable)
		kvm_hpvm_register(&vmx_hpvm_ops);
}

void vmx_hpvm_exit(void)
{
	kvm_hpvm_unregister();
}
