/*
 * KVM direct mode ("hpvm"): what has to be so, or else a sentence
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "hw/boards.h"
#include "qapi/error.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/option.h"
#include "system/kvm_int.h"
#include "system/system.h"
#include "cpu-list.h"
#include "internal.h"

/* Exits that would let the host decide when the guest's CPU sleeps. */
#define IDLE_EXITS (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE)

static int check_overcommit(void *opaque, QemuOpts *opts, Error **errp)
{
    const char *lock = qemu_opt_get(opts, "mem-lock");

    if (!qemu_opt_get_bool(opts, "cpu-pm", true)) {
        warn_report("-overcommit cpu-pm=off has no effect with hpvm=on: the "
                    "guest idles without VM exits; leave it out");
    }
    if (lock && !g_str_equal(lock, "on")) {
        warn_report("-overcommit mem-lock=%s has no effect with hpvm=on: all "
                    "of the guest's memory is locked; leave it out", lock);
    }
    return 0;
}

bool hpvm_check_machine(MachineState *ms, KVMState *s, Error **errp)
{
    if (!s->kernel_irqchip_allowed) {
        error_setg(errp, "hpvm=on needs the local APIC in the kernel; "
                   "use kernel-irqchip=on or kernel-irqchip=split");
        return false;
    }
    if (ms->smp.max_cpus > ms->smp.cpus) {
        error_setg(errp, "hpvm=on can't have vCPUs plugged in later, as each "
                   "needs a host CPU from the start; use -smp %u without "
                   "maxcpus=%u", ms->smp.cpus, ms->smp.max_cpus);
        return false;
    }
    if (ms->cgs) {
        error_setg(errp, "hpvm=on can't run a confidential guest, whose "
                   "interrupt state the host can't see; leave out "
                   "confidential-guest-support=");
        return false;
    }
    if (s->xen_version) {
        error_setg(errp, "hpvm=on can't run a Xen guest, whose event channels "
                   "replace the local APIC; leave out xen-version=");
        return false;
    }
    /* What the mode overrules. */
    qemu_opts_foreach(qemu_find_opts("overcommit"), check_overcommit, NULL,
                      NULL);
    return true;
}

bool hpvm_check_host(KVMState *s, Error **errp)
{
    if (!(kvm_check_extension(s, KVM_CAP_X86_HPVM) & KVM_HPVM_F_DIRECT)) {
        if (access(HPVM_PARAMETER, F_OK) < 0) {
            error_setg(errp, "hpvm: the host's kernel doesn't have "
                       "KVM_CAP_X86_HPVM; boot a kernel with the hpvm patches");
        } else {
            error_setg(errp, "hpvm: this host can't run guests in direct mode, "
                       "most often because its CPUs are not in x2APIC mode; "
                       "switch on x2APIC and VT-d interrupt remapping in the "
                       "firmware, boot without nox2apic and intremap=off, and "
                       "look for 'hpvm' in the kernel's log");
        }
        return false;
    }
    if (~kvm_check_extension(s, KVM_CAP_X86_DISABLE_EXITS) & IDLE_EXITS) {
        error_setg(errp, "hpvm: the host's KVM doesn't let the guest execute "
                   "HLT and PAUSE; boot the host without "
                   "kvm.mitigate_smt_rsb=1");
        return false;
    }
    if (kvm_check_extension(s, KVM_CAP_PRE_FAULT_MEMORY) <= 0) {
        error_setg(errp, "hpvm: the host's KVM can't map guest memory in "
                   "advance; load kvm_intel with ept=1, kvm_amd with npt=1");
        return false;
    }
    return true;
}

/* The kernel said -ESHUTDOWN. */
void hpvm_set_off_error(Error **errp)
{
    error_setg(errp, "hpvm: this host's administrator has switched direct mode "
               "off; write 'auto', or 'hold' to have guests in ordinary mode, "
               "to " HPVM_MODE_PARAMETER ", or leave out hpvm=on");
}

uint64_t hpvm_choose_features(const HpvmOptions *options, KVMState *s,
                              Error **errp)
{
    uint64_t host = kvm_check_extension(s, KVM_CAP_X86_HPVM);
    uint64_t wanted;

    switch (options->timer) {
    case HPVM_TIMER_POLICY_DEADLINE:
        wanted = KVM_HPVM_F_TIMER_DEADLINE;
        break;
    case HPVM_TIMER_POLICY_ONESHOT:
        wanted = KVM_HPVM_F_TIMER_ONESHOT;
        break;
    case HPVM_TIMER_POLICY_EMULATED:
        wanted = 0;
        break;
    default:
        /*
         * Guests prefer the deadline mode.  The other one would bind the guest
         * to hosts whose APIC timers have the same rate.
         */
        wanted = host & KVM_HPVM_F_TIMER_DEADLINE ?:
                 host & KVM_HPVM_F_TIMER_ONESHOT;
        break;
    }
    if (wanted & ~host) {
        error_setg(errp, "hpvm-timer=%s: this host's APIC timer can't be "
                   "armed by the guest in that mode; use hpvm-timer=auto",
                   HpvmTimerPolicy_str(options->timer));
        return 0;
    }
    if (options->irq == ON_OFF_AUTO_ON && !(host & KVM_HPVM_F_IRQ)) {
        error_setg(errp, "hpvm-irq=on: this host can't let devices interrupt "
                   "the guest straight; switch on the IOMMU and its interrupt "
                   "remapping in the firmware, boot with intel_iommu=on and "
                   "without intel_iommu=posted_msi, or use hpvm-irq=auto");
        return 0;
    }
    if (options->irq != ON_OFF_AUTO_OFF) {
        wanted |= host & KVM_HPVM_F_IRQ;
    }
    return KVM_HPVM_F_DIRECT | wanted;
}

