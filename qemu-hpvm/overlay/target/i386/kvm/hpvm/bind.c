/*
 * KVM direct mode ("hpvm"): the VM's CPUs
 *
 * The VM takes all its CPUs at once when it's about to need them: at "cont", at
 * the beginning of an incoming migration, or at the end of QEMU's start if
 * nothing is to be waited for.  By then management software has put each thread
 * where it belongs, and if it fails, the source of a migration still can go on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sched.h>

#include "hw/core/cpu.h"
#include "migration/register.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "system/runstate.h"
#include "cpu-list.h"
#include "hpvm.h"
#include "internal.h"
#include "trace.h"

/* Reasons that pass by themselves within moments, or that QEMU knows of. */
#define SILENT_REASONS (KVM_HPVM_REASON_NEVER_RAN | KVM_HPVM_REASON_HELD | \
                        KVM_HPVM_REASON_SMM | KVM_HPVM_REASON_PV_EOI | \
                        KVM_HPVM_REASON_ISR | KVM_HPVM_REASON_NMI)

/* Room for every CPU that a host can have; cpu_set_t has less. */
typedef cpu_set_t HostCpus[(HPVM_MAX_HOST_CPU + 1) / CPU_SETSIZE];

/* Another process's text, for a terminal and a log. */
static char *printable(const char *text, gssize len)
{
    g_autofree char *valid = g_utf8_make_valid(text, len);
    GString *s = g_string_new(NULL);

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_string_append_unichar(s, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(s, false);
}

/* How the holder of a CPU is best called: the VM's name, or the program's. */
static char *process_name(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autofree char *comm_path = g_strdup_printf("/proc/%d/comm", pid);
    g_autofree char *cmdline = NULL;
    g_autofree char *comm = NULL;
    g_autofree char *name = NULL;
    gsize len;

    if (g_file_get_contents(path, &cmdline, &len, NULL)) {
        const char *arg = cmdline, *end = cmdline + len;
        bool is_name = false;

        for (; arg < end; arg += strlen(arg) + 1) {
            if (is_name) {
                if (g_str_has_prefix(arg, "guest=")) {
                    arg += strlen("guest=");
                }
                name = printable(arg, strcspn(arg, ","));
                return g_strdup_printf("VM '%s'", name);
            }
            is_name = g_str_equal(arg, "-name") || g_str_equal(arg, "--name");
        }
    }
    if (g_file_get_contents(comm_path, &comm, NULL, NULL)) {
        name = printable(g_strchomp(comm), -1);
        return g_strdup_printf("process '%s'", name);
    }
    return g_strdup("a process");
}

static void set_take_error(Error **errp, int ret, unsigned int pcpu,
                           pid_t holder_pid)
{
    g_autofree char *holder = NULL;
    g_autofree char *isolated = NULL;

    switch (ret) {
    case -EBUSY:
        if (!holder_pid) {
            error_setg(errp, "hpvm: CPU %u is already dedicated to a process "
                       "that is not visible here; choose another in hpvm-cpus=",
                       pcpu);
            break;
        }
        holder = process_name(holder_pid);
        error_setg(errp, "hpvm: CPU %u is already dedicated to %s (pid %d); "
                   "choose another in hpvm-cpus=", pcpu, holder, holder_pid);
        break;
    case -EPERM:
        error_setg(errp, "hpvm: QEMU may not take CPU %u: it needs "
                   "CAP_SYS_ADMIN, or the CPU must be in the list that the "
                   "administrator writes to " HPVM_PARAMETER, pcpu);
        break;
    case -EACCES:
        error_setg(errp, "hpvm: CPU %u is in the cpuset of no thread of QEMU; "
                   "add it to the cpuset.cpus of the control group of QEMU or "
                   "of the vCPU, or choose another in hpvm-cpus=", pcpu);
        break;
    case -ENOSPC:
        g_file_get_contents(HPVM_SYS_CPU "/isolated", &isolated, NULL, NULL);
        error_setg(errp, "hpvm: CPU %u is the last one that the host has for "
                   "itself, %s being dedicated or isolated (hpvm-status shows "
                   "to whom); leave it out of hpvm-cpus=", pcpu,
                   isolated && *g_strchomp(isolated) ? isolated : "the others");
        break;
    case -EINVAL:
        error_setg(errp, "hpvm: CPU %u doesn't exist on this host; choose "
                   "another in hpvm-cpus=", pcpu);
        break;
    case -ENODEV:
        error_setg(errp, "hpvm: CPU %u is offline; write 1 to "
                   HPVM_SYS_CPU "/cpu%u/online, or choose another in "
                   "hpvm-cpus=", pcpu, pcpu);
        break;
    case -ENOTEMPTY:
        error_setg(errp, "hpvm: CPU %u handles device interrupts that can't be "
                   "moved away, the kernel's log names them; choose another in "
                   "hpvm-cpus=", pcpu);
        break;
    case -EOPNOTSUPP:
        error_setg(errp, "hpvm: the host can't dedicate CPUs, because one of "
                   "its drivers has taken the interrupt vector that this "
                   "needs; look for 'hpvm' in the kernel's log");
        break;
    case -ESHUTDOWN:
        hpvm_set_off_error(errp);
        break;
    default:
        error_setg_errno(errp, -ret, "hpvm: can't dedicate CPU %u to the vCPU",
                         pcpu);
        break;
    }
}

/* The one CPU that each vCPU's thread may run on, whoever has seen to that. */
static GArray *pinned_cpus(Error **errp)
{
    g_autoptr(GArray) cpus = g_array_new(false, false, sizeof(unsigned int));
    CPUState *cs;

    CPU_FOREACH(cs) {
        HostCpus allowed;
        unsigned int n, cpu = 0;

        CPU_ZERO_S(sizeof(allowed), allowed);
        if (sched_getaffinity(cs->thread_id, sizeof(allowed), allowed) < 0) {
            error_setg_errno(errp, errno, "hpvm: can't read on which CPUs the "
                             "thread of vCPU %d may run; name them in "
                             "hpvm-cpus=", cs->cpu_index);
            return NULL;
        }
        n = CPU_COUNT_S(sizeof(allowed), allowed);
        if (n != 1) {
            error_setg(errp, "hpvm=on needs a host CPU for each vCPU, and the "
                       "thread of vCPU %d may run on %u of them; list the CPUs "
                       "of all vCPUs in hpvm-cpus=, such as hpvm-cpus=2-5 for "
                       "-smp 4, or confine each vCPU's thread to its CPU before "
                       "the guest starts (<vcpupin> in libvirt; taskset, with "
                       "-S and 'cont')", cs->cpu_index, n);
            return NULL;
        }
        while (!CPU_ISSET_S(cpu, sizeof(allowed), allowed)) {
            cpu++;
        }
        for (unsigned int i = 0; i < cpus->len; i++) {
            if (g_array_index(cpus, unsigned int, i) == cpu) {
                error_setg(errp, "hpvm: the threads of vCPUs %u and %d are "
                           "both confined to CPU %u; each vCPU needs a CPU of "
                           "its own (a <vcpupin> in libvirt)", i,
                           cs->cpu_index, cpu);
                return NULL;
            }
        }
        g_array_append_val(cpus, cpu);
    }
    return g_steal_pointer(&cpus);
}

/*
 * The kernel keeps all threads off dedicated CPUs that may run elsewhere.
 * QEMU's own may run where the first one may.
 */
static bool check_others(const GArray *cpus, Error **errp)
{
    HostCpus left;

    if (sched_getaffinity(getpid(), sizeof(left), left) < 0) {
        error_setg_errno(errp, errno, "hpvm: can't read on which CPUs QEMU "
                         "may run");
        return false;
    }
    for (unsigned int i = 0; i < cpus->len; i++) {
        CPU_CLR_S(g_array_index(cpus, unsigned int, i), sizeof(left), left);
    }
    if (!CPU_COUNT_S(sizeof(left), left)) {
        error_setg(errp, "hpvm: no CPU is left for QEMU's other threads, which "
                   "may not use those of the vCPUs; let QEMU run on another "
                   "CPU too (taskset, its cpuset, or libvirt's <emulatorpin>)");
        return false;
    }
    return true;
}

static void close_cpus(struct kvm_hpvm_take *take)
{
    hpvm_cpr_forget(take);
    for (unsigned int i = 0; i < take->nr; i++) {
        close(take->cpus[i].fd);
    }
    g_free(take);
}

static struct kvm_hpvm_take *take_cpus(const GArray *cpus, Error **errp)
{
    g_autofree struct kvm_hpvm_take *take =
        g_malloc0(sizeof(*take) + cpus->len * sizeof(take->cpus[0]));
    int ret;

    take->nr = cpus->len;
    for (unsigned int i = 0; i < cpus->len; i++) {
        take->cpus[i].pcpu = g_array_index(cpus, unsigned int, i);
    }
    ret = kvm_vm_ioctl(kvm_state, KVM_HPVM_TAKE_CPUS, take);
    trace_kvm_hpvm_take(take->nr, take->failed, ret);
    if (ret == 0) {
        hpvm_cpr_save(take);
        return g_steal_pointer(&take);
    }
    if (take->failed < take->nr) {
        set_take_error(errp, ret, take->cpus[take->failed].pcpu,
                       take->cpus[take->failed].holder_pid);
    } else {
        error_setg_errno(errp, -ret, "hpvm: can't dedicate CPUs to the vCPUs");
    }
    return NULL;
}

int hpvm_set_ctrl(CPUState *cs, bool hold, bool reset)
{
    struct kvm_hpvm_ctrl ctrl = {
        .flags = hold ? KVM_HPVM_CTRL_HOLD_ORDINARY : 0,
        .change = KVM_HPVM_CTRL_HOLD_ORDINARY | KVM_HPVM_CTRL_REPORT |
                  (reset ? KVM_HPVM_CTRL_RESET : 0),
        .report = ~(uint64_t)SILENT_REASONS,
    };
    int ret = kvm_vcpu_ioctl(cs, KVM_HPVM_SET_CTRL, &ctrl);

    trace_kvm_hpvm_set_ctrl(cs->cpu_index, ctrl.flags, ctrl.report, ret);
    return ret;
}

bool hpvm_bind_vcpu(HpvmVM *vm, CPUState *cs, Error **errp)
{
    const struct kvm_hpvm_cpu *cpu = &vm->take->cpus[cs->cpu_index];
    struct kvm_hpvm_bind bind = {
        .pcpu = cpu->pcpu,
        /* No sandbox and no order of cpusets stands in the kernel's way. */
        .flags = KVM_HPVM_BIND_FD | KVM_HPVM_BIND_PIN,
        .fd = cpu->fd,
    };
    int ret = kvm_vcpu_ioctl(cs, KVM_HPVM_BIND, &bind);

    trace_kvm_hpvm_bind(cs->cpu_index, bind.pcpu, ret);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't bind vCPU %d to CPU %u",
                         cs->cpu_index, bind.pcpu);
        return false;
    }
    ret = hpvm_set_ctrl(cs, vm->hold, false);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't have changes of the mode "
                         "told; use the QEMU that belongs to the host's "
                         "kernel");
        return false;
    }
    return true;
}

