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
 * followed; SPEC_CTRL stays the guest's.  Indices from the guest are masked.  An NMI
 * in here has both.  Where the host's protection is a bit that stays set in SPEC_CTRL
 * (enhanced IBRS) the guest's value must have it, too; with legacy IBRS the NMI's entry
 * sets it.
 *
 * CPU buffers are cleared where vmx_vcpu_enter_exit() and __vmx_vcpu_run() do it; see
 * vmx_hpvm_fast_icr() for where that isn't possible.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/irq_vectors.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/processor-flags.h>
#include <asm/unwind_hints.h>
#include <uapi/asm/vmx.h>

#include "kvm-asm-offsets.h"
#include "run_flags.h"

/* On the stack, in this order from the bottom up; the last three by __vmx_vcpu_run(). */
#define SAVED_RDI		0
#define SAVED_RSI		8
#define SAVED_RBX		16
#define SAVED_RDX		24
#define SAVED_RAX		32
#define REGS			40
#define FLAGS			48
#define VMX			56

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
	test	$~HPVM_ICR_FIXED, %eax
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

	/* Does SPEC_CTRL have the host's bits? */
	ALTERNATIVE "jmp .Lspec_ctrl_ok", "", X86_FEATURE_IBRS_ENHANCED
	testb	$(1 << VMX_RUN_SAVE_SPEC_CTRL_SHIFT), FLAGS(%rsp)
	jnz	.Lread_spec_ctrl
	mov	VMX(%rsp), %rdi
	mov	VMX_spec_ctrl(%rdi), %esi
.Lcompare_spec_ctrl:
	not	%esi
	test	%esi, PER_CPU_VAR(x86_spec_ctrl_current)
	jnz	.Lslow
.Lspec_ctrl_ok:

	mov	REGS(%rsp), %rbx
	mov	KVM_regs_to_hpvm(%rbx), %rdi
	mov	HPVM_vm(%rdi), %rdi
	test	$(APIC_DEST_LOGICAL | APIC_DEST_ALLBUT), %eax
	jnz	.Lmulticast

	/* One vCPU, by its APIC ID.  The bit of 255 is never set. */
	mov	%edx, %esi
	cmp	$HPVM_APIC_IDS, %esi
	ja	.Lslow
	and	$HPVM_APIC_IDS, %esi
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

	/* MMIO Stale Data, on a CPU where it's the only reason to clear. */
	ALTERNATIVE_2 "", __stringify(					\
		mov	KVM_regs_to_kvm(%rbx), %rdi;			\
		cmpl	$0, KVM_assigned_devices(%rdi);			\
		je	.Lbuffers_clear;				\
		verw	x86_verw_sel(%rip);				\
		.Lbuffers_clear:), X86_BUG_MMIO_STALE_DATA,		\
		"", X86_FEATURE_CLEAR_CPU_BUF

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

	/* The guest may write it without an exit. */
.Lread_spec_ctrl:
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	rdmsr
	mov	%eax, %esi
	mov	$X2APIC_ICR_MSR, %ecx
	mov	SAVED_RAX(%rsp), %eax
	mov	SAVED_RDX(%rsp), %edx
	jmp	.Lcompare_spec_ctrl

	/* Past 4 GB: RIP has 32 bits outside of 64-bit mode. */
.Lwrap:
	add	%rdx, %rsi
	VMREAD_TO GUEST_CS_AR_BYTES, dx
	test	$VMX_AR_L_MASK, %edx
	jnz	.Lset_rip
	mov	%esi, %esi
	jmp	.Lset_rip

	/* To whom: into EDX a mask, into RDI the pCPUs of its cluster's APIC IDs. */
.Lmulticast:
	test	$APIC_DEST_ALLBUT, %eax
	jnz	.Lshorthand

	/* x2APIC's logical destination: cluster in 31:16, mask in 15:0. */
	mov	%edx, %esi
	shr	$16, %esi
	cmp	$(HPVM_CLUSTERS - 1), %esi
	ja	.Lslow
	and	$(HPVM_CLUSTERS - 1), %esi
	movzwl	%dx, %edx
	test	%edx, %edx
	jz	.Lslow
	movzwl	HPVM_VM_in_guest(%rdi, %rsi, 2), %ebx
	not	%ebx
	test	%edx, %ebx
	jnz	.Lslow
	imul	$HPVM_CLUSTER_IDS, %esi, %esi
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

	/*
	 * All but self has the bits of all and of self, which no one sends so.  HPVM_NO_MASK
	 * equals no 16 bits, and leaves it to kvm_hpvm_send_icr().
	 */
.Lshorthand:
	test	$APIC_DEST_ALLINC, %eax
	jz	.Lslow
	movzwl	HPVM_VM_in_guest(%rdi), %edx
	cmp	%edx, HPVM_VM_all(%rdi)
	jne	.Lslow
	xor	%esi, %esi
	test	$APIC_DEST_SELF, %eax
	jz	.Lsend
	mov	KVM_regs_to_hpvm(%rbx), %rbx
	and	HPVM_not_self(%rbx), %edx
	jz	.Lslow
	jmp	.Lsend
SYM_CODE_END(vmx_hpvm_vmexit)
