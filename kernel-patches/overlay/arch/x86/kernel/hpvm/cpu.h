/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _HPVM_CPU_H
#define _HPVM_CPU_H

#include <linux/cpumask_types.h>

/* apic_timer.c */
void hpvm_apic_timer_measure(void);

/* isolate.c */
int hpvm_isolate(const struct cpumask *cpus, unsigned int *failed);
void hpvm_unisolate(const struct cpumask *cpus);

/* status.c; the last two with hpvm_mutex held */
void hpvm_status_init(void);
void hpvm_status_add(unsigned int cpu);
void hpvm_status_remove(unsigned int cpu);

#endif /* _HPVM_CPU_H */
