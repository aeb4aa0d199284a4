/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of KVM's direct mode (KVM_CAP_X86_HPVM) have in common.
 *
 * Guest code runs with interrupts off.  It takes them in guest_open() only: the
 * tests are built with a red zone below the stack pointer, which an interrupt
 * would overwrite, and a test wants to know when an interrupt can come.
 */
#ifndef SELFTEST_KVM_HPVM_H
#define SELFTEST_KVM_HPVM_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/compiler.h>
#include <linux/kvm.h>
#include <asm/kvm_hpvm.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define APIC_ISR	0x100
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_SELF_IPI	0x3f0
#define APIC_TDR_DIV_1	0xb

/* Vectors the tests use, each in a class of its own. */
#define LOW_VECTOR	0x31
#define MID_VECTOR	0x52
#define HIGH_VECTOR	0x91
#define TIMER_VECTOR	0xa1

/* --- Guest --------------------------------------------------------------- */

/* To x2APIC mode, as an operating system leaves it: no ExtINT from the 8259. */
static inline void guest_x2apic_enable(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_LVT0, APIC_LVT_MASKED);
}

static inline void guest_self_ipi(uint8_t vector)
{
	x2apic_write_reg(APIC_SELF_IPI, vector);
}

static inline void guest_eoi(void)
{
	x2apic_write_reg(APIC_EOI, 0);
}

/* Take interrupts, for about this many instructions. */
static inline void guest_open(uint64_t spins)
{
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "sti\n\t"
		     "1: nop\n\t"
		     "dec %0\n\t"
		     "jnz 1b\n\t"
		     "cli\n\t"
		     "lea 128(%%rsp), %%rsp"
		     : "+r" (spins) : : "memory", "cc");
}

/* Take interrupts until @counter is at least @value; false after @msecs. */
static inline bool guest_wait(uint64_t *counter, uint64_t value, uint64_t msecs)
{
	uint64_t end = rdtsc() + msecs * guest_tsc_khz;

	while (READ_ONCE(*counter) < value) {
		if (rdtsc() > end)
			return false;
		guest_open(50);
	}
	return true;
}

/* One that KVM handles, and that takes the guest's state out of the local APIC. */
static inline void guest_slow_exit(void)
{
	rdmsr(MSR_IA32_APICBASE);
}

/* --- Host ---------------------------------------------------------------- */

#define HPVM_HOST_PARAM	"/sys/module/kvm/parameters/hpvm"
#define HPVM_LATE_PARAM	"/sys/module/kvm/parameters/hpvm_late_ms"
#define HPVM_CPUS_PARAM	"/sys/module/kvm/parameters/hpvm_cpus"

/* 0 or a negative error number */
static inline int hpvm_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* The CPU that the tests dedicate to their vCPU: the last one online. */
static inline int hpvm_pcpu(void)
{
	char list[256], *last;
	int fd = open("/sys/devices/system/cpu/online", O_RDONLY);
	ssize_t n;

	TEST_ASSERT(fd >= 0, "The list of online CPUs can't be opened");
	n = read(fd, list, sizeof(list) - 1);
	close(fd);
	TEST_ASSERT(n > 0, "The list of online CPUs can't be read");
	list[n] = '\0';
	last = list + strcspn(list, "\n");
	while (last > list && last[-1] != ',' && last[-1] != '-')
		last--;
	return atoi(last);
}

static inline void hpvm_set_tsc_offset(struct kvm_vcpu *vcpu, uint64_t offset)
{
	vcpu_device_attr_set(vcpu, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset);
}

/* Add a vCPU to a VM in which the mode is enabled; its TSC is the host's. */
static inline struct kvm_vcpu *hpvm_vcpu_add(struct kvm_vm *vm, void *guest_code)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, 0, guest_code);

	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	hpvm_set_tsc_offset(vcpu, 0);
	return vcpu;
}

/* A VM that may use @features, with one vCPU that isn't bound. */
static inline struct kvm_vcpu *hpvm_vm_create(void *guest_code, uint64_t features)
{
	struct kvm_vm *vm = vm_create(1);

	if (features)
		vm_enable_cap(vm, KVM_CAP_X86_HPVM, features);
	return hpvm_vcpu_add(vm, guest_code);
}

