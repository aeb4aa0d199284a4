// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's direct mode (KVM_CAP_X86_HPVM) with guests that do their worst: the host
 * gets the vCPU out of the guest when it wants, its own work on the CPU goes on,
 * and when the VM is gone the CPU is an ordinary one.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "kvm_test_harness.h"
#include "hpvm.h"

#define HOLE_GPA		0x80000000UL
#define IO_PORT			0x80

/* How long each guest may do its worst, and what the host waits for at most. */
#define HOSTILE_MS	60
#define BOUND_MS	2000

static uint64_t features;
static int pcpu;

/* --- Guests -------------------------------------------------------------- */

static void handle_eoi(struct ex_regs *regs)
{
	guest_eoi();
}

static void handle_nothing(struct ex_regs *regs)
{
}

static void handle_self_ipi(struct ex_regs *regs)
{
	guest_eoi();
	guest_self_ipi(regs->vector);
}

static void handle_past_deadline(struct ex_regs *regs)
{
	guest_eoi();
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
}

static void guest_setup(uint32_t timer_mode)
{
	guest_x2apic_enable();
	x2apic_write_reg(APIC_TDCR, APIC_TDR_DIV_1);
	x2apic_write_reg(APIC_LVTT, timer_mode | TIMER_VECTOR);
	GUEST_SYNC(0);
}

static void guest_irqs_off(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (;;)
		cpu_relax();
}

/* Everything is in service or pending, for ever. */
static void guest_never_eoi(void)
{
	int v;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (v = 0x20; v < 0x100; v += 0x10) {
		guest_self_ipi(v);
		guest_open(50);
	}
	for (v = 0x20; v <= 0xff; v++)
		guest_self_ipi(v);
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	for (;;)
		guest_open(1000);
}

static void guest_tpr_15(void)
{
	int v;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	asm volatile("mov %0, %%cr8" : : "r" (15UL));
	for (v = 0x20; v <= 0xff; v++)
		guest_self_ipi(v);
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	for (;;)
		guest_open(1000);
}

static void guest_past_deadlines(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (;;) {
		wrmsr(MSR_IA32_TSC_DEADLINE, 1);
		guest_open(50);
	}
}

static void guest_periodic_storm(void)
{
	guest_setup(APIC_LVT_TIMER_PERIODIC);
	for (;;) {
		x2apic_write_reg(APIC_TMICT, 1);
		guest_open(1000);
		guest_slow_exit();
	}
}

static void guest_self_ipi_storm(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (;;) {
		guest_self_ipi(LOW_VECTOR);
		guest_self_ipi(HIGH_VECTOR);
		guest_open(1000);
	}
}

/*
 * Exits of all kinds, with vectors 16-31 pending: in the host they'd enter the
 * handlers of #MF, #AC, #MC and the like.
 */
static void guest_low_vectors(void)
{
	uint32_t *hole = (void *)HOLE_GPA;
	uint64_t i, val;
	int v;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (i = 0;; i++) {
		for (v = 0; v < 32; v++)
			guest_self_ipi(v);
		guest_slow_exit();
		wrmsr(MSR_IA32_TSC_ADJUST, rdmsr(MSR_IA32_TSC_ADJUST));
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | LOW_VECTOR);
		x2apic_write_reg(APIC_LVTT, APIC_LVT_MASKED | TIMER_VECTOR);
		rdmsr_safe(0x12345678, &val);
		asm volatile("inb %1, %%al" : "=a" (val) : "i" (IO_PORT));
		val = READ_ONCE(*hole);
		WRITE_ONCE(*hole, val);
		asm volatile("wbinvd");
		kvm_hypercall(~0UL, 0, 0, 0, 0);
		asm volatile("mov %%cr0, %0\n\tmov %0, %%cr0" : "=r" (val));
		asm volatile("mov %%dr7, %0\n\tmov %0, %%dr7" : "=r" (val));
		if (i == 20)
			GUEST_SYNC(1);
	}
}

#define ICR	0x830