static void do_bind(CPUState *cs, run_on_cpu_data data)
{
    hpvm_bind_vcpu(hpvm_vm(), cs, data.host_ptr);
}

/* The kernel waits for a grace period meanwhile: others needn't. */
static void do_unbind(CPUState *cs, run_on_cpu_data data)
{
    bql_unlock();
    kvm_hpvm_destroy_vcpu(cs);
    bql_lock();
}

static void nothing(CPUState *cs, run_on_cpu_data data)
{
}

void hpvm_unbind_all(HpvmVM *vm)
{
    CPUState *cs;

    /* All at once, and then wait for all. */
    CPU_FOREACH(cs) {
        async_run_on_cpu(cs, do_unbind, RUN_ON_CPU_NULL);
    }
    CPU_FOREACH(cs) {
        run_on_cpu(cs, nothing, RUN_ON_CPU_NULL);
    }
    vm->bound = false;
}

static bool take_all(HpvmVM *vm, Error **errp)
{
    g_autoptr(GArray) cpus = NULL;

    if (vm->cpus) {
        cpus = g_array_ref(vm->cpus);
    } else {
        cpus = pinned_cpus(errp);
        if (!cpus || !hpvm_check_smt(&vm->options, cpus, errp)) {
            return false;
        }
    }
    if (!check_others(cpus, errp)) {
        return false;
    }
    vm->take = take_cpus(cpus, errp);
    return vm->take;
}

