/*
 * Lists of host CPUs, such as "2-5+8"
 *
 * Nothing here depends on KVM or on the machine QEMU runs on, so that all of
 * it is covered by a unit test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "cpu-list.h"

bool hpvm_cpu_list_contains(const GArray *cpus, unsigned int cpu)
{
    for (unsigned int i = 0; i < cpus->len; i++) {
        if (g_array_index(cpus, unsigned int, i) == cpu) {
            return true;
        }
    }
    return false;
}

/* Unlike qemu_strtoui(), takes digits only: no sign, space, or 0x. */
static bool parse_cpu(const char **p, unsigned int *cpu)
{
    const char *end;

    if (!g_ascii_isdigit(**p) || qemu_strtoui(*p, &end, 10, cpu) == -EINVAL ||
        *cpu > HPVM_MAX_HOST_CPU) {
        return false;
    }
    *p = end;
    return true;
}

GArray *hpvm_cpu_list_parse(const char *list, Error **errp)
{
    g_autoptr(GArray) cpus = g_array_new(false, false, sizeof(unsigned int));
    const char *p = list;
    char separator;

    do {
        unsigned int first, last;

        if (!parse_cpu(&p, &first)) {
            goto syntax;
        }
        last = first;
        if (*p == '-') {
            p++;
            if (!parse_cpu(&p, &last) || last < first) {
                goto syntax;
            }
        }
        for (unsigned int cpu = first; cpu <= last; cpu++) {
            if (hpvm_cpu_list_contains(cpus, cpu)) {
                error_setg(errp, "hpvm-cpus=%s names CPU %u twice; "
                           "each vCPU needs a CPU of its own", list, cpu);
                return NULL;
            }
            g_array_append_val(cpus, cpu);
        }
        /* QEMU's options need a comma to be written twice. */
        separator = *p++;
    } while (separator == ',' || separator == '+');

    if (separator == '\0') {
        return g_steal_pointer(&cpus);
    }

syntax:
    error_setg(errp, "hpvm-cpus=%s is not a list of host CPUs; write CPU "
               "numbers and ascending ranges, such as 2-5+8", list);
    return NULL;
}

bool hpvm_cpu_list_check_length(const GArray *cpus, unsigned int vcpus,
                                Error **errp)
{
    if (cpus->len != vcpus) {
        error_setg(errp, "hpvm-cpus= names %u host CPU%s, but -smp has %u "
                   "vCPU%s; name exactly one host CPU per vCPU",
                   cpus->len, cpus->len == 1 ? "" : "s",
                   vcpus, vcpus == 1 ? "" : "s");
        return false;
    }
    return true;
}

bool hpvm_cpu_list_check_host(const GArray *cpus, const char *possible,
                              const char *online, Error **errp)
{
    g_autoptr(GArray) host = hpvm_cpu_list_parse(possible, errp);
    g_autoptr(GArray) running = host ? hpvm_cpu_list_parse(online, errp) : NULL;

    if (!running) {
        error_prepend(errp, "the host's own CPU list can't be read: ");
        return false;
    }

    for (unsigned int i = 0; i < cpus->len; i++) {
        unsigned int cpu = g_array_index(cpus, unsigned int, i);

        if (!hpvm_cpu_list_contains(host, cpu)) {
            error_setg(errp, "hpvm-cpus= names CPU %u, which this host doesn't "
                       "have; choose among CPUs %s", cpu, online);
            return false;
        }
        if (!hpvm_cpu_list_contains(running, cpu)) {
            error_setg(errp, "hpvm-cpus= names CPU %u, which is offline; "
                       "write 1 to /sys/devices/system/cpu/cpu%u/online, or "
                       "choose among CPUs %s", cpu, cpu, online);
            return false;
        }
    }
    return true;
}

bool hpvm_cpu_list_check_siblings(const GArray *cpus, unsigned int cpu,
                                  const char *siblings, const GArray *online,
                                  Error **errp)
{
    g_autoptr(GArray) core = hpvm_cpu_list_parse(siblings, NULL);
    g_autoptr(GString) others = g_string_new(NULL);
    unsigned int n = 0;

    if (!core) {
        error_setg(errp, "the CPUs that share the core of CPU %u can't be "
                   "read, as '%s' is not a list of CPUs; mount sysfs on /sys",
                   cpu, siblings);
        return false;
    }
    for (unsigned int i = 0; i < core->len; i++) {
        unsigned int sibling = g_array_index(core, unsigned int, i);

        if (sibling != cpu && !hpvm_cpu_list_contains(cpus, sibling) &&
            hpvm_cpu_list_contains(online, sibling)) {
            g_string_append_printf(others, "%s%u", n++ ? "," : "", sibling);
        }
    }
    if (n) {
        error_setg(errp, "CPU %u shares its core with CPU%s %s, not this VM's, "
                   "so that other work there can slow the vCPU down; give %s to "
                   "vCPUs of this VM too, take %s offline with "
                   "'echo 0 >/sys/devices/system/cpu/cpu%s/online'",
                   cpu, n == 1 ? "" : "s", others->str,
                   n == 1 ? "it" : "them", n == 1 ? "it" : "each N of them",
                   n == 1 ? others->str : "N");
        return false;
    }
    return true;
}
