/*
 * KVM direct mode ("hpvm"): the guest's TSC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "hpvm.h"
#include "internal.h"
#include "trace.h"

int hpvm_zero_tsc_offset(CPUState *cs)
{
    uint64_t offset = 0;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&offset,
    };
    int ret = kvm_vcpu_ioctl(cs, KVM_SET_DEVICE_ATTR, &attr);

    trace_kvm_hpvm_tsc_offset(cs->cpu_index, ret);
    return ret;
}

bool kvm_hpvm_reset_tsc(X86CPU *cpu)
{
    /* x86_cpu_reset_hold() leaves 0 or 1; anything else has been migrated. */
    return hpvm_vm() && cpu->env.tsc <= 1 &&
           hpvm_zero_tsc_offset(CPU(cpu)) == 0;
}
