/*
 * KVM direct mode ("hpvm"): properties, negotiation, and binding of vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sched.h>
#include <linux/kvm.h>
#include <asm/kvm_hpvm.h>

#include "cpu.h"
#include "hw/boards.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/system.h"
#include "cpu-list.h"
#include "hpvm.h"
#include "internal.h"
#include "trace.h"

#define SYS_CPU "/sys/devices/system/cpu"

/* Present in a kernel with the mode, whether or not the host can do it. */
#define KVM_HPVM_PARAMETER "/sys/module/kvm/parameters/hpvm_cpus"

#define TIMER_FEATURES (KVM_HPVM_F_TIMER_DEADLINE | KVM_HPVM_F_TIMER_ONESHOT)

/* Exits that would let the host decide when the guest's CPU sleeps. */
#define IDLE_EXITS (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE)

/* Reasons that pass by themselves within moments, or that QEMU knows of. */
#define SILENT_REASONS (KVM_HPVM_REASON_NEVER_RAN | KVM_HPVM_REASON_HELD | \
                        KVM_HPVM_REASON_SMM | KVM_HPVM_REASON_PV_EOI | \
                        KVM_HPVM_REASON_ISR | KVM_HPVM_REASON_NMI)

/* Room for every CPU that a host can have; cpu_set_t has less. */
typedef cpu_set_t HostCpus[(HPVM_MAX_HOST_CPU + 1) / CPU_SETSIZE];

static struct {
    /* The properties, as the user set them. */
    bool on;
    char *cpu_list;
    HpvmTimerPolicy timer;
    HpvmSmtPolicy smt;
    HpvmLeavePolicy leave;
    OnOffAuto irq;
    /* Set by kvm_hpvm_init(); pcpus[cpu_index] is the vCPU's host CPU. */
    bool enabled;
    uint64_t features;
    GArray *pcpus;
} hpvm;

bool hpvm_enabled(void)
{
    return hpvm.enabled;
}

HpvmTimerPolicy hpvm_timer_policy(void)
{
    return hpvm.timer;
}

HpvmLeavePolicy hpvm_leave_policy(void)
{
    return hpvm.leave;
}

bool hpvm_direct_irqs(void)
{
    return hpvm.features & KVM_HPVM_F_IRQ;
}

static uint64_t host_features(KVMState *s, Error **errp)
{
    int features = kvm_check_extension(s, KVM_CAP_X86_HPVM);

    if (features & KVM_HPVM_F_DIRECT) {
        return features;
    }
    if (access(KVM_HPVM_PARAMETER, F_OK) < 0) {
        error_setg(errp, "hpvm: the host's kernel doesn't have "
                   "KVM_CAP_X86_HPVM; boot a kernel with the hpvm patches");
    } else {
        error_setg(errp, "hpvm: this host can't run guests in direct mode, "
                   "most often because its CPUs are not in x2APIC mode; "
                   "switch on x2APIC and VT-d interrupt remapping in the "
                   "firmware, boot without nox2apic and intremap=off, and "
                   "look for 'hpvm' in the kernel's log");
    }
    return 0;
}

/* The features to enable, out of those of the host; 0 with @errp set. */
static uint64_t choose_features(uint64_t host, Error **errp)
{
    uint64_t wanted;

    switch (hpvm.timer) {
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
        wanted = host & TIMER_FEATURES;
        break;
    }
    if (wanted & ~host) {
        error_setg(errp, "hpvm-timer=%s: this host's APIC timer can't be "
                   "armed by the guest in that mode; use hpvm-timer=auto",
                   HpvmTimerPolicy_str(hpvm.timer));
        return 0;
    }
    if (hpvm.irq == ON_OFF_AUTO_ON && !(host & KVM_HPVM_F_IRQ)) {
        error_setg(errp, "hpvm-irq=on: this host can't let devices interrupt "
                   "the guest straight; switch on the IOMMU and its interrupt "
                   "remapping in the firmware, boot with intel_iommu=on and "
                   "without intel_iommu=posted_msi, or use hpvm-irq=auto");
        return 0;
    }
    if (hpvm.irq != ON_OFF_AUTO_OFF) {
        wanted |= host & KVM_HPVM_F_IRQ;
    }
    return KVM_HPVM_F_DIRECT | wanted;
}

static bool check_machine(MachineState *ms, KVMState *s, Error **errp)
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
    return true;
}

/*
 * Reports each CPU whose core has an online thread that isn't this VM's, or
 * refuses the first one.
 */
