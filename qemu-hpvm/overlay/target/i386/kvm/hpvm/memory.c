/*
 * KVM direct mode ("hpvm"): guest memory that is always there
 *
 * An EPT violation is a VM exit that the guest can neither foresee nor avoid.
 * So the guest's memory is locked, and mapped before the guest touches it:
 * after QEMU's start or while a migration comes in, and again what KVM has
 * dropped.  Never while somebody waits for the guest, though: a guest that is
 * to run does, and the rest is mapped in short interruptions.  And where QEMU
 * has unlocked memory, for the sake of postcopy, a thread locks it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sys/mman.h>

#include "exec/address-spaces.h"
#include "exec/cpu-common.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "migration/misc.h"
#include "migration/postcopy-ram.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-events-hpvm-target.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "internal.h"
#include "trace.h"

/*
 * How vCPU 0 maps memory: SETTLE_MS after the last change of the memory map,
 * for at most STEP_NS at a time, with pauses of PAUSE_MS for the guest.  One
 * that is in its firmware or in ordinary mode loses nothing by long steps, and
 * what firmware has changed is mapped before it's direct.  An incoming one must
 * not wait for the end of a step.
 */
#define SETTLE_MS (map->vm->direct ? 100 : 10)
#define STEP_NS ((patient(map) ? 20 : 1) * SCALE_MS)
#define PAUSE_MS (map->vm->direct && runstate_is_running() ? 10 : 0)

/* While vCPU 0 is where its mappings are not those of the others. */
#define RETRY_MS 1000

/* While postcopy's last pages are being put into place. */
#define POSTCOPY_MS 10

/*
 * Mapped or locked at a time: half a millisecond, if it consists of 4 KiB
 * pages.  What else needs the lock of QEMU's address space gets it in between.
 */
#define PIECE (4 * MiB)

typedef struct GpaRange {
    uint64_t gpa;
    uint64_t size;
} GpaRange;

/* Of QEMU's memory; the region can't go while it's being locked. */
typedef struct HostRange {
    MemoryRegion *mr;
    uint8_t *addr;
    size_t size;
} HostRange;

typedef struct HpvmMap {
    HpvmVM *vm;
    MemoryListener listener;
    NotifierWithReturn migration;
    NotifierWithReturn postcopy;
    /* The next step.  Host's time: it goes on while the guest is paused. */
    QEMUTimer *timer;
    /* Left to map.  With the BQL, as all of this. */
    GArray *ranges;
    /* All has to be mapped anew; @ranges will say so. */
    bool all;
    /* KVM drops the mappings of those regions only that are changed. */
    bool kept;
    /* The memory map has changed since its last commit. */
    bool changed;
    /* A step is under way on the thread of vCPU 0. */
    bool busy;
    /* Pages may come by postcopy: they have to stay away until then. */
    bool advised;
    /*
     * Postcopy was switched on, for which QEMU unlocks all memory, or it
     * couldn't be locked again.
     */
    bool unlocked;
    /* It's time to lock it again. */
    bool lock_due;
    /* A thread does, without the BQL: HostRange, and how far it is. */
    GArray *locking;
    size_t lock_left;
    int lock_errno;
} HpvmMap;

static bool patient(const HpvmMap *map)
{
    return !map->vm->direct && !runstate_check(RUN_STATE_INMIGRATE);
}

/* A device's memory isn't locked and may fault: leave it to the guest. */
static bool is_mapped(MemoryRegion *mr)
{
    return (mr->ram && !mr->ram_device) || memory_region_is_romd(mr);
}

static void add_range(GArray *ranges, Int128 start, Int128 len)
{
    const uint64_t page = qemu_real_host_page_size();
    uint64_t first = ROUND_UP(int128_get64(start), page);
    uint64_t end = ROUND_DOWN(int128_get64(int128_add(start, len)), page);
    GpaRange range = { .gpa = first, .size = end - first };

    if (first >= end) {
        return;
    }
    /* Firmware opens and closes the same regions again and again. */
    for (unsigned int i = 0; i < ranges->len; i++) {
        GpaRange *other = &g_array_index(ranges, GpaRange, i);

        if (range.gpa == other->gpa && range.size == other->size) {
            return;
        }
    }
    g_array_append_val(ranges, range);
}

static bool add_flat_range(Int128 start, Int128 len, const MemoryRegion *mr,
                           hwaddr offset_in_region, void *opaque)
{
    if (is_mapped((MemoryRegion *)mr)) {
        add_range(opaque, start, len);
    }
    return false;
}

static GArray *guest_ram(void)
{
    GArray *ranges = g_array_new(false, false, sizeof(GpaRange));

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            add_flat_range, ranges);
    return ranges;
}

