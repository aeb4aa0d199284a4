/*
 * KVM direct mode ("hpvm"): hooks for the KVM accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "hw/boards.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "system/system.h"
#include "hpvm.h"
#include "internal.h"
#include "trace.h"

HpvmVM *hpvm_vm(void)
{
    HpvmVM *vm = kvm_enabled() ? kvm_state->hpvm : NULL;

    return vm && vm->enabled ? vm : NULL;
}

static bool enable(HpvmVM *vm, MachineState *ms, KVMState *s, Error **errp)
{
    int ret;

    if (!hpvm_check_machine(ms, s, errp)) {
        return false;
    }
    if (!hpvm_cpus_pinned(&vm->options)) {
        vm->cpus = hpvm_choose_cpus(&vm->options, ms->smp.cpus, errp);
        if (!vm->cpus || !hpvm_check_smt(&vm->options, vm->cpus, errp)) {
            return false;
        }
    }
    if (!hpvm_check_host(s, errp) ||
        !hpvm_cpr_inherit(vm, ms->smp.cpus, errp)) {
        return false;
    }
    vm->features = hpvm_choose_features(&vm->options, s, errp);
    if (!vm->features) {
        return false;
    }
    if (vm->options.apic_cycle_ns &&
        (vm->features & KVM_HPVM_F_TIMER_ONESHOT)) {
        error_setg(errp, "apic-bus-cycle-ns= can't be set here: with hpvm=on "
                   "the guest's one-shot timer counts at the hardware's rate; "
                   "leave it out");
        return false;
    }
    ret = kvm_vm_enable_cap(s, KVM_CAP_X86_HPVM, 0, vm->features);
    trace_kvm_hpvm_enable(vm->features, ret);
    if (ret == -ESHUTDOWN) {
        hpvm_set_off_error(errp);
        return false;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: the kernel refused to enable "
                         "features 0x%" PRIx64, vm->features);
        return false;
    }

    /* KSM would make the guest's pages read-only again. */
    ms->mem_merge = false;
    /* As -overcommit cpu-pm=on: kvm_arch_init() and the CPU model act on it. */
    enable_cpu_pm = true;
    vm->enabled = true;
    return true;
}

static void machine_done(Notifier *notifier, void *data)
{
    /* Not if somebody will send "cont", or an incoming migration. */
    bool start = autostart && !runstate_check(RUN_STATE_INMIGRATE);

    if (start) {
        hpvm_bind_all(&error_fatal);
        /* It's started when its memory is mapped. */
        autostart = 0;
    }
    hpvm_memory_start(hpvm_vm(), start);
    if (hpvm_vm()->inherited) {
        /* Before the old QEMU hears that this one listens, and sends the guest. */
        hpvm_memory_map(hpvm_vm());
    }
}

void kvm_hpvm_init(MachineState *ms, KVMState *s)
{
    static Notifier machine_done_notifier = { .notify = machine_done };
    HpvmVM *vm = hpvm_of_accel(s);

    if (hpvm_options_idle(&vm->options)) {
        error_report("hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and "
                     "hpvm-irq= have no effect without hpvm=on; add it or "
                     "leave them out");
        exit(EXIT_FAILURE);
    }
    if (!vm->options.on && hpvm_cpr_inherits()) {
        error_report("hpvm: the guest that the old QEMU hands over has CPUs of "
                     "its own; add hpvm=on, as there");
        exit(EXIT_FAILURE);
    }
    if (vm->options.on) {
        /* Not an error to return: QEMU would try the next accelerator. */
        enable(vm, ms, s, &error_fatal);
        hpvm_memory_init(vm, s);
        hpvm_bind_init();
        hpvm_cpr_init(vm);
        qemu_add_machine_init_done_notifier(&machine_done_notifier);
    }
}