static bool check_smt(const GArray *cpus, const char *online, Error **errp)
{
    g_autoptr(GArray) running = hpvm_cpu_list_parse(online, errp);

    if (!running) {
        return false;
    }
    for (unsigned int i = 0; i < cpus->len; i++) {
        unsigned int cpu = g_array_index(cpus, unsigned int, i);
        g_autofree char *path = g_strdup_printf(
            SYS_CPU "/cpu%u/topology/thread_siblings_list", cpu);
        g_autofree char *siblings = NULL;
        Error *err = NULL;

        /* Without the file the CPU has no siblings. */
        if (!g_file_get_contents(path, &siblings, NULL, NULL) ||
            hpvm_cpu_list_check_siblings(cpus, cpu, g_strchomp(siblings),
                                         running, &err)) {
            continue;
        }
        if (hpvm.smt == HPVM_SMT_POLICY_STRICT) {
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

static GArray *choose_cpus(MachineState *ms, Error **errp)
{
    g_autoptr(GArray) cpus = NULL;
    g_autoptr(GError) gerr = NULL;
    g_autofree char *present = NULL;
    g_autofree char *online = NULL;

    if (!hpvm.cpu_list) {
        error_setg(errp, "hpvm=on needs hpvm-cpus=, a list of host CPUs such "
                   "as 2-5 with one CPU per vCPU (-smp has %u)",
                   ms->smp.cpus);
        return NULL;
    }
    cpus = hpvm_cpu_list_parse(hpvm.cpu_list, errp);
    if (!cpus) {
        return NULL;
    }
    if (!g_file_get_contents(SYS_CPU "/present", &present, NULL, &gerr) ||
        !g_file_get_contents(SYS_CPU "/online", &online, NULL, &gerr)) {
        error_setg(errp, "hpvm: can't tell which CPUs the host has: %s",
                   gerr->message);
        return NULL;
    }
    if (!hpvm_cpu_list_check(cpus, ms->smp.cpus, g_strchomp(present),
                             g_strchomp(online), errp) ||
        !check_smt(cpus, online, errp)) {
        return NULL;
    }
    return g_steal_pointer(&cpus);
}

/*
 * Takes the CPUs of the vCPUs out of the affinity of one thread.  Returns
 * whether the thread was moved; a thread that has ended was not.
 */
static bool confine_thread(pid_t tid, Error **errp)
{
    HostCpus old, new;

    if (sched_getaffinity(tid, sizeof(old), old) < 0) {
        if (errno != ESRCH) {
            error_setg_errno(errp, errno, "hpvm: can't read on which CPUs "
                             "thread %d may run", tid);
        }
        return false;
    }
    memcpy(new, old, sizeof(new));
    for (unsigned int i = 0; i < hpvm.pcpus->len; i++) {
        CPU_CLR_S(g_array_index(hpvm.pcpus, unsigned int, i), sizeof(new), new);
    }
    if (CPU_EQUAL_S(sizeof(new), old, new)) {
        return false;
    }
    if (!CPU_COUNT_S(sizeof(new), new)) {
        error_setg(errp, "hpvm: no CPU is left for QEMU's other threads, which "
                   "may not use those in hpvm-cpus=%s; let QEMU run on another "
                   "CPU too (taskset, or its cpuset)", hpvm.cpu_list);
        return false;
    }
    if (sched_setaffinity(tid, sizeof(new), new) < 0) {
        if (errno != ESRCH) {
            error_setg_errno(errp, errno, "hpvm: can't keep QEMU's threads "
                             "away from the CPUs in hpvm-cpus=%s; if -sandbox "
                             "is used, it needs resourcecontrol=allow",
                             hpvm.cpu_list);
        }
        return false;
    }
    return true;
}

/*
 * Keeps all threads but those of the vCPUs off the vCPUs' CPUs.  Threads that
 * are created later inherit it, so go on until no thread is left to move: one
 * may have been created while its creator hadn't been moved yet.
 */
static bool confine_threads(Error **errp)
{
    ERRP_GUARD();
    unsigned int moved, total = 0;

    do {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
        const char *name;

        moved = 0;
        while (dir && (name = g_dir_read_name(dir))) {
            moved += confine_thread(atoi(name), errp);
            if (*errp) {
                return false;
            }
        }
        total += moved;
    } while (moved);

    trace_kvm_hpvm_confine(total);
    return true;
}

static bool hpvm_init(MachineState *ms, KVMState *s, Error **errp)
{
    uint64_t host;
    int ret;

    if (!check_machine(ms, s, errp)) {
        return false;
    }
    hpvm.pcpus = choose_cpus(ms, errp);
    if (!hpvm.pcpus) {
        return false;
    }
    host = host_features(s, errp);
    if (!host) {
        return false;
    }
    hpvm.features = choose_features(host, errp);
    if (!hpvm.features) {
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
    if (!confine_threads(errp)) {
        return false;
    }
    ret = kvm_vm_enable_cap(s, KVM_CAP_X86_HPVM, 0, hpvm.features);
    trace_kvm_hpvm_enable(host, hpvm.features);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: the kernel refused to enable "
                         "features 0x%" PRIx64, hpvm.features);
        return false;
    }

    /* KSM would make the guest's pages read-only again. */
    ms->mem_merge = false;
    /* As -overcommit cpu-pm=on: kvm_arch_init() and the CPU model act on it. */
    enable_cpu_pm = true;
    hpvm_memory_init();
    hpvm.enabled = true;
    return true;
}

void kvm_hpvm_init(MachineState *ms, KVMState *s)
{
    if (hpvm.on) {
        /* Not an error to return: QEMU would try the next accelerator. */
        hpvm_init(ms, s, &error_fatal);
    } else if (hpvm.cpu_list || hpvm.timer != HPVM_TIMER_POLICY_AUTO ||
               hpvm.smt != HPVM_SMT_POLICY_WARN ||
               hpvm.leave != HPVM_LEAVE_POLICY_REPORT ||
               hpvm.irq != ON_OFF_AUTO_AUTO) {
        error_report("hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and "
                     "hpvm-irq= have no effect without hpvm=on; add it or "
                     "leave them out");
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

    if (!hpvm.enabled) {
        return;
    }
    x86_cpu_apply_props(cpu, withheld);
    if ((hpvm.features & TIMER_FEATURES) == KVM_HPVM_F_TIMER_ONESHOT) {
        x86_cpu_apply_props(cpu, no_deadline);
    }
}

static bool check_cpu(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;

    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_X2APIC)) {
        error_setg(errp, "hpvm=on needs a guest CPU with x2APIC; add "
                   "x2apic=on to -cpu");
        return false;
    }
    if (hpvm.timer == HPVM_TIMER_POLICY_DEADLINE &&
        !(env->features[FEAT_1_ECX] & CPUID_EXT_TSC_DEADLINE_TIMER)) {
        error_setg(errp, "hpvm-timer=deadline needs a guest CPU with the TSC "
                   "deadline timer; add tsc-deadline=on to -cpu, or use "
                   "hpvm-timer=auto");
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

/* How the holder of a CPU is best called: the VM's name, or the program's. */
static char *process_name(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autofree char *comm_path = g_strdup_printf("/proc/%d/comm", pid);
    g_autofree char *cmdline = NULL;
    g_autofree char *comm = NULL;
    gsize len;

    if (g_file_get_contents(path, &cmdline, &len, NULL)) {
        const char *arg = cmdline, *end = cmdline + len;
        bool is_name = false;

        for (; arg < end; arg += strlen(arg) + 1) {
            if (is_name) {
                const char *name = g_str_has_prefix(arg, "guest=") ?
                                   arg + strlen("guest=") : arg;

                return g_strdup_printf("VM '%.*s'",
                                       (int)strcspn(name, ","), name);
            }
            is_name = g_str_equal(arg, "-name") || g_str_equal(arg, "--name");
        }
    }
    if (g_file_get_contents(comm_path, &comm, NULL, NULL)) {
        return g_strdup_printf("process '%s'", g_strchomp(comm));
    }
    return g_strdup("a process");
}

static void set_bind_error(Error **errp, int ret,
                           const struct kvm_hpvm_bind *bind)
{
    g_autofree char *holder = NULL;
    g_autofree char *isolated = NULL;

    switch (ret) {
    case -EBUSY:
        if (!bind->holder_pid) {
            error_setg(errp, "hpvm: CPU %u is already dedicated to a process "
                       "that is not visible here; choose another in hpvm-cpus=",
                       bind->pcpu);
            break;
        }
        holder = process_name(bind->holder_pid);
        error_setg(errp, "hpvm: CPU %u is already dedicated to %s (pid %u); "
                   "choose another in hpvm-cpus=", bind->pcpu, holder,
                   bind->holder_pid);
        break;
    case -EPERM:
        error_setg(errp, "hpvm: QEMU may not take CPU %u: it needs "
                   "CAP_SYS_ADMIN, or the CPU must be in the list that the "
                   "administrator writes to " KVM_HPVM_PARAMETER, bind->pcpu);
        break;
    case -EACCES:
        error_setg(errp, "hpvm: CPU %u is not in QEMU's cpuset; add it to the "
                   "cpuset.cpus of QEMU's control group, or choose another in "
                   "hpvm-cpus=", bind->pcpu);
        break;
    case -ENOSPC:
        g_file_get_contents(SYS_CPU "/isolated", &isolated, NULL, NULL);
        error_setg(errp, "hpvm: CPU %u is the last one that the host has for "
                   "itself, %s being dedicated or isolated (hpvm-status shows "
                   "to whom); leave it out of hpvm-cpus=", bind->pcpu,
                   isolated && *g_strchomp(isolated) ? isolated : "the others");
        break;
    case -ENODEV:
        error_setg(errp, "hpvm: CPU %u went offline; write 1 to "
                   SYS_CPU "/cpu%u/online, or choose another in hpvm-cpus=",
                   bind->pcpu, bind->pcpu);
        break;
    case -ENOTEMPTY:
        error_setg(errp, "hpvm: CPU %u handles device interrupts that can't be "
                   "moved away, the kernel's log names them; choose another in "
                   "hpvm-cpus=", bind->pcpu);
        break;
    case -EOPNOTSUPP:
        error_setg(errp, "hpvm: the host can't dedicate CPUs, because one of "
                   "its drivers has taken the interrupt vector that this "
                   "needs; look for 'hpvm' in the kernel's log");
        break;
    default:
        error_setg_errno(errp, -ret, "hpvm: can't dedicate CPU %u to the vCPU",
                         bind->pcpu);
        break;
    }
}

static bool pin_self(unsigned int pcpu, Error **errp)
{
    HostCpus set;

    CPU_ZERO_S(sizeof(set), set);
    CPU_SET_S(pcpu, sizeof(set), set);
    if (sched_setaffinity(0, sizeof(set), set) < 0) {
        if (errno == EINVAL) {
            error_setg(errp, "hpvm: CPU %u is not in QEMU's cpuset; add it to "
                       "the cpuset.cpus of QEMU's control group, or choose "
                       "another in hpvm-cpus=", pcpu);
        } else {
            error_setg_errno(errp, errno, "hpvm: can't pin the vCPU to CPU %u; "
                             "if -sandbox is used, it needs "
                             "resourcecontrol=allow", pcpu);
        }
        return false;
    }
    return true;
}

int hpvm_set_ctrl(CPUState *cs, bool hold)
{
    struct kvm_hpvm_ctrl ctrl = {
        .flags = hold ? KVM_HPVM_CTRL_HOLD_ORDINARY : 0,
        .report = KVM_HPVM_REASONS & ~SILENT_REASONS,
    };
    int ret = kvm_vcpu_ioctl(cs, KVM_HPVM_SET_CTRL, &ctrl);

    trace_kvm_hpvm_set_ctrl(cs->cpu_index, ctrl.flags, ctrl.report, ret);
    return ret;
}

/* A TSC offset of 0 lets the guest's deadlines be the hardware's. */
static int zero_tsc_offset(CPUState *cs)
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

static bool init_vcpu(CPUState *cs, Error **errp)
{
    struct kvm_hpvm_bind bind = { };
    struct kvm_hpvm_state state;
    int ret;

    assert(cs->cpu_index < hpvm.pcpus->len);
    bind.pcpu = g_array_index(hpvm.pcpus, unsigned int, cs->cpu_index);

    if (!check_cpu(X86_CPU(cs), errp) || !pin_self(bind.pcpu, errp)) {
        return false;
    }
    ret = kvm_vcpu_ioctl(cs, KVM_HPVM_BIND, &bind);
    trace_kvm_hpvm_bind(cs->cpu_index, bind.pcpu, ret);
    if (ret < 0) {
        set_bind_error(errp, ret, &bind);
        return false;
    }
    ret = hpvm_set_ctrl(cs, false);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't have changes of the mode "
                         "told; use the QEMU that belongs to the host's "
                         "kernel");
        return false;
    }
    ret = zero_tsc_offset(cs);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't give the guest the host's "
                         "TSC");
        return false;
    }

    /* The kernel runs the emulated APIC timer at the hardware's rate, too. */
    if (hpvm.features & KVM_HPVM_F_TIMER_ONESHOT) {
        ret = kvm_vcpu_ioctl(cs, KVM_HPVM_GET_STATE, &state);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "hpvm: can't tell the guest the rate "
                             "of its APIC timer");
            return false;
        }
        X86_CPU(cs)->env.apic_bus_freq = state.apic_bus_khz * 1000ULL;
    }
    return true;
}

