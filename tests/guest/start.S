/* Entry of a multiboot kernel: a stack, then start_c() with the command line. */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002		/* magic */
	.long 0				/* flags: nothing asked for */
	.long -0x1badb002		/* checksum: the three add up to 0 */

	.text
	.globl _start
_start:
	mov $stack_top, %esp
	push 16(%ebx)			/* of the multiboot information */
	call start_c
1:	hlt
	jmp 1b

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
