/*
 * KVM direct mode ("hpvm"): a guest whose QEMU is replaced ("cpr-transfer")
 *
 * The old QEMU and the new one both have the descriptors of the guest's CPUs
 * from the moment on when the new one starts, so that no CPU is the host's in
 * between.  One vCPU at a time is bound to a CPU: the old QEMU releases its
 * vCPUs when the guest has stopped, which is before its state is sent, and that
 * before the new QEMU starts the guest, where it binds its own.  An old QEMU that
 * starts the guest again, since something failed, binds as it did before; but
 * never after the guest has run in the new one, whatever became of that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sys/eventfd.h>

#include "hw/core/cpu.h"
#include "qapi/error.h"
#include "qapi/qapi-types-migration.h"
#include "migration/client-options.h"
#include "migration/cpr.h"
#include "migration/misc.h"
#include "migration/vmstate.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "system/runstate.h"
#include "cpu-list.h"
#include "hpvm.h"
#include "internal.h"

/* A descriptor's name in the old QEMU's list; its ID is the cpu_index. */
#define FD_NAME "hpvm-cpu"

/* All vCPUs of a VM have these. */
#define BREAKER_REASONS (KVM_HPVM_REASON_BREAKER_NMI | \
                         KVM_HPVM_REASON_BREAKER_LATE | \
                         KVM_HPVM_REASON_BREAKER_STORM | \
                         KVM_HPVM_REASON_BREAKER_ISR | \
                         KVM_HPVM_REASON_BREAKER_STRAY)

/*
 * An event that the new QEMU triggers, for the old one, before the guest runs.
 * One without CPUs, which has never run, has it, too: that it has hpvm=on.
 */
#define RUNS_NAME "hpvm-runs"

static void new_event(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    /* Without one, a new QEMU is refused. */
    if (fd >= 0) {
        cpr_save_fd(RUNS_NAME, 0, fd);
    }
}

static void delete_event(void)
{
    int fd = cpr_find_fd(RUNS_NAME, 0);

    if (fd >= 0) {
        cpr_delete_fd(RUNS_NAME, 0);
        close(fd);
    }
}

/* The descriptor's CPU, as the kernel says. */
static int cpu_of(int fd, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd);
    g_autoptr(GError) gerr = NULL;
    g_autofree char *info = NULL;
    const char *value;
    unsigned int cpu;

    if (!g_file_get_contents(path, &info, NULL, &gerr)) {
        error_setg(errp, "hpvm: can't read for which CPU the old QEMU's "
                   "descriptor is: %s", gerr->message);
        return -1;
    }
    value = strstr(info, "kvm-hpvm-cpu:");
    if (!value || qemu_strtoui(value + strlen("kvm-hpvm-cpu:"), &value, 10,
                               &cpu) < 0 || cpu > HPVM_MAX_HOST_CPU) {
        error_setg(errp, "hpvm: what the old QEMU has passed isn't a CPU; use "
                   "QEMUs that belong to the host's kernel");
        return -1;
    }
    return cpu;
}

void hpvm_cpr_save(const struct kvm_hpvm_take *take)
{
    for (unsigned int i = 0; i < take->nr; i++) {
        cpr_save_fd(FD_NAME, i, take->cpus[i].fd);
    }
}

void hpvm_cpr_forget(const struct kvm_hpvm_take *take)
{
    for (unsigned int i = 0; i < take->nr; i++) {
        cpr_delete_fd(FD_NAME, i);
    }
}

static bool inherits_cpus(void)
{
    return cpr_find_fd(FD_NAME, 0) >= 0;
}

bool hpvm_cpr_inherits(void)
{
    return inherits_cpus() || cpr_find_fd(RUNS_NAME, 0) >= 0;
}