void kvm_hpvm_init_vcpu(CPUState *cs)
{
    if (hpvm.enabled) {
        /* Not an error to return: a second line would follow the sentence. */
        init_vcpu(cs, &error_fatal);
    }
}

void kvm_hpvm_destroy_vcpu(CPUState *cs)
{
    struct kvm_hpvm_bind bind = { .pcpu = KVM_HPVM_NO_CPU };
    int ret;

    if (!hpvm.enabled) {
        return;
    }
    ret = kvm_vcpu_ioctl(cs, KVM_HPVM_BIND, &bind);
    trace_kvm_hpvm_unbind(cs->cpu_index,
                          g_array_index(hpvm.pcpus, unsigned int,
                                        cs->cpu_index), ret);
}

bool kvm_hpvm_reset_tsc(X86CPU *cpu)
{
    /* x86_cpu_reset_hold() leaves 0 or 1; anything else has been migrated. */
    return hpvm.enabled && cpu->env.tsc <= 1 &&
           zero_tsc_offset(CPU(cpu)) == 0;
}

static bool get_on(Object *obj, Error **errp)
{
    return hpvm.on;
}

static void set_on(Object *obj, bool value, Error **errp)
{
    hpvm.on = value;
}

static char *get_cpus(Object *obj, Error **errp)
{
    return g_strdup(hpvm.cpu_list);
}