static inline int __hpvm_bind(struct kvm_vcpu *vcpu, uint32_t pcpu, uint32_t *holder)
{
	struct kvm_hpvm_bind bind = { .pcpu = pcpu, .holder_pid = ~0U };
	int r = __vcpu_ioctl(vcpu, KVM_HPVM_BIND, &bind);

	if (holder)
		*holder = bind.holder_pid;
	return r ? -errno : 0;
}

static inline void hpvm_bind(struct kvm_vcpu *vcpu, uint32_t pcpu)
{
	uint32_t holder;
	int r = __hpvm_bind(vcpu, pcpu, &holder);

	TEST_ASSERT(!r, "KVM_HPVM_BIND to CPU %u: error %d, holder %u", pcpu, r, holder);
}

/* The descriptor of a CPU, which is dedicated from now on; or a negative error number. */
static inline int __hpvm_take(struct kvm_vm *vm, uint32_t pcpu)
{
	struct {
		struct kvm_hpvm_take head;
		struct kvm_hpvm_cpu cpu;
	} take = { .head.nr = 1, .cpu.pcpu = pcpu };

	return __vm_ioctl(vm, KVM_HPVM_TAKE_CPUS, &take.head) ? -errno : take.cpu.fd;
}

static inline struct kvm_hpvm_state hpvm_state(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_state state;

	memset(&state, 0xff, sizeof(state));
	vcpu_ioctl(vcpu, KVM_HPVM_GET_STATE, &state);
	return state;
}

/* Hold the vCPU in ordinary mode, or let it go; KVM_RUN tells of none but @report. */
static inline void hpvm_set_ctrl(struct kvm_vcpu *vcpu, bool hold, uint64_t report)
{
	struct kvm_hpvm_ctrl ctrl = {
		.flags = hold ? KVM_HPVM_CTRL_HOLD_ORDINARY : 0,
		.change = KVM_HPVM_CTRL_HOLD_ORDINARY | KVM_HPVM_CTRL_REPORT,
		.report = report,
	};

	vcpu_ioctl(vcpu, KVM_HPVM_SET_CTRL, &ctrl);
}

static inline void hpvm_hold(struct kvm_vcpu *vcpu, bool hold)
{
	hpvm_set_ctrl(vcpu, hold, 0);
}

#define TEST_ASSERT_DIRECT(vcpu)						\
do {										\
	struct kvm_hpvm_state __s = hpvm_state(vcpu);				\
										\
	TEST_ASSERT(__s.state == KVM_HPVM_STATE_DIRECT && !__s.reasons,	\
		    "Wanted direct mode, got state %u, reasons %#lx", __s.state,	\
		    (unsigned long)__s.reasons);				\
} while (0)

#define TEST_ASSERT_ORDINARY(vcpu, why)						\
do {										\
	struct kvm_hpvm_state __s = hpvm_state(vcpu);				\
	uint64_t __why = (why);							\
										\
	TEST_ASSERT(__s.state == KVM_HPVM_STATE_ORDINARY && __s.reasons == __why,	\
		    "Wanted ordinary mode with reasons %#lx, got state %u, reasons %#lx",	\
		    __why, __s.state, (unsigned long)__s.reasons);		\
} while (0)

/* One of the vCPU's statistics; -1 if KVM doesn't have it. */
static inline int64_t hpvm_vcpu_stat(struct kvm_vcpu *vcpu, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	int fd = vcpu_get_stats_fd(vcpu);
	uint64_t value = -1;
	int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(descs);
	close(fd);
	return value;
}

#define HPVM_DONE	(~0ULL)

/* Run the guest to its next GUEST_SYNC(): its stage; HPVM_DONE at the end. */
static inline uint64_t hpvm_run(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			return uc.args[1];
		case UCALL_DONE:
			return HPVM_DONE;
		case UCALL_PRINTF:
			REPORT_GUEST_PRINTF(uc);
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		default:
			TEST_FAIL("The guest left with exit reason %u (%s)",
				  vcpu->run->exit_reason,
				  exit_reason_str(vcpu->run->exit_reason));
		}
	}
}

#define TEST_ASSERT_STAGE(vcpu, stage)					\
do {									\
	uint64_t __want = (stage), __got = hpvm_run(vcpu);		\
									\
	TEST_ASSERT(__got == __want, "Wanted the guest's stage %ld, got %ld",	\
		    __want, __got);					\
} while (0)

#endif /* SELFTEST_KVM_HPVM_H */
