// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of a direct vCPU that are handled where the guest was left: IRQs stay off, the
 * guest's state stays in the local APIC, and the loop of entries in vcpu_enter_guest()
 * goes on.  So nothing in here may sleep, fault, or take a lock whose holder may wait
 * for another CPU (mmu_lock: for TLBs to be flushed).
 *
 * A handler may queue an exception, as for CPUID that faults: that is a request, which
 * ends the loop.  So does work of the host's (kvm_hpvm_exit_pending()).
 *
 * EXIT_FASTPATH_NONE: nothing was done, and the exit takes the ordinary way.
 */
#include <linux/kvm_host.h>

#include <asm/hpvm.h>

#include "../cpuid.h"
#include "../lapic.h"
#include "../trace.h"
#include "../x86.h"
#include "direct.h"

static fastpath_t skip_instruction(struct kvm_vcpu *vcpu)
{
	return kvm_skip_emulated_instruction(vcpu) ? EXIT_FASTPATH_REENTER_GUEST :
						     EXIT_FASTPATH_EXIT_USERSPACE;
}

fastpath_t kvm_hpvm_fast_cpuid(struct kvm_vcpu *vcpu)
{
	int r;

	/* For the filter of the virtual PMU, which counts instructions. */
	kvm_vcpu_srcu_read_lock(vcpu);
	r = kvm_emulate_cpuid(vcpu);
	kvm_vcpu_srcu_read_unlock(vcpu);
	return r ? EXIT_FASTPATH_REENTER_GUEST : EXIT_FASTPATH_EXIT_USERSPACE;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_fast_cpuid);

/* MSRs that a running guest may use often, and that are but registers and variables. */
static bool is_quick_msr(u32 msr)
{
	switch (msr) {
	case MSR_IA32_SPEC_CTRL:
	case MSR_IA32_POWER_CTL:
	case MSR_MISC_FEATURES_ENABLES:
	case MSR_TSC_AUX:
		return true;
	default:
		return false;
	}
}

fastpath_t kvm_hpvm_fast_rdmsr(struct kvm_vcpu *vcpu)
{
	u32 msr = kvm_rcx_read(vcpu);
	fastpath_t r;
	u64 data;

	/* Failures are for the ordinary way, which tries again and tells of them. */
	if (!is_quick_msr(msr) || kvm_get_msr_with_filter(vcpu, msr, &data))
		return EXIT_FASTPATH_NONE;

	kvm_vcpu_srcu_read_lock(vcpu);
	trace_kvm_msr_read(msr, data);
	kvm_rax_write(vcpu, (u32)data);
	kvm_rdx_write(vcpu, data >> 32);
	r = skip_instruction(vcpu);
	kvm_vcpu_srcu_read_unlock(vcpu);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_fast_rdmsr);

static bool set_msr(struct kvm_vcpu *vcpu, u32 msr, u64 data)
{
	switch (msr) {
	case APIC_BASE_MSR + (APIC_ICR >> 4):
		return kvm_hpvm_send_icr(vcpu, data);
	case MSR_IA32_TSC_DEADLINE:
		return kvm_hpvm_arm_deadline(vcpu, data);
	default:
		return is_quick_msr(msr) && !kvm_set_msr_with_filter(vcpu, msr, data);
	}
}

fastpath_t kvm_hpvm_fast_wrmsr(struct kvm_vcpu *vcpu)
{
	u32 msr = kvm_rcx_read(vcpu);
	u64 data = kvm_read_edx_eax(vcpu);
	fastpath_t r;

	if (!set_msr(vcpu, msr, data))
		return EXIT_FASTPATH_NONE;

	kvm_vcpu_srcu_read_lock(vcpu);
	trace_kvm_msr_write(msr, data);
	r = skip_instruction(vcpu);
	kvm_vcpu_srcu_read_unlock(vcpu);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_fast_wrmsr);

/* The lock of an eventfd, and its waiters', sleep with PREEMPT_RT. */
static bool signal_ioeventfd(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
			     int len, const void *val)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT) &&
	       !kvm_io_bus_signal(vcpu, bus, addr, len, val);
}

/* OUT of the first @size bytes of RAX to @port, if that signals an ioeventfd. */
fastpath_t kvm_hpvm_fast_out(struct kvm_vcpu *vcpu, u16 port, int size)
{
	unsigned long val = kvm_rax_read(vcpu);
	fastpath_t r = EXIT_FASTPATH_NONE;

	kvm_vcpu_srcu_read_lock(vcpu);
	if (signal_ioeventfd(vcpu, KVM_PIO_BUS, port, size, &val)) {
		++vcpu->stat.io_exits;
		trace_kvm_pio(KVM_PIO_OUT, port, size, 1, &val);
		r = skip_instruction(vcpu);
	}
	kvm_vcpu_srcu_read_unlock(vcpu);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_fast_out);

/* An access to @gpa, where there is no memory, if that signals an ioeventfd. */
fastpath_t kvm_hpvm_fast_mmio(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	fastpath_t r = EXIT_FASTPATH_NONE;

	kvm_vcpu_srcu_read_lock(vcpu);
	if (signal_ioeventfd(vcpu, KVM_FAST_MMIO_BUS, gpa, 0, NULL)) {
		trace_kvm_fast_mmio(gpa);
		r = skip_instruction(vcpu);
	}
	kvm_vcpu_srcu_read_unlock(vcpu);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_hpvm_fast_mmio);