static void set_cpus(Object *obj, const char *value, Error **errp)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse(value, errp);

    if (cpus) {
        g_free(hpvm.cpu_list);
        hpvm.cpu_list = g_strdup(value);
    }
}

static int get_timer(Object *obj, Error **errp)
{
    return hpvm.timer;
}

static void set_timer(Object *obj, int value, Error **errp)
{
    hpvm.timer = value;
}

static int get_smt(Object *obj, Error **errp)
{
    return hpvm.smt;
}

static void set_smt(Object *obj, int value, Error **errp)
{
    hpvm.smt = value;
}

static int get_leave(Object *obj, Error **errp)
{
    return hpvm.leave;
}

static void set_leave(Object *obj, int value, Error **errp)
{
    hpvm.leave = value;
}

static int get_irq(Object *obj, Error **errp)
{
    return hpvm.irq;
}

static void set_irq(Object *obj, int value, Error **errp)
{
    hpvm.irq = value;
}

void kvm_hpvm_accel_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "hpvm", get_on, set_on);
    object_class_property_set_description(oc, "hpvm",
        "Dedicate a host CPU to each vCPU and let interrupts reach the guest "
        "without VM exits");

    object_class_property_add_str(oc, "hpvm-cpus", get_cpus, set_cpus);
    object_class_property_set_description(oc, "hpvm-cpus",
        "Host CPUs for hpvm=on, one per vCPU in vCPU order (e.g. 2-5,8)");

    object_class_property_add_enum(oc, "hpvm-timer", "HpvmTimerPolicy",
                                   &HpvmTimerPolicy_lookup,
                                   get_timer, set_timer);
    object_class_property_set_description(oc, "hpvm-timer",
        "Which APIC timer modes the guest may arm in the hardware with hpvm=on");

    object_class_property_add_enum(oc, "hpvm-smt", "HpvmSmtPolicy",
                                   &HpvmSmtPolicy_lookup, get_smt, set_smt);
    object_class_property_set_description(oc, "hpvm-smt",
        "What to do if a CPU of hpvm-cpus shares its core (SMT) with one that "
        "isn't among them");

    object_class_property_add_enum(oc, "hpvm-leave", "HpvmLeavePolicy",
                                   &HpvmLeavePolicy_lookup,
                                   get_leave, set_leave);
    object_class_property_set_description(oc, "hpvm-leave",
        "What to do when a vCPU leaves direct mode, besides the event "
        "HPVM_STATE_CHANGE");

    object_class_property_add_enum(oc, "hpvm-irq", "OnOffAuto",
                                   &OnOffAuto_lookup, get_irq, set_irq);
    object_class_property_set_description(oc, "hpvm-irq",
        "Whether assigned devices interrupt the guest without the host; auto: "
        "if the host can");
}
