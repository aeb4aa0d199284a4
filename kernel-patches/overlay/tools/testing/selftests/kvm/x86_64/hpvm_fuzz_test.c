// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's direct mode (KVM_CAP_X86_HPVM) under random ioctls with random arguments,
 * from several threads at once, while VMs come and go.  Whatever they do, no call
 * hangs, and afterwards every CPU can be had and works.  What the kernel's log and
 * memory say about it is for who runs the test.
 *
 * HPVM_FUZZ_SECONDS and HPVM_FUZZ_SEED in the environment override the defaults.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "kvm_test_harness.h"
#include "hpvm.h"

#define NR_THREADS	4
#define NR_VCPUS	2
#define DEFAULT_SECONDS	3
/* No call takes this long on any machine. */
#define STUCK_SECONDS	20

static uint64_t features;
static uint64_t deadline_ms;

/* A VM that threads share; it's replaced under the write lock. */
static pthread_rwlock_t vm_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct kvm_vcpu *vcpus[NR_VCPUS];

struct fuzzer {
	pthread_t thread;
	unsigned int seed;
	uint64_t calls;
	uint64_t good;
	uint64_t bound;
	bool ended;
	int claim;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000UL + t.tv_nsec / 1000000;
}

static void handle_eoi(struct ex_regs *regs)
{
	guest_eoi();
}

/* Never longer in the guest than some thousand instructions. */
static void guest_code(void)
{
	guest_x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | TIMER_VECTOR);
	for (;;) {
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 500);
		guest_self_ipi(LOW_VECTOR);
		/* To the other vCPU, wherever it is. */
		x2apic_write_reg(APIC_ICR, APIC_DEST_ALLBUT | MID_VECTOR);
		guest_open(500);
		GUEST_SYNC(0);
	}
}

static void create_vm(void)
{
	struct kvm_vm *vm = vm_create(NR_VCPUS);
	int i;

	vm_enable_cap(vm, KVM_CAP_X86_HPVM, features);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		vcpu_set_cpuid_feature(vcpus[i], X86_FEATURE_TSC_DEADLINE_TIMER);
		hpvm_set_tsc_offset(vcpus[i], 0);
	}
	for (i = 32; i < 256; i++)
		vm_install_exception_handler(vm, i, handle_eoi);
}

static uint32_t any(struct fuzzer *f, uint32_t below)
{
	return rand_r(&f->seed) % below;
}

/* Mostly small numbers, and now and then anything. */
static uint32_t number(struct fuzzer *f, uint32_t below)
{
	return any(f, 8) ? any(f, below) : (uint32_t)rand_r(&f->seed) * 2654435761u;
}

static int bind_any(struct fuzzer *f, struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_bind bind = {
		.pcpu = any(f, 3) ? number(f, hpvm_pcpu() + 2) : KVM_HPVM_NO_CPU,
		.flags = any(f, 8) ? 0 : number(f, 4),
		.fd = any(f, 8) ? 0 : number(f, 64),
	};
	int r = __vcpu_ioctl(vcpu, KVM_HPVM_BIND, &bind);

	if (!r && bind.pcpu != KVM_HPVM_NO_CPU)
		f->bound++;
	return r;
}

/* Some CPUs at once; of their descriptors one is left now and then. */
static int take_any(struct fuzzer *f, struct kvm_vm *vm)
{
	struct {
		struct kvm_hpvm_take head;
		struct kvm_hpvm_cpu cpus[2];
	} take = {
		.head.nr = any(f, 8) ? any(f, 3) : 0,
		.head.flags = any(f, 8) ? 0 : number(f, 2),
		.cpus[0].pcpu = number(f, hpvm_pcpu() + 2),
		.cpus[1].pcpu = number(f, hpvm_pcpu() + 2),
	};
	int i, r = __vm_ioctl(vm, KVM_HPVM_TAKE_CPUS, &take.head);

	if (!r) {
		close(f->claim);
		f->claim = take.cpus[0].fd;
		for (i = 1; i < take.head.nr; i++)
			close(take.cpus[i].fd);
	}
	return r;
}

