/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry points of the IDT that is in force for one instruction at a time while
 * vectors are taken out of the local APIC; see window.c.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/irq_vectors.h>
#include <asm/ptrace-abi.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

#include "../../entry/calling.h"
#include "window.h"

	.section .noinstr.text, "ax"

/*
 * One stub a vector, HPVM_STUB_SIZE bytes each: push the vector where an error
 * code would be, and join.
 */
	.align HPVM_STUB_SIZE
SYM_CODE_START(hpvm_window_stubs)
	vector = HPVM_FIRST_VECTOR
	.rept NR_VECTORS - HPVM_FIRST_VECTOR
	UNWIND_HINT_IRET_REGS
0:
	ENDBR
	.byte	0x6a, vector
	jmp	hpvm_window_entry
	.fill 0b + HPVM_STUB_SIZE - ., 1, 0xcc
	vector = vector + 1
	.endr
SYM_CODE_END(hpvm_window_stubs)

/*
 * Always entered from the kernel (the window is a few instructions of
 * window.c), so there is no SWAPGS, CR3 or stack to switch.
 */
SYM_CODE_START_LOCAL(hpvm_window_entry)
	UNWIND_HINT_IRET_REGS offset=8
	cld
	PUSH_AND_CLEAR_REGS
	movq	%rsp, %rdi
	call	hpvm_window_vector
	testq	%rax, %rax
	jnz	.Lexception
	POP_REGS
	addq	$8, %rsp
	UNWIND_HINT_IRET_REGS
	iretq

	/*
	 * A machine check: continue at the host's handler with the frame as the CPU
	 * pushed it.  It needs no stack of its own here (IST), and takes any.
	 */
.Lexception:
	UNWIND_HINT_REGS
	movq	%rax, ORIG_RAX(%rsp)
	POP_REGS
	UNWIND_HINT_IRET_REGS offset=8
	ANNOTATE_UNRET_SAFE
	ret
	int3
SYM_CODE_END(hpvm_window_entry)