/* What would end the test itself is left out. */
static bool guest_may_write(uint32_t msr, uint64_t value)
{
	/* An INIT or SMI may be for this vCPU. */
	if (msr == ICR && (value & APIC_DM_FIXED_MASK) == APIC_DM_SMI)
		return false;
	return msr != ICR || (value & APIC_DM_FIXED_MASK) < APIC_DM_INIT;
}

/* Every register of the LAPIC and its timer, with values good and bad. */
static void guest_all_msrs(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 8, 0xe, 0x10, 0x12, 0x1f, 0x20, 0x80, 0xef, 0xf7, 0xff, 0x1ff, 0x100,
		0x200, 0x2fe, 0x302, 0x400, 0x4ff, 0x500, 0x600, 0x700, 0x7fff, 0x8040,
		0x10000, 0x10002, 0x20002, 0x200f7, 0x40010, 0x40002, 0x400ff, 0x60040,
		0x4000a1, 0xc0400, 0x800400, 0xc4500, 0x7fffffff, 0x80000000, 0xffffffff,
		0x1000000fd, 0x100000400, 0xffffffff000000fdULL, 0x8000000000000000ULL, ~0ULL,
	};
	uint64_t val;
	uint32_t msr;
	int i, round;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (round = 0;; round++) {
		for (msr = 0x800; msr <= 0x841; msr++) {
			rdmsr_safe(msr, &val);
			for (i = 0; i < ARRAY_SIZE(values); i++)
				if (guest_may_write(msr, values[i]))
					wrmsr_safe(msr, values[i]);
			rdmsr_safe(msr, &val);
			/* Back to something that goes direct. */
			x2apic_write_reg(APIC_SPIV, 0xff | APIC_SPIV_APIC_ENABLED);
			x2apic_write_reg(APIC_LVT0, APIC_LVT_MASKED);
		}
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			wrmsr_safe(MSR_IA32_TSC_ADJUST, values[i] & 0xffff);
			wrmsr_safe(MSR_IA32_TSC_DEADLINE, values[i]);
			x2apic_write_reg(APIC_LVTT, (round & 3) << 17 | TIMER_VECTOR);
			x2apic_write_reg(APIC_TMICT, values[i] & 0xffffffff);
		}
		wrmsr(MSR_IA32_TSC_ADJUST, 0);
		if (!round)
			GUEST_SYNC(1);
	}
}

/* More of the ICR; in the end SMI and INIT, which take what's left of the guest. */
static void guest_all_icrs(void)
{
	uint64_t value;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (value = 0; value < 0x100000; value += 0x1fd)
		if (guest_may_write(ICR, value))
			wrmsr_safe(ICR, value | 1ULL << 32);
	GUEST_SYNC(1);
	wrmsr_safe(ICR, APIC_DEST_SELF | APIC_DM_SMI);
	wrmsr_safe(ICR, APIC_DM_SMI | APIC_INT_ASSERT);
	wrmsr_safe(ICR, APIC_DEST_SELF | APIC_DM_INIT);
	wrmsr_safe(ICR, APIC_DM_INIT | APIC_INT_ASSERT);
	for (;;)
		guest_open(1000);
}

static void guest_ordinary(void)
{
	int i;

	guest_x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | TIMER_VECTOR);
	for (i = 0; i < 20; i++) {
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 1000);
		asm volatile("lea -128(%%rsp), %%rsp\n\tsti\n\thlt\n\tcli\n\t"
			     "lea 128(%%rsp), %%rsp" : : : "memory");
	}
	GUEST_DONE();
}

/* --- Host ---------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000UL + t.tv_nsec / 1000000;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t))
		;
}

/* A vCPU's thread, which runs it until it's told to stop. */
struct runner {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	bool stop;
	bool ended;
	uint64_t kicks;
	uint64_t runs;
	int exit_reason;
};

static __thread struct kvm_run *signalled_run;

static void handle_signal(int sig)
{
	/* Also when the signal comes before KVM_RUN. */
	if (signalled_run)
		signalled_run->immediate_exit = 1;
}

