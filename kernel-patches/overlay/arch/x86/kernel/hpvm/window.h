/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _HPVM_WINDOW_H
#define _HPVM_WINDOW_H

/*
 * A local APIC accepts vectors 16 and up (SDM vol. 3A 11.5.2); 16-31 would
 * enter exception handlers, and a guest may raise them with SELF_IPI.
 */
#define HPVM_FIRST_VECTOR	16
#define HPVM_STUB_SIZE		16

#ifndef __ASSEMBLY__
extern const char hpvm_window_stubs[];
unsigned long hpvm_window_vector(struct pt_regs *regs);
#endif

#endif /* _HPVM_WINDOW_H */
