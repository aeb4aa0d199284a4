/*
 * KVM direct mode ("hpvm"): hooks for the KVM accelerator
 *
 * Each vCPU owns a host CPU (pCPU) and takes timer and device interrupts
 * through its own IDT, without VM exits.  See docs/system/i386/hpvm.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_H
#define TARGET_I386_KVM_HPVM_H

#include CONFIG_DEVICES
#include <asm/kvm_hpvm.h>
#include "cpu.h"

#ifdef CONFIG_HPVM

/* Adds the accelerator's properties, whose names begin with hpvm. */
void kvm_hpvm_accel_class_init(ObjectClass *oc);

/*
 * Enables the mode for the VM if hpvm=on, before any vCPU exists.  Ends QEMU
 * with a sentence if the host or the configuration can't have it.
 */
void kvm_hpvm_init(MachineState *ms, KVMState *s);

/*
 * Withholds the paravirtual features that the mode makes useless.  Runs before
 * the -cpu option is applied, which can ask for them again.
 */
void kvm_hpvm_cpu_defaults(X86CPU *cpu);

/*
 * Pins the calling vCPU thread to its pCPU and binds the vCPU to it, before its
 * CPUID is made.  Ends QEMU with a sentence if that's not possible.
 */
void kvm_hpvm_init_vcpu(CPUState *cs);

/*
 * KVM_RUN has ended with KVM_EXIT_HPVM: tells QMP clients that the vCPU has left
 * direct mode or is in it again, and pauses the guest if hpvm-leave=stop.  Runs
 * on the vCPU's thread without the BQL; returns 0, or -1 if the vCPU can't go on.
 */
int kvm_hpvm_handle_exit(CPUState *cs);

/* Gives the pCPU back: an unplugged vCPU's file descriptor stays open. */
void kvm_hpvm_destroy_vcpu(CPUState *cs);

/*
 * Lets the guest's TSC be the host's, where QEMU would restart it at a reset.
 * Returns false if the TSC has to be written: the mode is off, or a migrated
 * TSC must be restored.
 */
bool kvm_hpvm_reset_tsc(X86CPU *cpu);

#else

static inline void kvm_hpvm_accel_class_init(ObjectClass *oc)
{
}

static inline void kvm_hpvm_init(MachineState *ms, KVMState *s)
{
}

static inline void kvm_hpvm_cpu_defaults(X86CPU *cpu)
{
}

static inline void kvm_hpvm_init_vcpu(CPUState *cs)
{
}

static inline int kvm_hpvm_handle_exit(CPUState *cs)
{
    return -1;
}

static inline void kvm_hpvm_destroy_vcpu(CPUState *cs)
{
}

static inline bool kvm_hpvm_reset_tsc(X86CPU *cpu)
{
    return false;
}

#endif /* CONFIG_HPVM */

#endif /* TARGET_I386_KVM_HPVM_H */
