/*
 * KVM direct mode: shared by the files of this directory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_INTERNAL_H
#define TARGET_I386_KVM_HPVM_INTERNAL_H

#include "hw/core/cpu.h"
#include "qapi/qapi-types-hpvm-target.h"

/* Whether direct mode is enabled for the VM. */
bool hpvm_enabled(void);

/* What hpvm-timer= asked for. */
HpvmTimerPolicy hpvm_timer_policy(void);

/* What hpvm-leave= asked for. */
HpvmLeavePolicy hpvm_leave_policy(void);

/*
 * Holds a vCPU in ordinary mode, or lets it go.  Runs on its thread; returns 0
 * or a negative error number.
 */
int hpvm_set_ctrl(CPUState *cs, bool hold);

/* Whether assigned devices may interrupt the guest without the host. */
bool hpvm_direct_irqs(void);

/*
 * Locks the guest's memory once the machine is complete, and maps it for the
 * guest before the guest runs and whenever the memory map has changed, so that
 * no EPT violation interrupts it later.
 */
void hpvm_memory_init(void);

#endif /* TARGET_I386_KVM_HPVM_INTERNAL_H */
