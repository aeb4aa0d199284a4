/*
 * Where the other CPUs start: in real mode, on the page AP_PAGE, to which the first
 * CPU copies what is between ap_begin and ap_end. Calls ap_c() with the CPU's own
 * page of cpu_pages, whose upper end is its stack.
 */
#include "smp.h"

	.text
	.code16
	.globl ap_begin, ap_end
ap_begin:
	cli
	lgdtl %cs:(ap_table - ap_begin)
	mov $0x11, %eax			/* protected mode, caches on */
	mov %eax, %cr0
	ljmpl $0x08, $ap_protected
ap_table:
	.word 3 * 8 - 1
	.long ap_gdt
ap_end:

	.code32
ap_protected:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %eax
	lock xadd %eax, ap_next
	cmp $MAX_CPUS, %eax
1:	jae 1b				/* more than there are pages for */
	shl $12, %eax
	add $cpu_pages, %eax
	lea 4096(%eax), %esp
	push %eax
	call ap_c

	.data
	.balign 8
ap_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 0x08: code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.globl ap_next
ap_next:
	.long 1				/* the first CPU has the first page */

	.bss
	.balign 4096
	.globl cpu_pages
cpu_pages:
	.skip MAX_CPUS * 4096

	.section .note.GNU-stack, "", @progbits
