/*
 * KVM direct mode ("hpvm"): hooks for the KVM accelerator
 *
 * Each vCPU owns a host CPU (pCPU) and takes timer and device interrupts
 * through its own IDT, without VM exits.  See docs/system/i386/hpvm.rst.
 *
 * Without CONFIG_HPVM stub.c has them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_H
#define TARGET_I386_KVM_HPVM_H

#include <linux/kvm.h>

#include "cpu.h"
#include "system/kvm.h"

/* Adds the accelerator's properties, whose names begin with hpvm. */
void kvm_hpvm_accel_class_init(ObjectClass *oc);

/*
 * Enables the mode for the VM if hpvm=on, before any vCPU exists.  Ends QEMU
 * with a sentence if the host or the configuration can't have it.
 */
void kvm_hpvm_init(MachineState *ms, KVMState *s);

/*
 * Withholds the paravirtual features that the mode makes useless.  Runs before
 * the -cpu option is applied, which can ask for them again, and before KVM has
 * a vCPU.
 */
void kvm_hpvm_cpu_defaults(X86CPU *cpu);

/*
 * Prepares a vCPU, on its thread and before its CPUID is made.  It gets its
 * pCPU when the VM does, or at once if that is so already.  Ends QEMU with a
 * sentence if the guest's CPU isn't one for the mode.
 */
void kvm_hpvm_init_vcpu(CPUState *cs);

/*
 * KVM_RUN has ended with KVM_EXIT_HPVM: tells QMP clients that the vCPU has
 * left direct mode or is in it again, and pauses the guest if hpvm-leave=stop.
 * Runs on the vCPU's thread without the BQL; returns 0, or -1 if the vCPU can't
 * go on.
 */
int kvm_hpvm_handle_exit(CPUState *cs);

/*
 * Takes an unplugged vCPU, whose file descriptor stays open, off its pCPU.
 * That stays the VM's, for the next vCPU with this index.
 */
void kvm_hpvm_destroy_vcpu(CPUState *cs);

/*
 * Puts the guest's TSC where it belongs: to the host's at a reset, and a
 * migrated one to where it was.  @level is that of kvm_arch_put_registers().
 * Returns false if the TSC has to be written.
 */
bool kvm_hpvm_put_tsc(X86CPU *cpu, int level);

/*
 * Whether KVM has connected this MSI of an assigned device with the device, or
 * needn't, as interrupts of this VM's devices go through the host anyway.
 */
bool kvm_hpvm_is_connected(int gsi);

/* KVM_GET_CLOCK has said where the guest's kvmclock has stopped. */
void kvm_hpvm_clock_was_read(const struct kvm_clock_data *data);

/* KVM_SET_CLOCK is about to have it go on: from there, or as the guest's TSC has. */
void kvm_hpvm_clock_is_set(struct kvm_clock_data *data);

/* The rate of the APIC timer, if it isn't 1 GHz. */
extern const VMStateDescription vmstate_x86_apic_rate;

/* Whether an incoming guest's APIC timer goes on here at its rate; says so. */
bool x86_check_apic_rate(X86CPU *cpu);

#endif /* TARGET_I386_KVM_HPVM_H */