static void *run_vcpu(void *arg)
{
	struct runner *r = arg;

	signalled_run = r->vcpu->run;
	kvm_pin_this_task_to_pcpu(pcpu);
	while (!READ_ONCE(r->stop)) {
		if (__vcpu_run(r->vcpu)) {
			/* An SMI without a handler is the end of a VM. */
			if (errno == EIO)
				break;
			TEST_ASSERT(errno == EINTR, "KVM_RUN: error %d", errno);
			r->vcpu->run->immediate_exit = 0;
			WRITE_ONCE(r->kicks, r->kicks + 1);
			continue;
		}
		WRITE_ONCE(r->runs, r->runs + 1);
		r->exit_reason = r->vcpu->run->exit_reason;
		if (r->exit_reason != KVM_EXIT_IO && r->exit_reason != KVM_EXIT_MMIO)
			break;
	}
	WRITE_ONCE(r->ended, true);
	return NULL;
}

static void kick(struct runner *r)
{
	uint64_t before = READ_ONCE(r->kicks), begin = now_ms();

	pthread_kill(r->thread, SIGUSR1);
	while (READ_ONCE(r->kicks) == before && !READ_ONCE(r->ended)) {
		TEST_ASSERT(now_ms() - begin < BOUND_MS, "The vCPU took no notice of a signal");
		sleep_ms(1);
	}
}

/* Work of the host on the CPU: timers, and being moved there and away. */
static void *run_helper(void *arg)
{
	bool *done = arg;
	int i;

	kvm_pin_this_task_to_pcpu(pcpu);
	for (i = 0; i < 5; i++)
		sleep_ms(2);
	kvm_pin_this_task_to_pcpu(0);
	WRITE_ONCE(*done, true);
	return NULL;
}

static void use_cpu(void)
{
	uint64_t begin = now_ms();
	bool done = false;
	pthread_t thread;

	TEST_ASSERT(!pthread_create(&thread, NULL, run_helper, &done),
		    "pthread_create()");
	while (!READ_ONCE(done)) {
		TEST_ASSERT(now_ms() - begin < BOUND_MS, "A thread on CPU %d stands still", pcpu);
		sleep_ms(2);
	}
	pthread_join(thread, NULL);
}

static struct kvm_vcpu *create(void *guest_code, void *handler)
{
	struct kvm_vcpu *vcpu = hpvm_vm_create(guest_code, features);
	int i;

	for (i = 32; i < 256; i++)
		vm_install_exception_handler(vcpu->vm, i, handler);
	vm_install_exception_handler(vcpu->vm, NMI_VECTOR, handle_nothing);
	virt_pg_map(vcpu->vm, HOLE_GPA, HOLE_GPA);
	return vcpu;
}

/* The CPU is an ordinary one: a thread, an ordinary VM, and another one direct. */
static void check_given_back(void)
{
	struct kvm_vcpu *vcpu;
	int direct;

	use_cpu();
	kvm_pin_this_task_to_pcpu(pcpu);
	for (direct = 0; direct < 2; direct++) {
		vcpu = create(guest_ordinary, handle_eoi);
		if (direct)
			hpvm_bind(vcpu, pcpu);
		TEST_ASSERT_STAGE(vcpu, HPVM_DONE);
		kvm_vm_free(vcpu->vm);
	}
	kvm_pin_this_task_to_pcpu(0);
}

