/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_VMX_HPVM_PI_H
#define __KVM_X86_VMX_HPVM_PI_H

/*
 * Notifications of posted interrupts stay off dedicated CPUs; see hpvm_pi.c.
 */

#include <linux/compiler.h>
#include <linux/jump_label.h>
#include <linux/types.h>

#include <asm/cmpxchg.h>
#include <asm/posted_intr.h>

struct cpumask;
struct kvm_vcpu;

/*
 * Have the notifications of @pi that go to the CPU with APIC ID @from go to @to.
 * False: they don't go there.  ON, SN, NV and the vectors stay what they are, while
 * other CPUs and devices change them.
 */
static inline bool hpvm_pi_retarget(struct pi_desc *pi, u32 from, u32 to)
{
	struct pi_desc old, new;

	old.control = READ_ONCE(pi->control);
	do {
		if (old.ndst != from)
			return false;
		new.control = old.control;
		new.ndst = to;
	} while (!try_cmpxchg64(&pi->control, &old.control, new.control));
	return true;
}

/* Notifications of @pi have vector @nv from now on; all else stays what it is. */
static inline void hpvm_pi_set_vector(struct pi_desc *pi, u8 nv)
{
	struct pi_desc old, new;

	old.control = READ_ONCE(pi->control);
	do {
		new.control = old.control;
		new.nv = nv;
	} while (!try_cmpxchg64(&pi->control, &old.control, new.control));
}

#ifdef CONFIG_KVM_HPVM

/* On from the first time that a CPU is taken. */
DECLARE_STATIC_KEY_FALSE(vmx_hpvm_pi_key);

int __vmx_hpvm_pi_cpu(int cpu);
void __vmx_hpvm_pi_load(struct kvm_vcpu *vcpu, int cpu);
void __vmx_hpvm_pi_put(struct kvm_vcpu *vcpu);
void __vmx_hpvm_pi_wakeup(void);
void vmx_hpvm_pi_cpus_taken(const struct cpumask *cpus);

/* Where a vCPU that is loaded on @cpu is notified.  Preemption off. */
static __always_inline int vmx_hpvm_pi_cpu(int cpu)
{
	return static_branch_unlikely(&vmx_hpvm_pi_key) ? __vmx_hpvm_pi_cpu(cpu) : cpu;
}

/* True: done, instead of vmx_vcpu_pi_load(). */
static __always_inline bool vmx_hpvm_pi_load(struct kvm_vcpu *vcpu, int cpu)
{
	if (!static_branch_unlikely(&vmx_hpvm_pi_key))
		return false;
	__vmx_hpvm_pi_load(vcpu, cpu);
	return true;
}

/* True: done, instead of vmx_vcpu_pi_put(). */
static __always_inline bool vmx_hpvm_pi_put(struct kvm_vcpu *vcpu)
{
	if (!static_branch_unlikely(&vmx_hpvm_pi_key))
		return false;
	__vmx_hpvm_pi_put(vcpu);
	return true;
}

/* With pi_wakeup_handler(). */
static __always_inline void vmx_hpvm_pi_wakeup(void)
{
	if (static_branch_unlikely(&vmx_hpvm_pi_key))
		__vmx_hpvm_pi_wakeup();
}

#else

static inline int vmx_hpvm_pi_cpu(int cpu) { return cpu; }
static inline bool vmx_hpvm_pi_load(struct kvm_vcpu *vcpu, int cpu) { return false; }
static inline bool vmx_hpvm_pi_put(struct kvm_vcpu *vcpu) { return false; }
static inline void vmx_hpvm_pi_wakeup(void) {}

#endif /* CONFIG_KVM_HPVM */
#endif /* __KVM_X86_VMX_HPVM_PI_H */