static int run_some(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_state state;
	cpu_set_t set;

	/* Where it's bound, if it is, so that it goes direct. */
	if (!__vcpu_ioctl(vcpu, KVM_HPVM_GET_STATE, &state) && state.pcpu < CPU_SETSIZE) {
		CPU_ZERO(&set);
		CPU_SET(state.pcpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	return __vcpu_run(vcpu);
}

static int move_anywhere(struct fuzzer *f)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(any(f, hpvm_pcpu() + 1), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static int move_lapic(struct fuzzer *f, struct kvm_vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	int r = __vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);

	if (r)
		return r;
	/* ISR, IRR, timer and the rest, but the mode and the identity. */
	if (!any(f, 2))
		*(uint32_t *)&lapic.regs[0x100 + any(f, 16) * 0x10] = number(f, 0x100);
	if (!any(f, 2))
		*(uint32_t *)&lapic.regs[0x320 + any(f, 8) * 0x10] = number(f, 0x100);
	return __vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
}

static int move_msrs(struct fuzzer *f, struct kvm_vcpu *vcpu)
{
	static const uint32_t msrs[] = {
		MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC, MSR_IA32_TSC_ADJUST, MSR_IA32_APICBASE,
	};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = {
		.head.nmsrs = 1,
		.entry.index = msrs[any(f, ARRAY_SIZE(msrs))],
	};
	int r = __vcpu_ioctl(vcpu, KVM_GET_MSRS, &msr.head);

	if (r < 0)
		return r;
	if (msr.entry.index != MSR_IA32_APICBASE)
		msr.entry.data += number(f, 1000);
	else if (!any(f, 4))
		msr.entry.data ^= X2APIC_ENABLE;
	return __vcpu_ioctl(vcpu, KVM_SET_MSRS, &msr.head);
}

static int move_events(struct fuzzer *f, struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	int r = __vcpu_ioctl(vcpu, KVM_GET_VCPU_EVENTS, &events);

	if (r)
		return r;
	events.nmi.pending = any(f, 2);
	events.nmi.masked = any(f, 2);
	return __vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events);
}

static int one_call(struct fuzzer *f)
{
	struct kvm_vcpu *vcpu = vcpus[any(f, NR_VCPUS)];
	struct kvm_hpvm_state state;
	struct kvm_hpvm_ctrl ctrl;
	struct kvm_msi msi;
	struct kvm_enable_cap cap;
	struct kvm_hpvm_irqs irqs;

	switch (any(f, 18)) {
	case 0 ... 2:
		return bind_any(f, vcpu);
	case 3:
		ctrl.change = number(f, 4);
		ctrl.flags = number(f, 2);
		ctrl.report = number(f, 1 << 17);
		/* Mostly what isn't refused at once. */
		if (!(ctrl.change & KVM_HPVM_CTRL_REPORT) && any(f, 8))
			ctrl.report = 0;
		return __vcpu_ioctl(vcpu, KVM_HPVM_SET_CTRL, &ctrl);
	case 4:
		return __vcpu_ioctl(vcpu, KVM_HPVM_GET_STATE, &state);
	case 5:
		return move_lapic(f, vcpu);
	case 6:
		return move_msrs(f, vcpu);
	case 7:
		return move_events(f, vcpu);
	case 8:
		return move_anywhere(f);
	case 9:
		msi = (struct kvm_msi) {
			.address_lo = 0xfee00000 | number(f, 1 << 20),
			.data = number(f, 0x100),
		};
		/*
		 * An INIT leaves a vCPU in KVM_RUN until a SIPI or a signal comes; there
		 * is no code for an SMI, and KVM gives a VM up whose SMRAM is missing.
		 */
		if ((msi.data & APIC_DM_FIXED_MASK) == APIC_DM_INIT ||
		    (msi.data & APIC_DM_FIXED_MASK) == APIC_DM_SMI)
			msi.data &= ~APIC_DM_FIXED_MASK;
		return __vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi);
	case 10:
		cap = (struct kvm_enable_cap) {
			.cap = KVM_CAP_X86_HPVM,
			.args[0] = number(f, 16),
		};
		return __vm_ioctl(vcpu->vm, KVM_ENABLE_CAP, &cap);
	case 11:
		/* A null pointer; no such command. */
		return ioctl(vcpu->fd, any(f, 2) ? KVM_HPVM_BIND : _IO(KVMIO, 0xf0 + any(f, 8)), 0);
	case 12:
		/* There is none: whatever the room is said to be, nothing is written there. */
		irqs.nr = number(f, 2);
		irqs.flags = any(f, 8) ? 0 : number(f, 2);
		irqs.reserved = any(f, 8) ? 0 : number(f, 2);
		return __vm_ioctl(vcpu->vm, KVM_HPVM_GET_IRQS, &irqs);
	case 13:
		return take_any(f, vcpu->vm);
	default:
		return run_some(vcpu);
	}
}

