/*
 * KVM direct mode ("hpvm"): QMP commands and events
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "hw/core/cpu.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-hpvm-target.h"
#include "qapi/qapi-events-hpvm-target.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "hpvm.h"
#include "internal.h"
#include "trace.h"

/* The kernel's bit numbers are this QEMU's enumeration values. */
QEMU_BUILD_BUG_ON(BIT_ULL(HPVM_REASON_OTHER - 1) !=
                  KVM_HPVM_REASON_BREAKER_STRAY);
QEMU_BUILD_BUG_ON(BIT_ULL(HPVM_TIMER_REASON_OTHER - 1) !=
                  KVM_HPVM_TIMER_REASON_ORDINARY);
QEMU_BUILD_BUG_ON(BIT_ULL(HPVM_IRQ_REASON_OTHER - 1) !=
                  KVM_HPVM_IRQ_REASON_NOT_REMAPPED);
QEMU_BUILD_BUG_ON((int)HPVM_STATE_DIRECT != KVM_HPVM_STATE_DIRECT);
QEMU_BUILD_BUG_ON(sizeof(struct kvm_hpvm_exit) >
                  sizeof_field(struct kvm_run, padding));
QEMU_BUILD_BUG_ON((int)HPVM_TIMER_STEP_DEADLINE != KVM_HPVM_TIMER_DEADLINE);

typedef struct StateRequest {
    struct kvm_hpvm_state state;
    Error *err;
} StateRequest;

typedef struct ModeRequest {
    bool hold;
    bool reset;
    int ret;
} ModeRequest;

/* For hpvm-leave=stop: not passing, no boot, and not asked for by somebody. */
#define STOP_REASONS (KVM_HPVM_REASON_WRONG_CPU | KVM_HPVM_REASON_NESTED | \
                      KVM_HPVM_REASON_HYPERV | KVM_HPVM_REASON_XEN | \
                      KVM_HPVM_REASON_VAPIC | KVM_HPVM_REASON_PROTECTED)

/* On the vCPU's thread, as vCPU ioctls wait for KVM_RUN to end. */
static bool get_state(CPUState *cs, struct kvm_hpvm_state *state, Error **errp)
{
    int ret = kvm_vcpu_ioctl(cs, KVM_HPVM_GET_STATE, state);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "hpvm: can't read the state of vCPU %d",
                         cs->cpu_index);
        return false;
    }
    trace_kvm_hpvm_read_state(cs->cpu_index, state->state, state->timer,
                              state->reasons, state->timer_reasons);
    if (state->state > KVM_HPVM_STATE_DIRECT ||
        state->timer > KVM_HPVM_TIMER_DEADLINE) {
        error_setg(errp, "hpvm: vCPU %d is in a state that this QEMU doesn't "
                   "know; use the QEMU that belongs to the host's kernel",
                   cs->cpu_index);
        return false;
    }
    return true;
}

static void read_state(CPUState *cs, run_on_cpu_data data)
{
    StateRequest *req = data.host_ptr;

    get_state(cs, &req->state, &req->err);
}

static void set_mode(CPUState *cs, run_on_cpu_data data)
{
    ModeRequest *req = data.host_ptr;

    req->ret = hpvm_set_ctrl(cs, req->hold, req->reset);
    if (!req->ret) {
        /* For all vCPUs: a second time would hide what has tripped it anew. */
        req->reset = false;
    }
}