static uint64_t total_size(const GArray *ranges)
{
    uint64_t size = 0;

    for (unsigned int i = 0; i < ranges->len; i++) {
        size += g_array_index(ranges, GpaRange, i).size;
    }
    return size;
}

/* Takes a piece out of @ranges; false if there is none left. */
static bool take_piece(GArray *ranges, struct kvm_pre_fault_memory *piece)
{
    GpaRange *last;

    if (!ranges->len) {
        return false;
    }
    last = &g_array_index(ranges, GpaRange, ranges->len - 1);
    *piece = (struct kvm_pre_fault_memory) {
        .gpa = last->gpa,
        .size = MIN(last->size, PIECE),
    };
    last->gpa += piece->size;
    last->size -= piece->size;
    if (!last->size) {
        g_array_set_size(ranges, ranges->len - 1);
    }
    return true;
}

/*
 * What can't be mapped is given up: the guest faults it in when it uses it.
 * Without the BQL, so that the memory map may change meanwhile; what's new in
 * it will be mapped, and it's no fault if what was in it is gone.
 */
static void map_piece(CPUState *cs, struct kvm_pre_fault_memory *piece)
{
    uint64_t gpa = piece->gpa, size = piece->size;
    int ret;

    do {
        ret = kvm_vcpu_ioctl(cs, KVM_PRE_FAULT_MEMORY, piece);
    } while (piece->size && (!ret || ret == -EINTR || ret == -EAGAIN));

    trace_kvm_hpvm_prefault_range(gpa, size, piece->size, ret);
    if (piece->size && ret != -ENOENT) {
        warn_report("hpvm: guest memory at 0x%llx can't be mapped in advance "
                    "(%s); the guest's first accesses will exit",
                    piece->gpa, strerror(-ret));
    }
}

static void next_step(HpvmMap *map, int64_t ms)
{
    timer_mod(map->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms);
}

/* On the thread of vCPU 0, as an ioctl of a vCPU waits for KVM_RUN to end. */
static void map_some(CPUState *cs, run_on_cpu_data data)
{
    HpvmMap *map = data.host_ptr;
    struct kvm_pre_fault_memory piece;
    int64_t begin = get_clock();
    uint64_t bytes = 0;

    map->busy = false;
    if (cs->kvm_run->flags & (KVM_RUN_X86_SMM | KVM_RUN_X86_GUEST_MODE)) {
        next_step(map, RETRY_MS);
        return;
    }
    map->busy = true;
    while (!map->advised && get_clock() - begin < STEP_NS &&
           take_piece(map->ranges, &piece)) {
        bytes += piece.size;
        bql_unlock();
        map_piece(cs, &piece);
        bql_lock();
    }
    map->busy = false;
    trace_kvm_hpvm_prefault(bytes, get_clock() - begin);
    next_step(map, PAUSE_MS);
}

static void map_all(HpvmMap *map, int64_t ms)
{
    map->all = true;
    next_step(map, ms);
}

/*
 * What's to come is locked page by page, when it's there: the guest's memory
 * when it's mapped.  The stack of a new thread has eight megabytes, which nobody
 * needs, and a migration makes threads while the guest stands still.
 */
static int lock_future(void)
{
#ifdef HAVE_MLOCK_ONFAULT
    return mlockall(MCL_FUTURE | MCL_ONFAULT);
#else
    return mlockall(MCL_FUTURE);
#endif
}

/*
 * All of it at once would keep everybody from changing QEMU's address space for
 * as long as it takes to look at each page.  When the pages of the guest's
 * memory are locked, the rest is told to be so without being looked at, and
 * what's to come is locked as a whole.
 */
static int lock_ranges(HpvmMap *map)
{
    for (unsigned int i = 0; i < map->locking->len; i++) {
        HostRange *range = &g_array_index(map->locking, HostRange, i);

        for (size_t done = 0; done < range->size; done += PIECE) {
            size_t size = MIN(range->size - done, PIECE);

            if (mlock(range->addr + done, size) < 0) {
                return errno;
            }
            qatomic_set(&map->lock_left, map->lock_left - size);
        }
    }
#ifdef HAVE_MLOCK_ONFAULT
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) {
        return errno;
    }
#endif
    return lock_future() < 0 ? errno : 0;
}