bool hpvm_cpr_inherit(HpvmVM *vm, unsigned int vcpus, Error **errp)
{
    g_autofree struct kvm_hpvm_take *take = NULL;

    if (!cpr_is_incoming()) {
        return true;
    }
    if (!inherits_cpus()) {
        if (!hpvm_cpr_inherits()) {
            error_setg(errp, "hpvm: the guest that the old QEMU hands over has "
                       "no CPUs of its own; leave hpvm=on out, as there, or "
                       "have an ordinary migration bring the guest here");
            return false;
        }
        /* It has never run, and takes its CPUs here. */
        vm->shared = true;
        return true;
    }
    if (cpr_find_fd(FD_NAME, vcpus - 1) < 0 ||
        cpr_find_fd(FD_NAME, vcpus) >= 0) {
        error_setg(errp, "hpvm: the guest that the old QEMU hands over doesn't "
                   "have %u vCPUs; use its -smp", vcpus);
        return false;
    }
    if (cpr_find_fd(RUNS_NAME, 0) < 0) {
        error_setg(errp, "hpvm: the old QEMU can't be told when the guest runs "
                   "here, as it has had no descriptor left");
        return false;
    }
    take = g_malloc0(sizeof(*take) + vcpus * sizeof(take->cpus[0]));
    take->nr = vcpus;
    for (unsigned int i = 0; i < vcpus; i++) {
        int fd = cpr_find_fd(FD_NAME, i);
        int cpu = cpu_of(fd, errp);

        if (cpu < 0) {
            return false;
        }
        if (vm->cpus && g_array_index(vm->cpus, unsigned int, i) != cpu) {
            error_setg(errp, "hpvm: the guest that the old QEMU hands over has "
                       "CPU %d for vCPU %u, which hpvm-cpus= doesn't say; use "
                       "the old QEMU's hpvm-cpus=", cpu, i);
            return false;
        }
        take->cpus[i].pcpu = cpu;
        take->cpus[i].fd = fd;
    }
    vm->tsc_offsets = g_new0(uint64_t, vcpus);
    vm->nr_tsc_offsets = vcpus;
    vm->take = g_steal_pointer(&take);
    vm->inherited = true;
    vm->shared = true;
    return true;
}

static void get_tsc_offset(CPUState *cs, run_on_cpu_data data)
{
    HpvmVM *vm = data.host_ptr;

    if (hpvm_get_tsc_offset(cs, &vm->tsc_offsets[cs->cpu_index]) < 0) {
        vm->keep_tsc_offsets = false;
    }
}

void kvm_hpvm_clock_was_read(const struct kvm_clock_data *data)
{
    HpvmVM *vm = hpvm_vm();

    if (vm) {
        vm->clock = data->clock;
        vm->clock_tsc = data->flags & KVM_CLOCK_HOST_TSC ? data->host_tsc : 0;
    }
}

/*
 * QEMU reads it once more when it saves its device, which may be after ours: these
 * two belong together, whichever reading they are of.
 *
 * The guest's TSC goes on while it stands still, and kvmclock, which guests
 * compute from it, would go back if it began again where it was: a vCPU computes
 * it by what the old QEMU's VM told it, or another vCPU, until the new one's tells
 * it anew.  So it has to go on, and as exactly as only KVM can have it.
 */
void kvm_hpvm_clock_is_set(struct kvm_clock_data *data)
{
    HpvmVM *vm = hpvm_vm();

    if (vm && vm->clock_goes_on && vm->clock_tsc) {
        data->clock = vm->clock;
        data->flags = KVM_CLOCK_HOST_TSC;
        data->host_tsc = vm->clock_tsc;
    }
    if (vm) {
        vm->clock_goes_on = false;
    }
}

/* A guest that KVM's circuit breaker holds is held in the other QEMU, too. */
static void note_breaker(CPUState *cs, run_on_cpu_data data)
{
    struct kvm_hpvm_state state;
    HpvmVM *vm = data.host_ptr;

    if (kvm_vcpu_ioctl(cs, KVM_HPVM_GET_STATE, &state) == 0 &&
        (state.reasons & BREAKER_REASONS)) {
        vm->hold = true;
    }
}

