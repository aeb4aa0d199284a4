/*
 * KVM direct mode: shared by the files of this directory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_INTERNAL_H
#define TARGET_I386_KVM_HPVM_INTERNAL_H

#include "qapi/qapi-types-hpvm-target.h"

/* Whether direct mode is enabled for the VM. */
bool hpvm_enabled(void);

/* What hpvm-timer= asked for. */
HpvmTimerPolicy hpvm_timer_policy(void);

/* Whether assigned devices may interrupt the guest without the host. */
bool hpvm_direct_irqs(void);

/*
 * Locks the guest's memory once the machine is complete, and maps it for the
 * guest before the guest runs and whenever the memory map has changed, so that
 * no EPT violation interrupts it later.
 */
void hpvm_memory_init(void);

#endif /* TARGET_I386_KVM_HPVM_INTERNAL_H */
