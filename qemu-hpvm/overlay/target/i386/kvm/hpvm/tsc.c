/*
 * KVM direct mode ("hpvm"): the guest's TSC
 *
 * With an offset of 0 the guest's deadlines are the hardware's.  So it is 0
 * from the start, and again after each reset.  A guest that comes from another
 * host must find its TSC where it has left it, though.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "hw/core/cpu.h"
#include "qemu/error-report.h"
#include "hpvm.h"
#include "internal.h"
#include "trace.h"

/* What KVM and the host's clock take for the same rate. */
#define TOLERANCE_PPM 250

static int offset_attr(CPUState *cs, int ioctl, uint64_t *offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)offset,
    };

    return kvm_vcpu_ioctl(cs, ioctl, &attr);
}

static int set_offset(CPUState *cs, uint64_t offset)
{
    int ret = offset_attr(cs, KVM_SET_DEVICE_ATTR, &offset);

    trace_kvm_hpvm_tsc_offset(cs->cpu_index, offset, ret);
    return ret;
}

int hpvm_get_tsc_offset(CPUState *cs, uint64_t *offset)
{
    return offset_attr(cs, KVM_GET_DEVICE_ATTR, offset);
}

int hpvm_zero_tsc_offset(CPUState *cs)
{
    return set_offset(cs, 0);
}

static bool read_tsc(CPUState *cs, uint64_t *tsc)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } msrs = {
        .info.nmsrs = 1,
        .entry.index = MSR_IA32_TSC,
    };

    if (kvm_vcpu_ioctl(cs, KVM_GET_MSRS, &msrs) != 1) {
        return false;
    }
    *tsc = msrs.entry.data;
    return true;
}

/*
 * The offset with which the guest's TSC goes on where it was.  A write of the
 * TSC doesn't do: KVM takes one that is less than a second from what was
 * written last for an attempt to synchronize vCPUs, and would have the guest's
 * time jump.
 */
static bool restore_tsc(HpvmVM *vm, X86CPU *cpu)
{
    CPUState *cs = CPU(cpu);
    uint64_t tsc, offset;
    int64_t khz = kvm_vcpu_ioctl(cs, KVM_GET_TSC_KHZ);

    if (vm->keep_tsc_offsets) {
        return set_offset(cs, vm->tsc_offsets[cs->cpu_index]) == 0;
    }
    if (khz <= 0 || hpvm_get_tsc_offset(cs, &offset) < 0 ||
        !read_tsc(cs, &tsc)) {
        return false;
    }
    offset += cpu->env.tsc - tsc;

    /*
     * The source has read the vCPUs' TSCs one after the other, when all of them
     * had stopped, and they are written like that.  They are one clock unless
     * the guest has set them a second apart; no vCPU has seen a later time than
     * the first one's, which was read first.
     */
    if (cs == first_cpu) {
        vm->tsc_offset = offset;
    } else if (llabs((int64_t)(offset - vm->tsc_offset)) < khz * 1000) {
        offset = vm->tsc_offset;
    }
    return set_offset(cs, offset) == 0;
}

bool kvm_hpvm_put_tsc(X86CPU *cpu, int level)
{
    HpvmVM *vm = hpvm_vm();

    if (!vm) {
        return false;
    }
    /* A vCPU that has never been anywhere else has 0 or 1. */
    if (level == KVM_PUT_RESET_STATE) {
        vm->keep_tsc_offsets = vm->clock_goes_on = false;
    }
    if (level == KVM_PUT_RESET_STATE || cpu->env.tsc <= 1) {
        return hpvm_zero_tsc_offset(CPU(cpu)) == 0;
    }
    return restore_tsc(vm, cpu);
}

void hpvm_check_tsc_rate(X86CPU *cpu)
{
    int64_t wanted = cpu->env.user_tsc_khz;
    int64_t host = kvm_vm_ioctl(kvm_state, KVM_GET_TSC_KHZ);

    if (wanted && host > 0 &&
        llabs(wanted - host) > host * TOLERANCE_PPM / 1000000) {
        warn_report("hpvm: tsc-frequency=%" PRId64 " isn't the rate of the "
                    "host's TSC, %" PRId64 ": KVM will scale the guest's TSC "
                    "and emulate its deadline timer; leave tsc-frequency= out, "
                    "or choose a host with that rate",
                    wanted * 1000, host * 1000);
    }
}