static void hand_over(HpvmVM *vm)
{
    CPUState *cs;

    vm->shared = true;
    if (!vm->take) {
        return;
    }
    if (vm->bound) {
        run_on_cpu(first_cpu, note_breaker, RUN_ON_CPU_HOST_PTR(vm));
        hpvm_unbind_all(vm);
    }

    /* The guest's TSCs go on with their offsets: the host's TSC is the same. */
    g_free(vm->tsc_offsets);
    vm->nr_tsc_offsets = vm->take->nr;
    vm->tsc_offsets = g_new0(uint64_t, vm->nr_tsc_offsets);
    vm->keep_tsc_offsets = true;
    CPU_FOREACH(cs) {
        run_on_cpu(cs, get_tsc_offset, RUN_ON_CPU_HOST_PTR(vm));
    }
}

bool hpvm_cpr_may_start(Error **errp)
{
    GPollFD event = { .fd = cpr_find_fd(RUNS_NAME, 0), .events = G_IO_IN };

    if (event.fd >= 0 && g_poll(&event, 1, 0) > 0) {
        error_setg(errp, "hpvm: the guest has run in another QEMU, to which "
                   "this one has handed it over; it can't go on here");
        return false;
    }
    return true;
}

/* The guest is about to run here: whichever QEMU else has it mustn't start it. */
static void starts(HpvmVM *vm)
{
    const uint64_t one = 1;

    vm->inherited = false;
    vm->keep_tsc_offsets = false;
    if (vm->shared) {
        vm->shared = false;
        /* Nobody has read it: it can't be full. */
        if (write(cpr_find_fd(RUNS_NAME, 0), &one, sizeof(one)) < 0) {
            warn_report("hpvm: the other QEMU doesn't hear that the guest runs "
                        "here (%s); never have it go on there",
                        strerror(errno));
        }
        delete_event();
        new_event();
    }
}

static bool is_transfer(void)
{
    return migrate_mode() == MIG_MODE_CPR_TRANSFER;
}

/* The clock of a guest that was paused stands still. */
static void vm_state_changed(void *opaque, bool running, RunState state)
{
    HpvmVM *vm = opaque;

    if (running) {
        starts(vm);
    } else if (state == RUN_STATE_FINISH_MIGRATE && is_transfer()) {
        vm->clock_goes_on = true;
    }
}

/* The guest stands still, and its state is about to be saved. */
static int precopy_changed(NotifierWithReturn *notifier, void *data,
                           Error **errp)
{
    const PrecopyNotifyData *event = data;

    if (event->reason == PRECOPY_NOTIFY_COMPLETE && is_transfer()) {
        hand_over(hpvm_vm());
    }
    return 0;
}

static bool is_needed(void *opaque)
{
    HpvmVM *vm = opaque;

    return is_transfer() && vm->keep_tsc_offsets;
}

static int post_load(void *opaque, int version_id)
{
    HpvmVM *vm = opaque;

    vm->keep_tsc_offsets = true;
    return 0;
}

/* To the next QEMU on the same host; no other migration has it. */
static const VMStateDescription vmstate_hpvm = {
    .name = "hpvm-cpr",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = is_needed,
    .post_load = post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(hold, HpvmVM),
        VMSTATE_BOOL(clock_goes_on, HpvmVM),
        VMSTATE_UINT64(clock, HpvmVM),
        VMSTATE_UINT64(clock_tsc, HpvmVM),
        VMSTATE_UINT32_EQUAL(nr_tsc_offsets, HpvmVM,
                             "the guest has another number of vCPUs"),
        VMSTATE_VARRAY_UINT32(tsc_offsets, HpvmVM, nr_tsc_offsets, 0,
                              vmstate_info_uint64, uint64_t),
        VMSTATE_END_OF_LIST()
    }
};

void hpvm_cpr_init(HpvmVM *vm)
{
    static NotifierWithReturn notifier = { .notify = precopy_changed };

    if (cpr_find_fd(RUNS_NAME, 0) < 0) {
        new_event();
    }
    vmstate_register(NULL, 0, &vmstate_hpvm, vm);
    qemu_add_vm_change_state_handler(vm_state_changed, vm);
    precopy_add_notifier(&notifier);
}