static void locked_again(void *opaque)
{
    HpvmMap *map = opaque;
    g_autofree char *reason = NULL;

    for (unsigned int i = 0; i < map->locking->len; i++) {
        memory_region_unref(g_array_index(map->locking, HostRange, i).mr);
    }
    g_array_unref(g_steal_pointer(&map->locking));

    trace_kvm_hpvm_locked(map->lock_left, map->lock_errno);
    if (map->lock_errno) {
        map->unlocked = true;
        map->lock_due = false;
        reason = g_strdup_printf("the guest's memory can't be locked again "
                                 "after postcopy (%s); raise the limit of "
                                 "locked memory (prlimit --memlock=unlimited "
                                 "--pid %d), then 'stop' and 'cont'",
                                 strerror(map->lock_errno), getpid());
        warn_report("hpvm: %s", reason);
        qapi_event_send_hpvm_memory_unlocked(reason);
    }
    map_all(map, 0);
}

/* Without the BQL, which the monitor and the guest's devices need. */
static void *lock_again(void *opaque)
{
    HpvmMap *map = opaque;

    map->lock_errno = lock_ranges(map);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), locked_again, map);
    return NULL;
}

static int add_host_range(RAMBlock *block, void *opaque)
{
    HpvmMap *map = opaque;
    HostRange range = {
        .mr = block->mr,
        .addr = qemu_ram_get_host_addr(block),
        .size = qemu_ram_get_used_length(block),
    };

    memory_region_ref(range.mr);
    g_array_append_val(map->locking, range);
    map->lock_left += range.size;
    return 0;
}

/*
 * Nothing is mapped meanwhile: pages that aren't there yet would come as shared
 * pages of zeroes, each of which had to be replaced.
 */
static void begin_to_lock(HpvmMap *map)
{
    QemuThread thread;

    map->unlocked = false;
    map->lock_due = false;
    map->all = true;
    map->lock_left = 0;
    map->locking = g_array_new(false, false, sizeof(HostRange));
    qemu_ram_foreach_block(add_host_range, map);
    qemu_thread_create(&thread, "hpvm/lock", lock_again, map,
                       QEMU_THREAD_DETACHED);
}

static void step(void *opaque)
{
    HpvmMap *map = opaque;
    Error *err = NULL;

    if (map->busy || map->advised || map->locking) {
        return;
    }
    if (map->lock_due && runstate_is_running()) {
        if (migration_in_incoming_postcopy()) {
            next_step(map, POSTCOPY_MS);
        } else {
            begin_to_lock(map);
        }
        return;
    }
    if (map->all) {
        map->all = false;
        g_array_unref(map->ranges);
        map->ranges = guest_ram();
    }
    if (map->ranges->len) {
        map->busy = true;
        async_run_on_cpu(first_cpu, map_some, RUN_ON_CPU_HOST_PTR(map));
    } else if (vm_start_pending) {
        vm_start_pending = false;
        qmp_cont(&err);
        if (err) {
            error_report_err(err);
        }
    }
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    HpvmMap *map = container_of(listener, HpvmMap, listener);

    if (is_mapped(section->mr)) {
        map->changed = true;
        /* What has come since the thread began to lock. */
        map->lock_due |= !!map->locking;
        add_range(map->ranges,
                  int128_make64(section->offset_within_address_space),
                  section->size);
    }
}

/* Where KVM can't drop the mappings of one region, it drops those of all. */
static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    HpvmMap *map = container_of(listener, HpvmMap, listener);

    if (is_mapped(section->mr) || section->mr->rom_device) {
        map->changed |= !map->kept;
    }
}

static void commit(MemoryListener *listener)
{
    HpvmMap *map = container_of(listener, HpvmMap, listener);

    if (map->changed) {
        map->changed = false;
        map->all |= !map->kept;
        next_step(map, SETTLE_MS);
    }
}

/*
 * KVM had to split the mappings of huge pages to log accesses to each page,
 * and has dropped the small ones.  Migrations, and measuring the dirty rate, do
 * that.
 */
static void log_global_stop(MemoryListener *listener)
{
    HpvmMap *map = container_of(listener, HpvmMap, listener);

    map_all(map, SETTLE_MS);
}

/* A background snapshot protects pages: they are out of KVM's mappings then. */
static int migration_changed(NotifierWithReturn *notifier, MigrationEvent *e,
                             Error **errp)
{
    HpvmMap *map = container_of(notifier, HpvmMap, migration);

    if (e->type != MIG_EVENT_PRECOPY_SETUP && runstate_is_running()) {
        map_all(map, SETTLE_MS);
    }
    return 0;
}

static void nothing(CPUState *cs, run_on_cpu_data data)
{
}

static void postcopy_ended(void *opaque)
{
    HpvmMap *map = opaque;

    map->advised = false;
    map->lock_due = map->unlocked;
    map_all(map, SETTLE_MS);
}

/*
 * A page that is there isn't fetched from the source: from the moment on when
 * pages are discarded for that nothing may map them.
 */
