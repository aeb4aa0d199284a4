/*
 * KVM direct mode ("hpvm"): the accelerator's properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qapi/visitor.h"
#include "system/kvm_int.h"
#include "cpu-list.h"
#include "hpvm.h"
#include "internal.h"

#define PINNED "pinned"

HpvmVM *hpvm_of_accel(KVMState *s)
{
    if (!s->hpvm) {
        s->hpvm = g_new0(HpvmVM, 1);
    }
    return s->hpvm;
}

static HpvmOptions *options_of(Object *obj)
{
    return &hpvm_of_accel(KVM_STATE(obj))->options;
}

bool hpvm_options_idle(const HpvmOptions *options)
{
    return !options->on &&
           (options->cpu_list || options->timer != HPVM_TIMER_POLICY_AUTO ||
            options->smt != HPVM_SMT_POLICY_WARN ||
            options->leave != HPVM_LEAVE_POLICY_REPORT ||
            options->irq != ON_OFF_AUTO_AUTO);
}

bool hpvm_cpus_pinned(const HpvmOptions *options)
{
    return !options->cpu_list || g_str_equal(options->cpu_list, PINNED);
}

static bool get_on(Object *obj, Error **errp)
{
    return options_of(obj)->on;
}

static void set_on(Object *obj, bool value, Error **errp)
{
    options_of(obj)->on = value;
}

static char *get_cpus(Object *obj, Error **errp)
{
    return g_strdup(options_of(obj)->cpu_list);
}

static void set_cpus(Object *obj, const char *value, Error **errp)
{
    HpvmOptions *options = options_of(obj);
    g_autoptr(GArray) cpus = NULL;

    if (!g_str_equal(value, PINNED)) {
        cpus = hpvm_cpu_list_parse(value, errp);
        if (!cpus) {
            return;
        }
    }
    g_free(options->cpu_list);
    options->cpu_list = g_strdup(value);
}

static int get_timer(Object *obj, Error **errp)
{
    return options_of(obj)->timer;
}

static void set_timer(Object *obj, int value, Error **errp)
{
    options_of(obj)->timer = value;
}

static int get_smt(Object *obj, Error **errp)
{
    return options_of(obj)->smt;
}

static void set_smt(Object *obj, int value, Error **errp)
{
    options_of(obj)->smt = value;
}

static int get_leave(Object *obj, Error **errp)
{
    return options_of(obj)->leave;
}

static void set_leave(Object *obj, int value, Error **errp)
{
    options_of(obj)->leave = value;
}

static int get_irq(Object *obj, Error **errp)
{
    return options_of(obj)->irq;
}

static void set_irq(Object *obj, int value, Error **errp)
{
    options_of(obj)->irq = value;
}

static void get_apic_cycle(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &options_of(obj)->apic_cycle_ns, errp);
}

static void set_apic_cycle(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (!value) {
        error_setg(errp, "apic-bus-cycle-ns=0 is no rate; KVM's own is that of "
                   "apic-bus-cycle-ns=1");
        return;
    }
    options_of(obj)->apic_cycle_ns = value;
}

void kvm_hpvm_accel_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "hpvm", get_on, set_on);
    object_class_property_set_description(oc, "hpvm",
        "Dedicate a host CPU to each vCPU and let interrupts reach the guest "
        "without VM exits");

    object_class_property_add_str(oc, "hpvm-cpus", get_cpus, set_cpus);
    object_class_property_set_description(oc, "hpvm-cpus",
        "Host CPUs for hpvm=on, one per vCPU in vCPU order (e.g. 2-5+8), or "
        "'pinned': the one that each vCPU's thread is confined to");

    object_class_property_add_enum(oc, "hpvm-timer", "HpvmTimerPolicy",
                                   &HpvmTimerPolicy_lookup,
                                   get_timer, set_timer);
    object_class_property_set_description(oc, "hpvm-timer",
        "Which APIC timer modes the guest may arm in the hardware with hpvm=on");

    object_class_property_add_enum(oc, "hpvm-smt", "HpvmSmtPolicy",
                                   &HpvmSmtPolicy_lookup, get_smt, set_smt);
    object_class_property_set_description(oc, "hpvm-smt",
        "What to do if a CPU of the VM's shares its core (SMT) with one that "
        "isn't the VM's");

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

    object_class_property_add(oc, "apic-bus-cycle-ns", "uint32",
                              get_apic_cycle, set_apic_cycle, NULL, NULL);
    object_class_property_set_description(oc, "apic-bus-cycle-ns",
        "Nanoseconds between two counts of the guest's APIC timer (1), for a "
        "guest that has been or will be in direct mode");
}
