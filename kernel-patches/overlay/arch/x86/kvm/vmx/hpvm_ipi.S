/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fast path for the ICR of a direct vCPU: from VM exit to VM entry in some
 * sixty instructions, without saving the guest's registers.
 *
 * VM exits of direct vCPUs come here (HOST_RIP).  Whatever isn't a WRMSR to the
 * x2APIC ICR that sends a fixed, edge-triggered interrupt to vCPUs that can be
 * reached straight (see ../hpvm/ipi.c) goes on to vmx_vmexit as if nothing had
 * been: all is decided before the first IPI is sent.
 *
 * IRQs are off.  An NMI that comes here for work of the host makes the VM entry
 * exit at once, by writing the current VMCS.
 *
 * There is no RET and no indirect branch, so the guest's predictions aren't
 * followed; SPEC_CTRL stays the guest's.  Indices from the guest are masked.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/irq_vectors.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/unwind_hints.h>
#include <uapi/asm/vmx.h>

#include "kvm-asm-offsets.h"

/* What may be set: vector, level assert, logical destination, shorthand. */
#define ICR_FIXED		(APIC_VECTOR_MASK | APIC_INT_ASSERT | \
				 APIC_DEST_LOGICAL | APIC_DEST_ALLBUT)

/* On the stack, in this order from the bottom up; above them is @regs. */
#define SAVED_RDI		0
#define SAVED_RSI		8
#define SAVED_RBX		16
#define SAVED_RDX		24
#define SAVED_RAX		32
#define REGS			40

.macro VMREAD_TO field:req, reg:req
	mov	$\field, %e\reg
	vmread	%r\reg, %r\reg
.endm

	.section .noinstr.text, "ax"

SYM_CODE_START(vmx_hpvm_vmexit)
	UNWIND_HINT_UNDEFINED
	ENDBR
	cmp	$X2APIC_ICR_MSR, %ecx
	jne	vmx_vmexit

	push	%rax
	push	%rdx
	push	%rbx
	push	%rsi
	push	%rdi

	VMREAD_TO VM_EXIT_REASON, si
	cmp	$EXIT_REASON_MSR_WRITE, %esi
	jne	.Lslow
	test	$~ICR_FIXED, %eax
	jnz	.Lslow

	/* hpvm_sendable() */
	movzbl	%al, %esi
	cmp	$FIRST_EXTERNAL_VECTOR, %esi
	jb	.Lslow
	cmp	$X86_PLATFORM_IPI_VECTOR, %esi
	je	.Lslow

	/* Retiring an instruction ends a shadow, and traps to #DB with TF. */
	VMREAD_TO GUEST_INTERRUPTIBILITY_INFO, si
	test	$(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS), %esi
	jnz	.Lslow
	VMREAD_TO GUEST_RFLAGS, si
	test	$X86_EFLAGS_TF, %esi
	jnz	.Lslow

	mov	REGS(%rsp), %rbx
	mov	KVM_regs_to_hpvm(%rbx), %rdi
	mov	HPVM_vm(%rdi), %rdi
	test	$(APIC_DEST_LOGICAL | APIC_DEST_ALLBUT), %eax
	jnz	.Lmulticast

	/* One vCPU, by its APIC ID.  The bit of 255 is never set. */
	mov	%edx, %esi
	cmp	$255, %esi
	ja	.Lslow
	and	$255, %esi
	mov	%esi, %edx
	shr	$5, %edx
	mov	HPVM_VM_in_guest(%rdi, %rdx, 4), %edx
	bt	%esi, %edx
	jnc	.Lslow
	mov	HPVM_VM_phys(%rdi, %rsi, 4), %edx
	movzbl	%al, %eax
	/* ECX is the ICR's number already. */
	wrmsr

.Lsent:
	/* The MSR-write exit's instruction is at an end. */
	VMREAD_TO VM_EXIT_INSTRUCTION_LEN, si
	mov	$GUEST_RIP, %edi
	vmread	%rdi, %rdx
	mov	%edx, %eax
	add	%esi, %eax
	jc	.Lwrap
	add	%rdx, %rsi
.Lset_rip:
	vmwrite	%rsi, %rdi

	/* As kvm_x2apic_icr_write() does. */
	mov	KVM_regs_to_hpvm(%rbx), %rdi
	mov	HPVM_lapic_regs(%rdi), %rdi
	mov	SAVED_RAX(%rsp), %eax
	mov	%eax, APIC_ICR(%rdi)
	mov	SAVED_RDX(%rsp), %edx
	mov	%edx, APIC_ICR + 4(%rdi)
	incq	KVM_regs_to_ipis(%rbx)

	pop	%rdi
	pop	%rsi
	pop	%rbx
	pop	%rdx
	pop	%rax
	CLEAR_CPU_BUFFERS
.Lvmresume:
	vmresume
	jmp	vmx_vmfail
	_ASM_EXTABLE(.Lvmresume, vmx_vmfail)

.Lslow:
	pop	%rdi
	pop	%rsi
	pop	%rbx
	pop	%rdx
	pop	%rax
	jmp	vmx_vmexit

	/* Past 4 GB: RIP has 32 bits outside of 64-bit mode. */
.Lwrap:
	add	%rdx, %rsi
	VMREAD_TO GUEST_CS_AR_BYTES, dx
	test	$VMX_AR_L_MASK, %edx
	jnz	.Lset_rip
	mov	%esi, %esi
	jmp	.Lset_rip

	/* To whom: into EDX a mask, into RDI the pCPUs of its 16 APIC IDs. */
.Lmulticast:
	test	$APIC_DEST_ALLBUT, %eax
	jnz	.Lshorthand

	/* x2APIC's logical destination: cluster in 31:16, mask in 15:0. */
	mov	%edx, %esi
	shr	$16, %esi
	cmp	$15, %esi
	ja	.Lslow
	and	$15, %esi
	movzwl	%dx, %edx
	test	%edx, %edx
	jz	.Lslow
	movzwl	HPVM_VM_in_guest(%rdi, %rsi, 2), %ebx
	not	%ebx
	test	%edx, %ebx
	jnz	.Lslow
	shl	$4, %esi
.Lsend:
	lea	HPVM_VM_phys(%rdi, %rsi, 4), %rdi
	mov	%edx, %ebx
	movzbl	%al, %eax
.Lnext:
	bsf	%ebx, %esi
	mov	(%rdi, %rsi, 4), %edx
	wrmsr
	lea	-1(%rbx), %esi
	and	%esi, %ebx
	jnz	.Lnext
	mov	REGS(%rsp), %rbx
	jmp	.Lsent

	/* 11: all but self, 10: all, 01: self, which no one sends so. */
.Lshorthand:
	btl	$19, %eax
	jnc	.Lslow
	movzwl	HPVM_VM_in_guest(%rdi), %edx
	cmp	%edx, HPVM_VM_all(%rdi)
	jne	.Lslow
	xor	%esi, %esi
	btl	$18, %eax
	jnc	.Lsend
	mov	KVM_regs_to_hpvm(%rbx), %rbx
	and	HPVM_not_self(%rbx), %edx
	jz	.Lslow
	jmp	.Lsend
SYM_CODE_END(vmx_hpvm_vmexit)
