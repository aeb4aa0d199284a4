/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ASM_X86_KVM_HPVM_HOST_H
#define _ASM_X86_KVM_HPVM_HOST_H

/* What the direct mode adds to structures of <asm/kvm_host.h>. */

#ifdef CONFIG_KVM_HPVM

struct kvm_hpvm_vcpu;

#define KVM_HPVM_VM_ARCH						\
	u64 hpvm_features;

#define KVM_HPVM_VCPU_ARCH						\
	struct kvm_hpvm_vcpu *hpvm;

#define KVM_HPVM_VCPU_STAT						\
	u64 hpvm_direct_entries;					\
	u64 hpvm_direct_leaves;						\
	u64 hpvm_recorded;						\
	u64 hpvm_reposted;						\
	u64 hpvm_in_service;						\
	u64 hpvm_eoi_intercepts;

#define KVM_HPVM_VCPU_STATS_DESC					\
	STATS_DESC_COUNTER(VCPU, hpvm_direct_entries),			\
	STATS_DESC_COUNTER(VCPU, hpvm_direct_leaves),			\
	STATS_DESC_COUNTER(VCPU, hpvm_recorded),			\
	STATS_DESC_COUNTER(VCPU, hpvm_reposted),			\
	STATS_DESC_COUNTER(VCPU, hpvm_in_service),			\
	STATS_DESC_COUNTER(VCPU, hpvm_eoi_intercepts),

#else

#define KVM_HPVM_VM_ARCH
#define KVM_HPVM_VCPU_ARCH
#define KVM_HPVM_VCPU_STAT
#define KVM_HPVM_VCPU_STATS_DESC

#endif

#endif /* _ASM_X86_KVM_HPVM_HOST_H */
