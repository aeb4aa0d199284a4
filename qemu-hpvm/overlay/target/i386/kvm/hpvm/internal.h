/*
 * KVM direct mode: shared by the files of this directory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_HPVM_INTERNAL_H
#define TARGET_I386_KVM_HPVM_INTERNAL_H

#include <linux/kvm.h>
#include <asm/kvm_hpvm.h>

#include "cpu.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-types-hpvm-target.h"
#include "system/kvm.h"

/* Shown where the host's administrator has to look. */
#define HPVM_SYS_CPU "/sys/devices/system/cpu"

/* Present in a kernel with the mode, whether or not the host can do it. */
#define HPVM_PARAMETER "/sys/module/kvm/parameters/hpvm_cpus"
#define HPVM_MODE_PARAMETER "/sys/module/kvm/parameters/hpvm"

#define HPVM_TIMER_FEATURES (KVM_HPVM_F_TIMER_DEADLINE | \
                             KVM_HPVM_F_TIMER_ONESHOT)

/* The properties, as the user set them. */
typedef struct HpvmOptions {
    bool on;
    char *cpu_list;     /* NULL or "pinned": as the vCPUs' threads are pinned */
    HpvmTimerPolicy timer;
    HpvmSmtPolicy smt;
    HpvmLeavePolicy leave;
    OnOffAuto irq;
    uint32_t apic_cycle_ns; /* of a guest without hpvm=on, too */
} HpvmOptions;

/* The VM's direct mode, KVMState.hpvm. */
typedef struct HpvmVM {
    HpvmOptions options;
    bool enabled;
    bool hold;          /* hpvm-set-mode wants ordinary mode */
    bool direct;        /* vCPU 0 is in direct mode, as KVM has told last */
    bool apic_rate_set; /* KVM knows options.apic_cycle_ns */
    uint64_t tsc_offset; /* of vCPU 0, restored */
    uint64_t features;  /* KVM_HPVM_F_* of the VM */
    GArray *cpus;       /* of hpvm-cpus=, or NULL */
    /* The VM's CPUs as soon as it has them; by cpu_index. */
    struct kvm_hpvm_take *take;
    bool bound;         /* the vCPUs are, to these */
    bool inherited;     /* of an old QEMU, and the guest hasn't run here yet */
    bool shared;        /* another QEMU may start the guest */
    /* Handed over with the guest, while it's stopped for that; by cpu_index. */
    uint64_t *tsc_offsets;
    uint32_t nr_tsc_offsets;
    bool keep_tsc_offsets;
    uint64_t clock;     /* kvmclock when it was read last, in ns */
    uint64_t clock_tsc; /* the host's TSC then; 0: unknown */
    bool clock_goes_on; /* from there, with the TSC */
    struct HpvmMap *map;    /* memory.c */
    bool keeps_mappings;    /* of regions that don't change */
} HpvmVM;

/* NULL unless direct mode is enabled. */
HpvmVM *hpvm_vm(void);

/* options.c */

/* Those of an accelerator, which may not be the one in use. */
HpvmVM *hpvm_of_accel(KVMState *s);

/* Whether one is set that has no effect without hpvm=on. */
bool hpvm_options_idle(const HpvmOptions *options);

/* Whether the vCPUs' threads say which CPUs are theirs. */
bool hpvm_cpus_pinned(const HpvmOptions *options);

/* checks.c */

bool hpvm_check_machine(MachineState *ms, KVMState *s, Error **errp);
bool hpvm_check_host(KVMState *s, Error **errp);
bool hpvm_check_guest_cpu(const HpvmVM *vm, X86CPU *cpu, Error **errp);

/* The features to enable, out of those of the host; 0 with @errp set. */
void hpvm_set_off_error(Error **errp);
uint64_t hpvm_choose_features(const HpvmOptions *options, KVMState *s,
                              Error **errp);

/* The CPUs of hpvm-cpus=, if the host has them and there is one per vCPU. */
GArray *hpvm_choose_cpus(const HpvmOptions *options, unsigned int vcpus,
                         Error **errp);

/*
 * Reports each CPU whose core has an online thread that isn't this VM's, or
 * refuses the first one, as hpvm-smt= wants it.
 */
bool hpvm_check_smt(const HpvmOptions *options, const GArray *cpus,
                    Error **errp);

/* bind.c */

/* Has the VM take its CPUs when somebody starts it. */
void hpvm_bind_init(void);

/* Takes the VM's CPUs, all or none, unless it has them, and binds the vCPUs. */
bool hpvm_bind_all(Error **errp);

/* Releases the vCPUs; the CPUs stay the VM's. */
void hpvm_unbind_all(HpvmVM *vm);

/* Binds a vCPU to the pCPU that the VM has for it, on the vCPU's thread. */
bool hpvm_bind_vcpu(HpvmVM *vm, CPUState *cs, Error **errp);

/*
 * Holds a vCPU in ordinary mode, or lets it go; with @reset the VM's circuit
 * breaker, too.  Runs on its thread; returns 0 or a negative error number.
 */
int hpvm_set_ctrl(CPUState *cs, bool hold, bool reset);

/* cpr.c */

/* Before the machine exists. */
void hpvm_cpr_init(HpvmVM *vm);

/* A new QEMU will get these CPUs, or won't any more. */
void hpvm_cpr_save(const struct kvm_hpvm_take *take);
void hpvm_cpr_forget(const struct kvm_hpvm_take *take);

/* Whether an old QEMU hands a guest with hpvm=on over to this one. */
bool hpvm_cpr_inherits(void);

/*
 * Has the VM have its CPUs, which it hasn't if it has never run.  An old QEMU's
 * guest without hpvm=on is refused; no error if there is no old QEMU.
 */
bool hpvm_cpr_inherit(HpvmVM *vm, unsigned int vcpus, Error **errp);

/* Whether the guest hasn't run anywhere else since. */
bool hpvm_cpr_may_start(Error **errp);

/* tsc.c */

int hpvm_get_tsc_offset(CPUState *cs, uint64_t *offset);

/* A TSC offset of 0 lets the guest's deadlines be the hardware's. */
int hpvm_zero_tsc_offset(CPUState *cs);

/* Warns if the guest's deadlines can't be the hardware's for tsc-frequency=. */
void hpvm_check_tsc_rate(X86CPU *cpu);

/* memory.c */

/* Before the machine exists. */
void hpvm_memory_init(HpvmVM *vm, KVMState *s);

/*
 * Locks the guest's memory once the machine is complete, or ends QEMU with a
 * sentence.  Has the main loop map it for the guest, start the guest then with
 * @start, and map again what KVM drops, so that no EPT violation interrupts the
 * guest.
 */
void hpvm_memory_start(HpvmVM *vm, bool start);

/*
 * Maps all of the guest's memory, on the thread of vCPU 0, and waits for it: an
 * old QEMU runs the guest meanwhile.  Before the machine's first reset.
 */
void hpvm_memory_map(HpvmVM *vm);

HpvmMemory *hpvm_memory_info(const HpvmVM *vm);

#endif /* TARGET_I386_KVM_HPVM_INTERNAL_H */
