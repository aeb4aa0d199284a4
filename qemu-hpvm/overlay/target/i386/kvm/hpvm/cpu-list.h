/*
 * Lists of host CPUs, such as "2-5+8"
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_CPU_LIST_H
#define TARGET_I386_KVM_HPVM_CPU_LIST_H

/* CONFIG_NR_CPUS of Linux is at most 8192. */
#define HPVM_MAX_HOST_CPU 8191

/**
 * hpvm_cpu_list_parse:
 * @list: Linux CPU numbers and ascending ranges, separated by
 *     plus signs or, as Linux does it, commas
 * @errp: what is wrong with @list
 *
 * Returns: the CPU numbers as unsigned int in the order in which they are
 * listed, which is the order of the vCPUs; NULL if @list isn't such a list,
 * is empty, or names a CPU twice.
 */
GArray *hpvm_cpu_list_parse(const char *list, Error **errp);

/**
 * hpvm_cpu_list_contains:
 * @cpus: as returned by hpvm_cpu_list_parse()
 * @cpu: a CPU number
 */
bool hpvm_cpu_list_contains(const GArray *cpus, unsigned int cpu);

/**
 * hpvm_cpu_list_check_length:
 * @cpus: the CPUs to use, one per vCPU
 * @vcpus: number of vCPUs
 * @errp: how many there should be
 */
bool hpvm_cpu_list_check_length(const GArray *cpus, unsigned int vcpus,
                                Error **errp);

/**
 * hpvm_cpu_list_check_host:
 * @cpus: the CPUs to use, one per vCPU
 * @possible: those that the host can have, in the format of
 *     /sys/devices/system/cpu/possible
 * @online: the host's online CPUs, in the same format
 * @errp: what is wrong with @cpus, and the way out
 *
 * Returns: whether each vCPU can have its CPU.
 */
bool hpvm_cpu_list_check_host(const GArray *cpus, const char *possible,
                              const char *online, Error **errp);

/**
 * hpvm_cpu_list_check_siblings:
 * @cpus: the CPUs to use
 * @cpu: one of @cpus
 * @siblings: the CPUs of its core, itself included, in the format of
 *     /sys/devices/system/cpu/cpuN/topology/thread_siblings_list
 * @online: the host's online CPUs
 * @errp: with whom @cpu shares its core, or what is wrong with @siblings, and
 *     ways out, to which the caller can append another one
 *
 * Returns: whether all online CPUs of the core are among @cpus.
 */
bool hpvm_cpu_list_check_siblings(const GArray *cpus, unsigned int cpu,
                                  const char *siblings, const GArray *online,
                                  Error **errp);

#endif /* TARGET_I386_KVM_HPVM_CPU_LIST_H */