/* Returns the vCPU at its last stop; the caller ends the VM. */
static void hostile(void *guest_code, void *handler, int stage)
{
	struct kvm_vcpu *vcpu = create(guest_code, handler);
	struct runner r = { .vcpu = vcpu };
	struct sigaction sa = { .sa_handler = handle_signal };
	struct kvm_lapic_state lapic;
	uint64_t begin, elapsed;
	bool got_there;
	int i = 0;

	sigaction(SIGUSR1, &sa, NULL);
	kvm_pin_this_task_to_pcpu(pcpu);
	hpvm_bind(vcpu, pcpu);
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	kvm_pin_this_task_to_pcpu(0);

	TEST_ASSERT(!pthread_create(&r.thread, NULL, run_vcpu, &r), "pthread_create()");
	begin = now_ms();
	do {
		sleep_ms(5);
		kick(&r);
		/* The host's own work goes on beside it. */
		if (++i == 3)
			use_cpu();
		elapsed = now_ms() - begin;
		TEST_ASSERT(elapsed < 10 * BOUND_MS, "The guest got nowhere");
		got_there = !stage || READ_ONCE(r.runs) || READ_ONCE(r.ended);
	} while (elapsed < HOSTILE_MS || !got_there);
	WRITE_ONCE(r.stop, true);
	kick(&r);
	pthread_join(r.thread, NULL);
	TEST_ASSERT(r.kicks || r.ended, "The vCPU didn't run");
	pr_debug("%lu kicks, %lu exits to user space, the last for %s\n", r.kicks,
		 r.runs, exit_reason_str(r.exit_reason));

	/* Its state can be had, whatever it is, unless the VM is dead. */
	TEST_ASSERT(!__vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic) || errno == EIO,
		    "KVM_GET_LAPIC: error %d", errno);
	kvm_vm_release(vcpu->vm);
	check_given_back();
}

TEST(irqs_off)		{ hostile(guest_irqs_off, handle_eoi, 0); }
TEST(never_eoi)		{ hostile(guest_never_eoi, handle_nothing, 0); }
TEST(tpr_15)		{ hostile(guest_tpr_15, handle_eoi, 0); }
TEST(past_deadlines)	{ hostile(guest_past_deadlines, handle_past_deadline, 0); }
TEST(periodic_storm)	{ hostile(guest_periodic_storm, handle_eoi, 0); }
TEST(periodic_no_eoi)	{ hostile(guest_periodic_storm, handle_nothing, 0); }
TEST(self_ipi_storm)	{ hostile(guest_self_ipi_storm, handle_self_ipi, 0); }
TEST(low_vectors)	{ hostile(guest_low_vectors, handle_eoi, 1); }
TEST(all_msrs)		{ hostile(guest_all_msrs, handle_eoi, 1); }
TEST(all_icrs)		{ hostile(guest_all_icrs, handle_eoi, 1); }

/* Vectors 16-31 are the guest's, and stay pending; 0-15 don't exist. */
TEST(low_vectors_stay_pending)
{
	struct kvm_vcpu *vcpu = create(guest_low_vectors, handle_eoi);
	struct kvm_lapic_state lapic;
	struct ucall uc;

	kvm_pin_this_task_to_pcpu(pcpu);
	hpvm_bind(vcpu, pcpu);
	TEST_ASSERT_STAGE(vcpu, 0);
	do {
		vcpu_run(vcpu);
	} while (get_ucall(vcpu, &uc) != UCALL_SYNC);
	TEST_ASSERT_DIRECT(vcpu);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	EXPECT_EQ(0xffff0000, *(uint32_t *)(lapic.regs + APIC_IRR));
	kvm_vm_free(vcpu->vm);
	kvm_pin_this_task_to_pcpu(0);
	check_given_back();
}

/* The vCPU's process is killed in direct mode. */
TEST(killed)
{
	struct kvm_vcpu *vcpu;
	int ready[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		vcpu = create(guest_self_ipi_storm, handle_self_ipi);
		kvm_pin_this_task_to_pcpu(pcpu);
		hpvm_bind(vcpu, pcpu);
		TEST_ASSERT_STAGE(vcpu, 0);
		TEST_ASSERT_DIRECT(vcpu);
		TEST_ASSERT(write(ready[1], "", 1) == 1, "write()");
		vcpu_run(vcpu);
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	sleep_ms(20);
	vcpu = create(guest_ordinary, handle_eoi);
	EXPECT_EQ(-EBUSY, __hpvm_bind(vcpu, pcpu, NULL));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));

	/* At once: the process was gone only after its files were. */
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vcpu->vm);
	check_given_back();
}

int main(int argc, char *argv[])
{
	features = kvm_check_cap(KVM_CAP_X86_HPVM);
	TEST_REQUIRE(features);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER));
	pcpu = hpvm_pcpu();
	__TEST_REQUIRE(pcpu > 0, "A CPU besides CPU 0 is needed");
	return test_harness_run(argc, argv);
}