/* Between the creation of KVM's interrupt controllers and of the first vCPU. */
static void set_apic_rate(HpvmVM *vm)
{
    int ret;

    if (!vm->options.apic_cycle_ns || vm->apic_rate_set) {
        return;
    }
    vm->apic_rate_set = true;
    ret = kvm_vm_enable_cap(kvm_state, KVM_CAP_X86_APIC_BUS_CYCLES_NS, 0,
                            vm->options.apic_cycle_ns);
    if (ret < 0) {
        error_report("apic-bus-cycle-ns=%u: %s; it needs Linux 6.10 or later, "
                     "the local APIC in the kernel, and less than 33 ms",
                     vm->options.apic_cycle_ns, strerror(-ret));
        exit(EXIT_FAILURE);
    }
}

void kvm_hpvm_cpu_defaults(X86CPU *cpu)
{
    static PropValue withheld[] = {
        /* An EOI in memory leaves the hardware's in-service bit set. */
        { "kvm-pv-eoi", "off" },
        /* A hypercall instead of the ICR write that has a fast path. */
        { "kvm-pv-ipi", "off" },
        /* Memory is locked: no page is ever away. */
        { "kvm-asyncpf", "off" },
        { "kvm-asyncpf-int", "off" },
        /* HLT doesn't exit: there's no host polling to control. */
        { "kvm-poll-control", "off" },
        { NULL, NULL },
    };
    /* Guests prefer it to the modes that they can use without exits. */
    static PropValue no_deadline[] = {
        { "tsc-deadline", "off" },
        { NULL, NULL },
    };
    HpvmVM *vm = hpvm_vm();

    set_apic_rate(kvm_state->hpvm);
    if (!vm) {
        return;
    }
    x86_cpu_apply_props(cpu, withheld);
    if ((vm->features & HPVM_TIMER_FEATURES) == KVM_HPVM_F_TIMER_ONESHOT) {
        x86_cpu_apply_props(cpu, no_deadline);
    }
}

static bool init_vcpu(HpvmVM *vm, CPUState *cs, Error **errp)
{
    struct kvm_hpvm_state state;
    int ret;

    if (!hpvm_check_guest_cpu(vm, X86_CPU(cs), errp)) {
        return false;
    }
    if (cs == first_cpu) {
        hpvm_check_tsc_rate(X86_CPU(cs));
    }
    ret = hpvm_zero_tsc_offset(cs);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't give the guest the host's "
                         "TSC");
        return false;
    }

    /*
     * The kernel runs the emulated APIC timer at the hardware's rate, too.  The
     * guest reads the rate in the CPUID leaf 0x40000010, which is made next.
     */
    if (vm->features & KVM_HPVM_F_TIMER_ONESHOT) {
        ret = kvm_vcpu_ioctl(cs, KVM_HPVM_GET_STATE, &state);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "hpvm: can't tell the guest the rate "
                             "of its APIC timer");
            return false;
        }
        X86_CPU(cs)->env.apic_bus_freq = state.apic_bus_khz * 1000ULL;
    }

    /* One that is plugged in again; the others wait for the VM's start. */
    return !vm->bound || hpvm_bind_vcpu(vm, cs, errp);
}

void kvm_hpvm_init_vcpu(CPUState *cs)
{
    HpvmVM *vm = hpvm_vm();

    if (kvm_state->hpvm->apic_rate_set) {
        X86_CPU(cs)->env.apic_bus_freq =
            NANOSECONDS_PER_SECOND / kvm_state->hpvm->options.apic_cycle_ns;
    }
    if (vm) {
        /* Not an error to return: a second line would follow the sentence. */
        init_vcpu(vm, cs, &error_fatal);
    }
}

void kvm_hpvm_destroy_vcpu(CPUState *cs)
{
    struct kvm_hpvm_bind bind = { .pcpu = KVM_HPVM_NO_CPU };
    HpvmVM *vm = hpvm_vm();
    int ret;

    if (!vm || !vm->take) {
        return;
    }
    ret = kvm_vcpu_ioctl(cs, KVM_HPVM_BIND, &bind);
    trace_kvm_hpvm_unbind(cs->cpu_index, vm->take->cpus[cs->cpu_index].pcpu,
                          ret);
}
