/*
 * KVM direct mode ("hpvm"): a QEMU without it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-hpvm-target.h"
#include "hpvm.h"

void kvm_hpvm_accel_class_init(ObjectClass *oc)
{
}

void kvm_hpvm_init(MachineState *ms, KVMState *s)
{
}

void kvm_hpvm_cpu_defaults(X86CPU *cpu)
{
}

void kvm_hpvm_init_vcpu(CPUState *cs)
{
}

void kvm_hpvm_clock_was_read(const struct kvm_clock_data *data)
{
}

void kvm_hpvm_clock_is_set(struct kvm_clock_data *data)
{
}

int kvm_hpvm_handle_exit(CPUState *cs)
{
    return -1;
}

void kvm_hpvm_destroy_vcpu(CPUState *cs)
{
}

bool kvm_hpvm_put_tsc(X86CPU *cpu, int level)
{
    return false;
}

HpvmInfo *qmp_query_hpvm(Error **errp)
{
    return g_new0(HpvmInfo, 1);
}

void qmp_hpvm_set_mode(HpvmMode mode, Error **errp)
{
    error_setg(errp, "direct mode is not available; this QEMU was built "
               "without KVM");
}
