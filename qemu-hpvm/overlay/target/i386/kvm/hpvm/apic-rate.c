/*
 * The rate at which a guest's APIC timer counts
 *
 * A guest measures it once.  KVM's own is 1 GHz; a guest that may arm the
 * hardware's one-shot timer has the hardware's rate.  Such a guest can go on
 * only where it has the same rate, so it is part of the migration stream then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "migration/vmstate.h"
#include "hpvm.h"

/* Of emulators, too, which don't set apic_bus_freq. */
#define DEFAULT_RATE 1000000000ULL

/* Hosts of one kind measure their rates a bit differently. */
#define TOLERANCE_PPM 500

static bool apic_rate_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    uint64_t rate = cpu->env.apic_bus_freq;

    return rate && rate != DEFAULT_RATE;
}

static int apic_rate_pre_save(void *opaque)
{
    X86CPU *cpu = opaque;

    cpu->env.incoming_apic_bus_freq = cpu->env.apic_bus_freq;
    return 0;
}

const VMStateDescription vmstate_x86_apic_rate = {
    .name = "cpu/apic_bus_freq",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = apic_rate_needed,
    .pre_save = apic_rate_pre_save,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(env.incoming_apic_bus_freq, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

bool x86_check_apic_rate(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint64_t theirs = env->incoming_apic_bus_freq ?: DEFAULT_RATE;
    uint64_t ours = env->apic_bus_freq ?: DEFAULT_RATE;
    uint64_t difference = theirs > ours ? theirs - ours : ours - theirs;

    /* The next stream may not have it. */
    env->incoming_apic_bus_freq = 0;
    if (difference <= ours / 1000000 * TOLERANCE_PPM) {
        return true;
    }
    error_report("the guest's APIC timer counts at %" PRIu64 " Hz, and would "
                 "at %" PRIu64 " Hz here, which makes all its timers early or "
                 "late; give an ordinary guest the same rate with -accel "
                 "kvm,apic-bus-cycle-ns=, or one with hpvm=on a host that has "
                 "it, or use TSC deadline mode (hpvm-timer=deadline) on both",
                 theirs, ours);
    return false;
}
