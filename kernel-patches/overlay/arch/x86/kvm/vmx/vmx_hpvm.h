/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_VMX_HPVM_H
#define __KVM_X86_VMX_HPVM_H

#include "../hpvm/direct.h"
#include "vmx.h"

#ifdef CONFIG_KVM_HPVM

void vmx_hpvm_init(bool usable);
void vmx_hpvm_exit(void);
/* Places to jump to, not functions: hpvm_ipi.S, vmenter.S. */
void vmx_hpvm_vmexit(void);
void vmx_vmexit(void);
bool vmx_hpvm_msr_bitmap(struct kvm_vcpu *vcpu);
fastpath_t __vmx_hpvm_exit_fastpath(struct kvm_vcpu *vcpu);

/* Right after a VM exit, IRQs off: what can be handled without leaving direct mode. */
static __always_inline fastpath_t vmx_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	return kvm_hpvm_direct(vcpu) ? __vmx_hpvm_exit_fastpath(vcpu) : EXIT_FASTPATH_NONE;
}

/*
 * Pin-based controls of a direct vCPU.  Off are:
 *
 * - external-interrupt exiting: interrupts go through the guest's IDT.  What
 *   protects the host: its own events are NMIs, and NMI exiting stays on.
 * - process posted interrupts: must be 0 without external-interrupt exiting (SDM
 *   vol. 3C 27.2.1.1).  Nothing posts: APICv is inactive.
 * - VMX-preemption timer: on only to force an exit; see vmx_hpvm_force_exit().
 */
static inline u32 vmx_hpvm_pin_controls(struct kvm_vcpu *vcpu, u32 pin)
{
	if (kvm_hpvm_direct(vcpu))
		pin &= ~(PIN_BASED_EXT_INTR_MASK | PIN_BASED_POSTED_INTR |
			 PIN_BASED_VMX_PREEMPTION_TIMER);
	return pin;
}

#else

static inline void vmx_hpvm_init(bool usable) {}
static inline void vmx_hpvm_exit(void) {}
static inline bool vmx_hpvm_msr_bitmap(struct kvm_vcpu *vcpu) { return false; }

static inline fastpath_t vmx_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	return EXIT_FASTPATH_NONE;
}

static inline u32 vmx_hpvm_pin_controls(struct kvm_vcpu *vcpu, u32 pin)
{
	return pin;
}

#endif

#endif /* __KVM_X86_VMX_HPVM_H */