static HpvmReasonList *reason_list(uint64_t mask)
{
    HpvmReasonList *list = NULL, **tail = &list;

    for (int i = 0; i < HPVM_REASON_OTHER; i++) {
        if (mask & BIT_ULL(i)) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    if (mask >> HPVM_REASON_OTHER) {
        QAPI_LIST_APPEND(tail, HPVM_REASON_OTHER);
    }
    return list;
}

static HpvmTimerReasonList *timer_reason_list(uint64_t mask)
{
    HpvmTimerReasonList *list = NULL, **tail = &list;

    for (int i = 0; i < HPVM_TIMER_REASON_OTHER; i++) {
        if (mask & BIT_ULL(i)) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    if (mask >> HPVM_TIMER_REASON_OTHER) {
        QAPI_LIST_APPEND(tail, HPVM_TIMER_REASON_OTHER);
    }
    return list;
}

static HpvmIrqReasonList *irq_reason_list(uint64_t mask)
{
    HpvmIrqReasonList *list = NULL, **tail = &list;

    for (int i = 0; i < HPVM_IRQ_REASON_OTHER; i++) {
        if (mask & BIT_ULL(i)) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    if (mask >> HPVM_IRQ_REASON_OTHER) {
        QAPI_LIST_APPEND(tail, HPVM_IRQ_REASON_OTHER);
    }
    return list;
}

/*
 * How the interrupts of assigned devices go, as many as the kernel tells; NULL
 * with @errp set.
 */
static struct kvm_hpvm_irqs *get_irqs(Error **errp)
{
    g_autofree struct kvm_hpvm_irqs *irqs = NULL;
    uint32_t room = 32;
    int ret;

    /* More may come while we look. */
    do {
        room *= 2;
        irqs = g_realloc(irqs, sizeof(*irqs) + room * sizeof(irqs->irqs[0]));
        *irqs = (struct kvm_hpvm_irqs) { .nr = room };
        ret = kvm_vm_ioctl(kvm_state, KVM_HPVM_GET_IRQS, irqs);
    } while (ret == -E2BIG && room < KVM_HPVM_MAX_IRQS);
    trace_kvm_hpvm_get_irqs(irqs->nr, ret);
    if (ret < 0 && ret != -E2BIG) {
        error_setg_errno(errp, -ret, "hpvm: can't tell how the interrupts of "
                         "devices go");
        return NULL;
    }
    irqs->nr = MIN(irqs->nr, room);
    return g_steal_pointer(&irqs);
}

bool kvm_hpvm_is_connected(int gsi)
{
    HpvmVM *vm = hpvm_vm();
    g_autofree struct kvm_hpvm_irqs *irqs =
        vm && (vm->features & KVM_HPVM_F_IRQ) ? get_irqs(NULL) : NULL;

    for (uint32_t i = 0; irqs && i < irqs->nr; i++) {
        if (irqs->irqs[i].gsi == gsi) {
            return true;
        }
    }
    return !irqs;
}

/* False with @errp set. */
static bool query_irqs(HpvmInterruptList **tail, Error **errp)
{
    g_autofree struct kvm_hpvm_irqs *irqs = get_irqs(errp);

    if (!irqs) {
        return false;
    }
    for (uint32_t i = 0; i < irqs->nr; i++) {
        const struct kvm_hpvm_irq *irq = &irqs->irqs[i];
        HpvmInterrupt *out = g_new0(HpvmInterrupt, 1);

        out->gsi = irq->gsi;
        out->host_irq = irq->host_irq;
        out->has_host_irq = irq->host_irq != 0;
        out->way = irq->pcpu == KVM_HPVM_NO_CPU ? HPVM_INTERRUPT_WAY_HOST
                                                : HPVM_INTERRUPT_WAY_DIRECT;
        out->has_vcpu = irq->vcpu_id != KVM_HPVM_NO_CPU;
        out->vcpu = out->has_vcpu ? irq->vcpu_id : 0;
        out->has_host_cpu = irq->pcpu != KVM_HPVM_NO_CPU;
        out->host_cpu = out->has_host_cpu ? irq->pcpu : 0;
        out->vector = irq->vector;
        out->reasons = irq_reason_list(irq->reasons);
        QAPI_LIST_APPEND(tail, out);
    }
    return true;
}

static HpvmVcpu *query_vcpu(CPUState *cs, Error **errp)
{
    StateRequest req = { };
    const struct kvm_hpvm_state *state = &req.state;
    HpvmVcpu *vcpu;

    run_on_cpu(cs, read_state, RUN_ON_CPU_HOST_PTR(&req));
    if (req.err) {
        error_propagate(errp, req.err);
        return NULL;
    }

    vcpu = g_new0(HpvmVcpu, 1);
    vcpu->cpu_index = cs->cpu_index;
    vcpu->thread_id = cs->thread_id;
    vcpu->has_host_cpu = state->pcpu != KVM_HPVM_NO_CPU;
    vcpu->host_cpu = vcpu->has_host_cpu ? state->pcpu : 0;
    vcpu->state = (HpvmState)state->state;
    vcpu->reasons = reason_list(state->reasons);
    vcpu->timer = (HpvmTimerStep)state->timer;
    vcpu->timer_reasons = timer_reason_list(state->timer_reasons);
    vcpu->apic_bus_khz = state->apic_bus_khz;
    vcpu->counters = g_new0(HpvmCounters, 1);
    *vcpu->counters = (HpvmCounters) {
        .direct_entries = state->direct_entries,
        .direct_leaves = state->direct_leaves,
        .recorded = state->recorded,
        .reposted = state->reposted,
        .in_service = state->in_service,
        .nmi_kicks = state->nmi_kicks,
        .window_kicks = state->window_kicks,
        .eoi_intercepts = state->eoi_intercepts,
        .ipis = state->ipis,
        .nmis_sent = state->nmis_sent,
        .slow_exits = state->slow_exits,
        .quiet_ns = state->quiet_ns,
        .since_timer_ns = state->since_timer_ns,
    };
    return vcpu;
}

/*
 * A vCPU that waits for a page to come from the source may not be interrupted
 * until it's there, and that may need a command of the monitor's that waits for
 * the vCPU.
 */
static bool can_interrupt_vcpus(Error **errp)
{
    if (migration_in_incoming_postcopy()) {
        error_setg(errp, "hpvm: vCPUs may wait for pages from the source, and "
                   "can't be interrupted; ask again when query-migrate says "
                   "that the postcopy migration is completed");
        return false;
    }
    return true;
}

HpvmInfo *qmp_query_hpvm(Error **errp)
{
    g_autoptr(HpvmInfo) info = g_new0(HpvmInfo, 1);
    HpvmVcpuList **tail = &info->vcpus;
    HpvmVM *vm = hpvm_vm();
    CPUState *cs;

    info->enabled = vm;
    if (vm) {
        if (!can_interrupt_vcpus(errp)) {
            return NULL;
        }
        info->has_timer_policy = true;
        info->timer_policy = vm->options.timer;

        CPU_FOREACH(cs) {
            HpvmVcpu *vcpu = query_vcpu(cs, errp);

            if (!vcpu) {
                return NULL;
            }
            QAPI_LIST_APPEND(tail, vcpu);
        }
        info->has_direct_irqs = true;
        info->direct_irqs = vm->features & KVM_HPVM_F_IRQ;
        info->memory = hpvm_memory_info(vm);
        if (!query_irqs(&info->interrupts, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&info);
}

/* All vCPUs, or those before @end; returns the first that failed, or @end. */
static CPUState *set_mode_before(CPUState *end, ModeRequest *req)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs == end) {
            break;
        }
        run_on_cpu(cs, set_mode, RUN_ON_CPU_HOST_PTR(req));
        if (req->ret < 0) {
            return cs;
        }
    }
    return end;
}

void qmp_hpvm_set_mode(HpvmMode mode, Error **errp)
{
    ModeRequest req = {
        .hold = mode == HPVM_MODE_ORDINARY,
        .reset = mode == HPVM_MODE_AUTO,
    };
    HpvmVM *vm = hpvm_vm();
    CPUState *failed;

    if (!vm) {
        error_setg(errp, "direct mode is not enabled; start QEMU with "
                   "-accel kvm,hpvm=on");
        return;
    }
    if (!can_interrupt_vcpus(errp)) {
        return;
    }
    /* vCPUs that aren't bound yet get it then. */
    failed = vm->bound ? set_mode_before(NULL, &req) : NULL;
    if (failed) {
        ModeRequest undo = { .hold = vm->hold };

        error_setg_errno(errp, -req.ret, "hpvm: can't set the mode of vCPU %d",
                         failed->cpu_index);
        set_mode_before(failed, &undo);
        return;
    }
    vm->hold = req.hold;
}

int kvm_hpvm_handle_exit(CPUState *cs)
{
    const struct kvm_hpvm_exit *run = (void *)cs->kvm_run->padding;
    uint64_t why = run->reasons;
    HpvmReasonList *reasons;
    HpvmVM *vm = hpvm_vm();

    trace_kvm_hpvm_state_change(cs->cpu_index, run->state, why);
    if (run->state > KVM_HPVM_STATE_DIRECT) {
        error_report("hpvm: vCPU %d is in a state that this QEMU doesn't know; "
                     "use the QEMU that belongs to the host's kernel",
                     cs->cpu_index);
        return -1;
    }

    reasons = reason_list(why);
    bql_lock();
    if (cs == first_cpu) {
        vm->direct = run->state == KVM_HPVM_STATE_DIRECT;
    }
    qapi_event_send_hpvm_state_change(cs->cpu_index, (HpvmState)run->state,
                                      reasons);
    if (vm->options.leave == HPVM_LEAVE_POLICY_STOP &&
        (why & STOP_REASONS)) {
        vm_stop(RUN_STATE_PAUSED);
    }
    bql_unlock();
    qapi_free_HpvmReasonList(reasons);
    return 0;
}
