/*
 * KVM direct mode ("hpvm"): guest memory that is always there
 *
 * An EPT violation is a VM exit that the guest can neither foresee nor avoid.
 * So the guest's memory is locked, and mapped before the guest touches it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <linux/kvm.h>

#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "internal.h"
#include "trace.h"

/* How long the memory map must be unchanged before it's mapped again. */
#define SETTLE_MS 100

/* Mapped per interruption of a running guest. */
#define CHUNK (64 * MiB)

typedef struct GpaRange {
    uint64_t gpa;
    uint64_t size;
} GpaRange;

static struct {
    QEMUTimer *settle;
    bool changed;       /* since the last commit of the memory map */
    bool started;       /* the guest has run */
    GArray *ranges;     /* what is left to map while the guest runs */
} mem;

static bool add_range(Int128 start, Int128 len, const MemoryRegion *mr,
                      hwaddr offset_in_region, void *opaque)
{
    const uint64_t page = qemu_real_host_page_size();
    GArray *ranges = opaque;
    uint64_t first = ROUND_UP(int128_get64(start), page);
    uint64_t end = ROUND_DOWN(int128_get64(int128_add(start, len)), page);
    GpaRange range = { .gpa = first, .size = end - first };

    /* A device's memory isn't locked and may fault: leave it to the guest. */
    if (mr->ram && !mr->ram_device && first < end) {
        g_array_append_val(ranges, range);
    }
    return false;
}

static GArray *guest_ram(void)
{
    GArray *ranges = g_array_new(false, false, sizeof(GpaRange));

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            add_range, ranges);
    return ranges;
}

/*
 * Maps up to @budget bytes of @ranges, and removes them from there.  A range
 * that can't be mapped is given up: the guest faults it in when it uses it.
 */
static void map_ranges(CPUState *cs, GArray *ranges, uint64_t budget)
{
    int64_t begin = get_clock();
    uint64_t bytes = 0;

    while (ranges->len && bytes < budget) {
        GpaRange *last = &g_array_index(ranges, GpaRange, ranges->len - 1);
        struct kvm_pre_fault_memory req = {
            .gpa = last->gpa,
            .size = MIN(last->size, budget - bytes),
        };
        uint64_t size = req.size;
        int ret;

        do {
            ret = kvm_vcpu_ioctl(cs, KVM_PRE_FAULT_MEMORY, &req);
        } while (req.size && (!ret || ret == -EINTR || ret == -EAGAIN));

        trace_kvm_hpvm_prefault_range(last->gpa, size, req.size, ret);
        bytes += size - req.size;
        if (req.size) {
            warn_report("hpvm: guest memory at 0x%llx can't be mapped in "
                        "advance (%s); the guest's first accesses will exit",
                        req.gpa, strerror(-ret));
            size = last->size;
        }
        last->gpa += size;
        last->size -= size;
        if (!last->size) {
            g_array_set_size(ranges, ranges->len - 1);
        }
    }
    trace_kvm_hpvm_prefault(bytes, get_clock() - begin);
}

static void map_all(CPUState *cs, run_on_cpu_data data)
{
    map_ranges(cs, data.host_ptr, UINT64_MAX);
}

/* Lets the guest run between two chunks. */
static void map_chunk(CPUState *cs, run_on_cpu_data data)
{
    map_ranges(cs, mem.ranges, CHUNK);
    if (mem.ranges->len) {
        async_run_on_cpu(cs, map_chunk, RUN_ON_CPU_NULL);
    }
}

static void settled(void *opaque)
{
    bool busy = mem.ranges && mem.ranges->len;

    if (mem.ranges) {
        g_array_unref(mem.ranges);
    }
    mem.ranges = guest_ram();
    if (!busy) {
        async_run_on_cpu(first_cpu, map_chunk, RUN_ON_CPU_NULL);
    }
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    mem.changed |= memory_region_is_ram(section->mr);
}

/*
 * When a slot of guest memory is changed, KVM drops the mappings of all: this
 * happens when firmware opens and closes the memory below 1 MiB, and when
 * memory is plugged in.
 */
static void commit(MemoryListener *listener)
{
    if (mem.changed && mem.started) {
        timer_mod(mem.settle,
                  qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + SETTLE_MS);
    }
    mem.changed = false;
}

static MemoryListener listener = {
    .name = "hpvm",
    .region_add = region_add,
    .commit = commit,
};

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    g_autoptr(GArray) ranges = NULL;

    if (running && !mem.started) {
        mem.started = true;
        ranges = guest_ram();
        run_on_cpu(first_cpu, map_all, RUN_ON_CPU_HOST_PTR(ranges));
    }
}

static void machine_done(Notifier *notifier, void *data)
{
    if (os_mlock(false) < 0) {
        error_report("hpvm: the guest's memory can't be locked; raise the "
                     "limit of locked memory (ulimit -l), or run QEMU with "
                     "CAP_IPC_LOCK");
        exit(EXIT_FAILURE);
    }
    mem.settle = timer_new_ms(QEMU_CLOCK_VIRTUAL, settled, NULL);
    memory_listener_register(&listener, &address_space_memory);
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
}

static Notifier machine_done_notifier = { .notify = machine_done };

void hpvm_memory_init(void)
{
    int ret = ram_block_discard_disable(true);

    /* Nothing can have asked for the opposite before the machine exists. */
    assert(!ret);
    qemu_add_machine_init_done_notifier(&machine_done_notifier);
}
