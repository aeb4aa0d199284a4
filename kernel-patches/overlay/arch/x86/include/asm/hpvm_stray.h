/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ASM_X86_HPVM_STRAY_H
#define _ASM_X86_HPVM_STRAY_H

/*
 * Interrupts of a guest that arrive in the host; see kernel/hpvm/stray.c.  A
 * header of its own because <asm/idtentry.h> includes it.
 */

#include <linux/jump_label.h>
#include <linux/percpu-defs.h>
#include <linux/types.h>

#include <asm/percpu.h>

#ifdef CONFIG_KVM_HPVM

/* On while a CPU is dedicated. */
DECLARE_STATIC_KEY_FALSE(hpvm_stray_key);
/* The CPU has a guest; changed by the CPU itself, with IRQs off. */
DECLARE_PER_CPU(bool, hpvm_has_guest);
bool __hpvm_stray(void);

/*
 * At the start of the handler of any vector from 32 up, IRQs off.  True: the
 * interrupt was a guest's and has been dealt with.
 */
static __always_inline bool hpvm_stray(void)
{
	return static_branch_unlikely(&hpvm_stray_key) && this_cpu_read(hpvm_has_guest) &&
	       __hpvm_stray();
}

#else

static __always_inline bool hpvm_stray(void) { return false; }

#endif /* CONFIG_KVM_HPVM */
#endif /* _ASM_X86_HPVM_STRAY_H */
