/*
 * KVM direct mode ("hpvm"): "info hpvm"
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "monitor/hmp.h"
#include "monitor/hmp-target.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands-hpvm-target.h"

/* The names of a list's members, all of which lists look alike. */
#define NAMES(list, name) ({                                            \
    GString *s_ = g_string_new(NULL);                                   \
                                                                        \
    for (typeof(list) r_ = (list); r_; r_ = r_->next) {                 \
        g_string_append_printf(s_, "%s%s", s_->len ? "," : "",          \
                               name(r_->value));                        \
    }                                                                   \
    g_string_free(s_->len ? s_ : g_string_append(s_, "-"), false);      \
})

static char *number_string(bool has, uint32_t number)
{
    return has ? g_strdup_printf("%" PRIu32, number) : g_strdup("-");
}

static void print_interrupts(Monitor *mon, const HpvmInterruptList *list)
{
    if (!list) {
        return;
    }
    monitor_printf(mon, "\n%4s %8s  %-6s %4s %4s %6s  %s\n", "GSI", "host-IRQ",
                   "way", "vCPU", "pCPU", "vector", "reasons");
    for (; list; list = list->next) {
        HpvmInterrupt *irq = list->value;
        g_autofree char *host_irq = number_string(irq->has_host_irq,
                                                  irq->host_irq);
        g_autofree char *vcpu = number_string(irq->has_vcpu, irq->vcpu);
        g_autofree char *host_cpu = number_string(irq->has_host_cpu,
                                                  irq->host_cpu);
        g_autofree char *reasons = NAMES(irq->reasons, HpvmIrqReason_str);

        monitor_printf(mon, "%4" PRIu32 " %8s  %-6s %4s %4s %6" PRIu8 "  %s\n",
                       irq->gsi, host_irq, HpvmInterruptWay_str(irq->way),
                       vcpu, host_cpu, irq->vector, reasons);
    }
}

void hmp_info_hpvm(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(HpvmInfo) info = qmp_query_hpvm(&err);
    HpvmVcpuList *v;

    if (hmp_handle_error(mon, err)) {
        return;
    }
    if (!info->enabled) {
        monitor_printf(mon, "hpvm: off\n");
        return;
    }

    monitor_printf(mon, "hpvm: on, timer policy: %s, device interrupts: %s\n",
                   HpvmTimerPolicy_str(info->timer_policy),
                   info->direct_irqs ? "direct" : "by the host");
    monitor_printf(mon, "memory: %" PRIu64 " of %" PRIu64 " KiB mapped",
                   (info->memory->size - info->memory->unmapped) / KiB,
                   info->memory->size / KiB);
    if (info->memory->unlocked) {
        monitor_printf(mon, ", %" PRIu64 " KiB not locked",
                       info->memory->unlocked / KiB);
    }
    monitor_printf(mon, "\n\n");

    monitor_printf(mon, "%4s %8s %4s  %-8s  %-20s  %-8s  %s\n", "vCPU",
                   "thread", "pCPU", "state", "reasons", "timer",
                   "timer reasons");
    for (v = info->vcpus; v; v = v->next) {
        HpvmVcpu *vcpu = v->value;
        g_autofree char *reasons = NAMES(vcpu->reasons, HpvmReason_str);
        g_autofree char *timer_reasons = NAMES(vcpu->timer_reasons,
                                              HpvmTimerReason_str);
        g_autofree char *host_cpu = number_string(vcpu->has_host_cpu,
                                                  vcpu->host_cpu);

        monitor_printf(mon, "%4" PRId64 " %8" PRId64 " %4s  %-8s  %-20s  %-8s"
                       "  %s\n", vcpu->cpu_index, vcpu->thread_id, host_cpu,
                       HpvmState_str(vcpu->state), reasons,
                       HpvmTimerStep_str(vcpu->timer), timer_reasons);
    }

    monitor_printf(mon, "\n%4s %8s %8s %10s %10s %10s %10s %8s %10s %10s\n",
                   "vCPU", "entries", "leaves", "recorded", "reposted",
                   "in-service", "NMI-kicks", "window", "EOI-exits", "IPIs");
    for (v = info->vcpus; v; v = v->next) {
        HpvmCounters *c = v->value->counters;

        monitor_printf(mon, "%4" PRId64 " %8" PRIu64 " %8" PRIu64 " %10" PRIu64
                       " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64
                       " %10" PRIu64 " %10" PRIu64 "\n", v->value->cpu_index,
                       c->direct_entries, c->direct_leaves, c->recorded,
                       c->reposted, c->in_service, c->nmi_kicks,
                       c->window_kicks, c->eoi_intercepts, c->ipis);
    }

    print_interrupts(mon, info->interrupts);
}