static void *fuzz(void *arg)
{
	struct fuzzer *f = arg;

	while (now_ms() < deadline_ms) {
		if (!any(f, 500)) {
			pthread_rwlock_wrlock(&vm_lock);
			kvm_vm_free(vcpus[0]->vm);
			create_vm();
			pthread_rwlock_unlock(&vm_lock);
		}
		pthread_rwlock_rdlock(&vm_lock);
		if (one_call(f) >= 0)
			f->good++;
		pthread_rwlock_unlock(&vm_lock);
		WRITE_ONCE(f->calls, f->calls + 1);
	}
	WRITE_ONCE(f->ended, true);
	return NULL;
}

/* A thread on each CPU sleeps and wakes up, and a VM can have the last one. */
static void check_cpus(void)
{
	struct timespec ms = { 0, 1000000 };
	struct kvm_vcpu *vcpu;
	int cpu;

	for (cpu = 0; cpu <= hpvm_pcpu(); cpu++) {
		kvm_pin_this_task_to_pcpu(cpu);
		nanosleep(&ms, NULL);
	}
	vcpu = hpvm_vm_create(guest_code, features);
	for (cpu = 32; cpu < 256; cpu++)
		vm_install_exception_handler(vcpu->vm, cpu, handle_eoi);
	hpvm_bind(vcpu, hpvm_pcpu());
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	kvm_vm_free(vcpu->vm);
	kvm_pin_this_task_to_pcpu(0);
}

static long setting(const char *name, long otherwise)
{
	const char *value = getenv(name);

	return value ? atol(value) : otherwise;
}

TEST(random_ioctls)
{
	long seconds = setting("HPVM_FUZZ_SECONDS", DEFAULT_SECONDS);
	unsigned int seed = setting("HPVM_FUZZ_SEED", 1);
	struct fuzzer fuzzers[NR_THREADS] = {};
	uint64_t calls = 0, good = 0, bound = 0;
	struct timespec tenth = { 0, 100000000 };
	int i;

	create_vm();
	deadline_ms = now_ms() + seconds * 1000;
	for (i = 0; i < NR_THREADS; i++) {
		fuzzers[i].seed = seed * NR_THREADS + i;
		fuzzers[i].claim = -1;
		TEST_ASSERT(!pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]),
			    "pthread_create()");
	}
	for (i = 0; i < NR_THREADS; i++) {
		while (!READ_ONCE(fuzzers[i].ended)) {
			TEST_ASSERT(now_ms() < deadline_ms + STUCK_SECONDS * 1000,
				    "Thread %d hangs after %lu calls (seed %u)", i,
				    READ_ONCE(fuzzers[i].calls), seed);
			nanosleep(&tenth, NULL);
		}
		pthread_join(fuzzers[i].thread, NULL);
		close(fuzzers[i].claim);
		calls += fuzzers[i].calls;
		good += fuzzers[i].good;
		bound += fuzzers[i].bound;
	}
	kvm_vm_free(vcpus[0]->vm);
	ksft_print_msg("%lu calls, %lu without an error, %lu times a CPU was taken (seed %u)\n",
		       calls, good, bound, seed);
	EXPECT_GT(good, 0);
	EXPECT_GT(bound, 0);
	check_cpus();
}

int main(int argc, char **argv)
{
	features = kvm_check_cap(KVM_CAP_X86_HPVM);
	TEST_REQUIRE(features & KVM_HPVM_F_DIRECT);
	return test_harness_run(argc, argv);
}
