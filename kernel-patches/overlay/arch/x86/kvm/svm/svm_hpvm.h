/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_SVM_HPVM_H
#define __KVM_X86_SVM_HPVM_H

#include "../hpvm/direct.h"

#ifdef CONFIG_KVM_HPVM

void svm_hpvm_init(void);
void svm_hpvm_exit(void);
void __svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu);
void __svm_hpvm_close_window(void);
fastpath_t __svm_hpvm_exit_fastpath(struct kvm_vcpu *vcpu);

/* The MSR permission map was computed anew. */
static inline void svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm_direct(vcpu))
		__svm_hpvm_update_msrpm(vcpu);
}

/* Right after #VMEXIT, IRQs off: what can be handled without leaving direct mode. */
static __always_inline fastpath_t svm_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	return kvm_hpvm_direct(vcpu) ? __svm_hpvm_exit_fastpath(vcpu) : EXIT_FASTPATH_NONE;
}

/* Right after CLGI: leave the guest at once if the host has work. */
static __always_inline void svm_hpvm_close_window(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm_direct(vcpu))
		__svm_hpvm_close_window();
}

#else

static inline void svm_hpvm_init(void) {}
static inline void svm_hpvm_exit(void) {}
static inline void svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu) {}
static inline void svm_hpvm_close_window(struct kvm_vcpu *vcpu) {}

static inline fastpath_t svm_hpvm_exit_fastpath(struct kvm_vcpu *vcpu)
{
	return EXIT_FASTPATH_NONE;
}

#endif

#endif /* __KVM_X86_SVM_HPVM_H */