static int postcopy_changed(NotifierWithReturn *notifier, void *data,
                            Error **errp)
{
    HpvmMap *map = container_of(notifier, HpvmMap, postcopy);
    struct PostcopyNotifyData *event = data;

    switch (event->reason) {
    case POSTCOPY_NOTIFY_PROBE:
        map->unlocked = true;
        break;
    case POSTCOPY_NOTIFY_INBOUND_ADVISE:
        map->advised = true;
        /* Wait for a step that is under way. */
        run_on_cpu(first_cpu, nothing, RUN_ON_CPU_NULL);
        break;
    case POSTCOPY_NOTIFY_INBOUND_END:
        /* From the thread that has received the pages. */
        aio_bh_schedule_oneshot(qemu_get_aio_context(), postcopy_ended, map);
        break;
    default:
        break;
    }
    return 0;
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    HpvmMap *map = opaque;

    /* Postcopy was possible and isn't used, or locking has failed. */
    if (running && (map->advised || map->unlocked) &&
        !migration_in_incoming_postcopy()) {
        postcopy_ended(map);
    }
}

void hpvm_memory_start(HpvmVM *vm, bool start)
{
    HpvmMap *map = g_new0(HpvmMap, 1);

    if (os_mlock(false) < 0 || lock_future() < 0) {
        error_report("hpvm: the guest's memory can't be locked; raise the "
                     "limit of locked memory (ulimit -l; in libvirt "
                     "<memoryBacking><locked/></memoryBacking>), or run QEMU "
                     "with CAP_IPC_LOCK");
        exit(EXIT_FAILURE);
    }

    /*
     * QEMU would lock it again before an incoming guest runs, or before it
     * tells the source that all has come.
     */
    mlock_state = MLOCK_BY_ACCEL;

    vm->map = map;
    map->vm = vm;
    map->kept = vm->keeps_mappings;
    vm_start_pending = start;
    map->ranges = g_array_new(false, false, sizeof(GpaRange));
    map->timer = timer_new_ms(QEMU_CLOCK_REALTIME, step, map);
    map->listener = (MemoryListener) {
        .name = "hpvm",
        .region_add = region_add,
        .region_del = region_del,
        .commit = commit,
        .log_global_stop = log_global_stop,
    };
    memory_listener_register(&map->listener, &address_space_memory);
    qemu_add_vm_change_state_handler(vm_state_changed, map);
    migration_add_notifier(&map->migration, migration_changed);
    map->postcopy.notify = postcopy_changed;
    postcopy_add_notifier(&map->postcopy);
    /* The main loop comes to it when the machine has been reset. */
    map_all(map, 0);
}

void hpvm_memory_map(HpvmVM *vm)
{
    HpvmMap *map = vm->map;
    uint64_t left;

    map->all = false;
    g_array_unref(map->ranges);
    map->ranges = guest_ram();
    do {
        left = total_size(map->ranges);
        run_on_cpu(first_cpu, map_some, RUN_ON_CPU_HOST_PTR(map));
    } while (total_size(map->ranges) < left);
}

HpvmMemory *hpvm_memory_info(const HpvmVM *vm)
{
    const HpvmMap *map = vm->map;
    HpvmMemory *info = g_new0(HpvmMemory, 1);
    g_autoptr(GArray) ram = guest_ram();

    info->size = total_size(ram);
    info->unmapped = !map || map->all ? info->size
                                      : MIN(total_size(map->ranges),
                                            info->size);
    if (!map || map->unlocked) {
        info->unlocked = info->size;
    } else if (map->locking) {
        info->unlocked = MIN(qatomic_read(&map->lock_left), info->size);
    }
    return info;
}

void hpvm_memory_init(HpvmVM *vm, KVMState *s)
{
    int quirks = kvm_check_extension(s, KVM_CAP_DISABLE_QUIRKS2);
    int ret = ram_block_discard_disable(true);

    /* Nothing can have asked for the opposite before the machine exists. */
    assert(!ret);

    /*
     * KVM drops all mappings when one region goes, unless it's told not to: at
     * each write to flash memory, and when a migration's last step restores
     * which of the memory below 1 MiB is open.  It does so for the sake of
     * guests with an assigned GPU, which had faults without it in the days of
     * KVM's former MMU code; here the mappings are those of the TDP MMU.
     */
    if (quirks > 0 && (quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL)) {
        vm->keeps_mappings =
            kvm_vm_enable_cap(s, KVM_CAP_DISABLE_QUIRKS2, 0,
                              KVM_X86_QUIRK_SLOT_ZAP_ALL) == 0;
    }
}
