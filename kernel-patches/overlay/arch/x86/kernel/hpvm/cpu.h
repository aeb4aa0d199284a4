/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _HPVM_CPU_H
#define _HPVM_CPU_H

void hpvm_apic_timer_measure(void);

#endif /* _HPVM_CPU_H */
