/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_SVM_HPVM_H
#define __KVM_X86_SVM_HPVM_H

#include "../hpvm/direct.h"

#ifdef CONFIG_KVM_HPVM

void svm_hpvm_init(void);
void svm_hpvm_exit(void);
void __svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu);
void __svm_hpvm_close_window(void);

/* The MSR permission map was computed anew. */
static inline void svm_hpvm_update_msrpm(struct kvm_vcpu *vcpu)
{
	if (kvm_hpvm_direct(vcpu))
		__svm_hpvm_update_msrpm(vcpu);
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

#endif

#endif /* __KVM_X86_SVM_HPVM_H */
