/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _HPVM_CPU_H
#define _HPVM_CPU_H

#include <linux/cpumask_types.h>

/* apic_timer.c */
void hpvm_apic_timer_measure(void);

/* isolate.c */
int hpvm_isolate(const struct cpumask *cpus, unsigned int *failed);
void hpvm_unisolate(const struct cpumask *cpus);

/* mce.c */
#ifdef CONFIG_X86_MCE_INTEL
void hpvm_mce_take(const struct cpumask *cpus);
void hpvm_mce_give(const struct cpumask *cpus);
#else
static inline void hpvm_mce_take(const struct cpumask *cpus) {}
static inline void hpvm_mce_give(const struct cpumask *cpus) {}
#endif

/* status.c; the last two with hpvm_mutex held */
void hpvm_status_init(void);
void hpvm_status_add(unsigned int cpu);
void hpvm_status_remove(unsigned int cpu);

#endif /* _HPVM_CPU_H */
