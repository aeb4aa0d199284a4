/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _HPVM_CPU_H
#define _HPVM_CPU_H

/* apic_timer.c */
void hpvm_apic_timer_measure(void);

/* isolate.c */
int hpvm_isolate(unsigned int cpu);
void hpvm_unisolate(unsigned int cpu);

/* status.c; the last two with hpvm_mutex held */
void hpvm_status_init(void);
void hpvm_status_add(unsigned int cpu);
void hpvm_status_remove(unsigned int cpu);

#endif /* _HPVM_CPU_H */