bool hpvm_bind_all(Error **errp)
{
    ERRP_GUARD();
    HpvmVM *vm = hpvm_vm();
    bool had = vm->take;
    CPUState *cs;

    if (vm->bound) {
        return true;
    }
    if (!hpvm_cpr_may_start(errp) || (!had && !take_all(vm, errp))) {
        return false;
    }
    CPU_FOREACH(cs) {
        run_on_cpu(cs, do_bind, RUN_ON_CPU_HOST_PTR(errp));
        if (*errp) {
            break;
        }
    }
    /* Another QEMU may have bound its vCPUs, run the guest and died meanwhile. */
    if (*errp || !hpvm_cpr_may_start(errp)) {
        hpvm_unbind_all(vm);
        if (!had) {
            close_cpus(g_steal_pointer(&vm->take));
        }
        return false;
    }
    vm->bound = true;
    return true;
}

static int before_start(NotifierWithReturn *notifier, void *data, Error **errp)
{
    return hpvm_bind_all(errp) ? 0 : -EBUSY;
}

/*
 * Before a byte of the guest has come: the source goes on if this fails.  CPUs
 * that an old QEMU has handed over are there.
 */
static int load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    if (hpvm_vm()->inherited) {
        return 0;
    }
    /* One that isn't handed over has its own TSCs. */
    hpvm_vm()->keep_tsc_offsets = hpvm_vm()->clock_goes_on = false;
    return hpvm_bind_all(errp) ? 0 : -EBUSY;
}

static const SaveVMHandlers load_handlers = {
    .load_setup = load_setup,
};

void hpvm_bind_init(void)
{
    static NotifierWithReturn start_notifier = { .notify = before_start };

    qemu_add_vm_start_notifier(&start_notifier);
    register_savevm_live("hpvm", 0, 1, &load_handlers, NULL);
}