bool hpvm_check_guest_cpu(const HpvmVM *vm, X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    bool deadline = env->features[FEAT_1_ECX] & CPUID_EXT_TSC_DEADLINE_TIMER;

    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_X2APIC)) {
        error_setg(errp, "hpvm=on needs a guest CPU with x2APIC; add "
                   "x2apic=on to -cpu");
        return false;
    }
    if (vm->options.timer == HPVM_TIMER_POLICY_DEADLINE && !deadline) {
        error_setg(errp, "hpvm-timer=deadline needs a guest CPU with the TSC "
                   "deadline timer; add tsc-deadline=on to -cpu, or use "
                   "hpvm-timer=auto");
        return false;
    }
    /* kvm_hpvm_cpu_defaults() has switched it off: somebody asked for it. */
    if ((vm->features & HPVM_TIMER_FEATURES) == KVM_HPVM_F_TIMER_ONESHOT &&
        deadline) {
        error_setg(errp, "tsc-deadline=on in -cpu would have the guest use a "
                   "timer that KVM emulates, as its hardware timer is to be "
                   "the one-shot mode's here; use tsc-deadline=off (in "
                   "libvirt's <cpu>: <feature policy='disable' "
                   "name='tsc-deadline'/>), or hpvm-timer=emulated");
        return false;
    }
    if (hyperv_feat_enabled(cpu, HYPERV_FEAT_VAPIC) ||
        hyperv_feat_enabled(cpu, HYPERV_FEAT_SYNIC) ||
        hyperv_feat_enabled(cpu, HYPERV_FEAT_STIMER)) {
        error_setg(errp, "hpvm=on can't be combined with the Hyper-V "
                   "enlightenments hv-vapic, hv-synic and hv-stimer, which "
                   "replace the local APIC by exits; drop them from -cpu");
        return false;
    }
    return true;
}

/* A list of CPUs in sysfs, or NULL.  Sandboxes allow less than all of it. */
static char *read_cpus(const char *path, GError **gerr)
{
    char *list = NULL;

    return g_file_get_contents(path, &list, NULL, gerr) ? g_strchomp(list)
                                                        : NULL;
}

GArray *hpvm_choose_cpus(const HpvmOptions *options, unsigned int vcpus,
                         Error **errp)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse(options->cpu_list, errp);
    g_autofree char *possible = read_cpus(HPVM_SYS_CPU "/possible", NULL);
    g_autofree char *online = read_cpus(HPVM_SYS_CPU "/online", NULL);

    /* What can't be read the kernel will check, with less to say. */
    if (!cpus || !hpvm_cpu_list_check_length(cpus, vcpus, errp) ||
        (possible && online &&
         !hpvm_cpu_list_check_host(cpus, possible, online, errp))) {
        return NULL;
    }
    return g_steal_pointer(&cpus);
}

/* With @errp set if the CPU's core isn't the VM's alone, or nobody knows. */
static bool check_core(const GArray *cpus, unsigned int cpu, Error **errp)
{
    g_autofree char *path = g_strdup_printf(
        HPVM_SYS_CPU "/cpu%u/topology/thread_siblings_list", cpu);
    g_autoptr(GError) gerr = NULL;
    g_autofree char *online = read_cpus(HPVM_SYS_CPU "/online", &gerr);
    g_autofree char *siblings = online ? read_cpus(path, &gerr) : NULL;
    g_autoptr(GArray) running = NULL;

    if (!siblings) {
        error_setg(errp, "it is unknown with which CPUs CPU %u shares its "
                   "core: %s; let QEMU read it (mount sysfs, or add a rule to "
                   "QEMU's AppArmor profile)", cpu, gerr->message);
        return false;
    }
    running = hpvm_cpu_list_parse(online, errp);
    return running && hpvm_cpu_list_check_siblings(cpus, cpu, siblings, running,
                                                   errp);
}

bool hpvm_check_smt(const HpvmOptions *options, const GArray *cpus,
                    Error **errp)
{
    for (unsigned int i = 0; i < cpus->len; i++) {
        Error *err = NULL;

        if (check_core(cpus, g_array_index(cpus, unsigned int, i), &err)) {
            continue;
        }
        if (options->smt == HPVM_SMT_POLICY_STRICT) {
            error_setg(errp, "hpvm-smt=strict: %s, or use hpvm-smt=warn",
                       error_get_pretty(err));
            error_free(err);
            return false;
        }
        warn_report("hpvm: %s, or ignore this", error_get_pretty(err));
        error_free(err);
    }
    return true;
}
