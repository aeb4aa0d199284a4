// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's direct mode (KVM_CAP_X86_HPVM): interrupts cause no VM exits, and no
 * interrupt is lost or doubled when exits, changes of the mode or a migration come
 * between its being raised and its EOI.
 */
#include <pthread.h>
#include <sys/eventfd.h>

#include "kvm_test_harness.h"
#include "hpvm.h"

#define MARK_PORT		0x80
#define IOAPIC_GPA		0xfec00000UL
#define IOAPIC_PIN		10
#define IOAPIC_LEVEL		BIT(15)
#define IOAPIC_MASKED		BIT(16)
#define SMRAM_GPA		0x1000000UL
#define SMRAM_SLOT		(1 << 16 | 1)	/* SMM has an address space of its own */
#define SMRAM_SIZE		0x10000

#define MSR_KVM_PV_EOI_EN	0x4b564d04
#define KVM_MSR_ENABLED		1

/*
 * Exits that a quiet interval may have: the host's own NMIs.  There are more when
 * the host doesn't get its CPU, and the interval is long.
 */
#define SOME_EXITS		(host_is_guest ? 45 : 20)

static uint64_t features;
static int pcpu;

/* Shared with the guest. */
static uint64_t count[256];
static uint64_t pv_eoi;
static uint64_t deadline;
static uint64_t bus_khz;
static bool host_is_guest;

/* --- Guest --------------------------------------------------------------- */

static void handle(struct ex_regs *regs)
{
	count[regs->vector]++;
	guest_eoi();
}

static bool guest_vector(uint32_t base, uint8_t vector)
{
	return x2apic_read_reg(base + vector / 32 * 0x10) & (1U << vector % 32);
}

/* Nothing may be left in service or pending at the end of a test. */
static void guest_assert_idle(void)
{
	int i;

	guest_open(1000);
	for (i = 0; i < 8; i++) {
		GUEST_ASSERT_EQ(x2apic_read_reg(APIC_ISR + i * 0x10), 0);
		GUEST_ASSERT_EQ(x2apic_read_reg(APIC_IRR + i * 0x10), 0);
	}
}

static void guest_arm(uint64_t ticks)
{
	deadline = rdtsc() + ticks;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
}

static void guest_setup(uint32_t timer_mode)
{
	guest_x2apic_enable();
	x2apic_write_reg(APIC_TDCR, APIC_TDR_DIV_1);
	x2apic_write_reg(APIC_LVTT, timer_mode | TIMER_VECTOR);
}

/* --- Host ---------------------------------------------------------------- */

static struct kvm_vcpu *create(void *guest_code)
{
	struct kvm_vcpu *vcpu = hpvm_vm_create(guest_code, features);
	struct kvm_vm *vm = vcpu->vm;
	int i;

	bus_khz = hpvm_state(vcpu).apic_bus_khz;
	sync_global_to_guest(vm, bus_khz);
	host_is_guest = this_cpu_has(X86_FEATURE_HYPERVISOR);
	sync_global_to_guest(vm, host_is_guest);
	for (i = 32; i < 256; i++)
		vm_install_exception_handler(vm, i, handle);
	kvm_pin_this_task_to_pcpu(pcpu);
	hpvm_bind(vcpu, pcpu);
	return vcpu;
}

static void finish(struct kvm_vcpu *vcpu)
{
	TEST_ASSERT_STAGE(vcpu, HPVM_DONE);
	kvm_vm_free(vcpu->vm);
}

/* A vCPU's state as migration code reads and writes it. */
struct saved {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	uint64_t deadline;
};

static void save(struct kvm_vcpu *vcpu, struct saved *s)
{
	vcpu_run_complete_io(vcpu);
	vcpu_regs_get(vcpu, &s->regs);
	vcpu_sregs_get(vcpu, &s->sregs);
	vcpu_events_get(vcpu, &s->events);
	vcpu_mp_state_get(vcpu, &s->mp_state);
	s->deadline = vcpu_get_msr(vcpu, MSR_IA32_TSC_DEADLINE);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &s->lapic);
}

static void load(struct kvm_vcpu *vcpu, struct saved *s)
{
	vcpu_sregs_set(vcpu, &s->sregs);
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &s->lapic);
	vcpu_set_msr(vcpu, MSR_IA32_TSC_DEADLINE, s->deadline);
	vcpu_events_set(vcpu, &s->events);
	vcpu_mp_state_set(vcpu, &s->mp_state);
	vcpu_regs_set(vcpu, &s->regs);
}

/* Into a new VM with the same memory, ordinary or with the mode. */
static struct kvm_vcpu *move(struct kvm_vcpu *vcpu, bool direct, struct saved *s)
{
	struct kvm_vm *vm = vcpu->vm;

	save(vcpu, s);
	kvm_vm_release(vm);
	kvm_vm_restart(vm);
	if (direct)
		vm_enable_cap(vm, KVM_CAP_X86_HPVM, features);
	else if (features & KVM_HPVM_F_TIMER_ONESHOT)
		vm_enable_cap(vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS, 1000000 / bus_khz);
	vcpu = vm_vcpu_recreate(vm, 0);
	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	hpvm_set_tsc_offset(vcpu, 0);
	load(vcpu, s);
	if (direct)
		hpvm_bind(vcpu, pcpu);
	return vcpu;
}

static uint32_t *lapic_reg(struct saved *s, uint32_t reg)
{
	return (uint32_t *)(s->lapic.regs + reg);
}

static bool saved_vector(struct saved *s, uint32_t base, uint8_t vector)
{
	return *lapic_reg(s, base + vector / 32 * 0x10) & (1U << vector % 32);
}

/* --- No exits ------------------------------------------------------------ */

#define ROUNDS	200

static void guest_no_exits(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	GUEST_SYNC(0);
	for (i = 1; i <= ROUNDS; i++) {
		guest_arm(500);
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i, 100));
	}
	GUEST_SYNC(1);
	for (i = 1; i <= ROUNDS; i++) {
		guest_self_ipi(MID_VECTOR);
		GUEST_ASSERT(guest_wait(&count[MID_VECTOR], i, 100));
		x2apic_write_reg(APIC_TASKPRI, 0x10 + i % 16);
	}
	GUEST_SYNC(2);
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], ROUNDS);
	GUEST_ASSERT_EQ(count[MID_VECTOR], ROUNDS);
	GUEST_DONE();
}

TEST(no_exits)
{
	struct kvm_hpvm_state state;
	struct kvm_vcpu *vcpu;
	int64_t before, after;

	if (!(features & KVM_HPVM_F_TIMER_DEADLINE))
		SKIP(return, "this host has no TSC deadline timer");
	vcpu = create(guest_no_exits);
	TEST_ASSERT_STAGE(vcpu, 0);
	state = hpvm_state(vcpu);
	TEST_ASSERT_DIRECT(vcpu);
	EXPECT_EQ(KVM_HPVM_TIMER_DEADLINE, state.timer);
	EXPECT_EQ(0, state.timer_reasons);

	before = hpvm_vcpu_stat(vcpu, "exits");
	TEST_ASSERT_STAGE(vcpu, 1);
	after = hpvm_vcpu_stat(vcpu, "exits");
	EXPECT_GT(SOME_EXITS, after - before);

	before = after;
	TEST_ASSERT_STAGE(vcpu, 2);
	after = hpvm_vcpu_stat(vcpu, "exits");
	EXPECT_GT(SOME_EXITS, after - before);

	/* Asking for the state makes the vCPU ordinary, until it runs again. */
	vcpu_get_msr(vcpu, MSR_IA32_TSC_DEADLINE);
	EXPECT_EQ(KVM_HPVM_STATE_ORDINARY, hpvm_state(vcpu).state);
	finish(vcpu);
}

/* --- Why not direct ------------------------------------------------------ */

static void guest_reasons(void)
{
	GUEST_SYNC(0);
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | MSR_IA32_APICBASE_EXTD);
	x2apic_write_reg(APIC_SPIV, 0xff);
	GUEST_SYNC(1);
	x2apic_write_reg(APIC_SPIV, 0xff | APIC_SPIV_APIC_ENABLED);
	x2apic_write_reg(APIC_LVT0, APIC_DM_EXTINT);
	GUEST_SYNC(2);
	x2apic_write_reg(APIC_LVT0, APIC_LVT_MASKED);
	GUEST_SYNC(3);
	GUEST_SYNC(4);
	GUEST_SYNC(5);
	GUEST_SYNC(6);
	GUEST_SYNC(7);
	apic_disable();
	GUEST_SYNC(8);
	GUEST_DONE();
}

TEST(reasons)
{
	struct kvm_vcpu *vcpu = create(guest_reasons);
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	uint64_t why;

	TEST_ASSERT_STAGE(vcpu, 0);
	why = hpvm_state(vcpu).reasons;
	EXPECT_EQ(KVM_HPVM_REASON_NOT_X2APIC, why & ~KVM_HPVM_REASON_EXTINT);
	TEST_ASSERT_STAGE(vcpu, 1);
	why = hpvm_state(vcpu).reasons;
	EXPECT_EQ(KVM_HPVM_REASON_APIC_OFF, why & ~KVM_HPVM_REASON_EXTINT);
	TEST_ASSERT_STAGE(vcpu, 2);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_EXTINT);
	TEST_ASSERT_STAGE(vcpu, 3);
	TEST_ASSERT_DIRECT(vcpu);

	kvm_pin_this_task_to_pcpu(0);
	TEST_ASSERT_STAGE(vcpu, 4);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_WRONG_CPU);
	kvm_pin_this_task_to_pcpu(pcpu);
	TEST_ASSERT_STAGE(vcpu, 5);
	TEST_ASSERT_DIRECT(vcpu);

	vcpu_guest_debug_set(vcpu, &debug);
	hpvm_hold(vcpu, true);
	TEST_ASSERT_STAGE(vcpu, 6);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_DEBUG | KVM_HPVM_REASON_HELD);
	debug.control = 0;
	vcpu_guest_debug_set(vcpu, &debug);
	hpvm_hold(vcpu, false);
	TEST_ASSERT_STAGE(vcpu, 7);
	TEST_ASSERT_DIRECT(vcpu);

	TEST_ASSERT_STAGE(vcpu, 8);
	why = hpvm_state(vcpu).reasons;
	EXPECT_EQ(KVM_HPVM_REASON_NOT_X2APIC, why & ~KVM_HPVM_REASON_EXTINT);
	finish(vcpu);
}

/* --- SMM ----------------------------------------------------------------- */

static void guest_smi(void)
{
	guest_x2apic_enable();
	GUEST_SYNC(1);
	GUEST_SYNC(2);
	GUEST_DONE();
}

/* The vCPU is ordinary from the SMI on: it isn't made direct to be told of it. */
TEST(smi)
{
	static const uint8_t rsm[] = { 0x0f, 0xaa };
	struct kvm_vcpu *vcpu;
	uint64_t entries;

	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		SKIP(return, "this kernel has no SMM");
	vcpu = create(guest_smi);
	vm_userspace_mem_region_add(vcpu->vm, VM_MEM_SRC_ANONYMOUS, SMRAM_GPA, SMRAM_SLOT,
				    SMRAM_SIZE / vcpu->vm->page_size, 0);
	memcpy(addr_gpa2hva(vcpu->vm, SMRAM_GPA) + 0x8000, rsm, sizeof(rsm));
	vcpu_set_msr(vcpu, MSR_IA32_SMBASE, SMRAM_GPA);
	TEST_ASSERT_STAGE(vcpu, 1);
	TEST_ASSERT_DIRECT(vcpu);
	entries = hpvm_state(vcpu).direct_entries;
	vcpu_ioctl(vcpu, KVM_SMI, NULL);
	TEST_ASSERT_STAGE(vcpu, 2);
	TEST_ASSERT_DIRECT(vcpu);
	/* The one after SMM. */
	EXPECT_EQ(entries + 1, hpvm_state(vcpu).direct_entries);
	finish(vcpu);
}

/* --- KVM_EXIT_HPVM ------------------------------------------------------- */

static void guest_reported(void)
{
	guest_x2apic_enable();
	GUEST_SYNC(1);
	GUEST_SYNC(2);
	GUEST_SYNC(3);
	GUEST_SYNC(4);
	GUEST_SYNC(5);
	apic_disable();
	GUEST_SYNC(6);
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | MSR_IA32_APICBASE_ENABLE);
	guest_x2apic_enable();
	GUEST_SYNC(7);
	GUEST_DONE();
}

static void assert_reported(struct kvm_vcpu *vcpu, uint32_t state, uint64_t why)
{
	struct kvm_hpvm_exit *exit = (void *)vcpu->run->padding;
	struct kvm_hpvm_state s;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_HPVM);
	TEST_ASSERT(exit->state == state && (exit->reasons & why) == why,
		    "KVM_EXIT_HPVM with state %u, reasons %#llx", exit->state, exit->reasons);
	s = hpvm_state(vcpu);
	TEST_ASSERT(s.state == state && (s.reasons & why) == why,
		    "After KVM_EXIT_HPVM: state %u, reasons %#llx", s.state, s.reasons);
}

TEST(reported)
{
	const uint64_t report = KVM_HPVM_REASON_NOT_X2APIC | KVM_HPVM_REASON_WRONG_CPU;
	struct kvm_vcpu *vcpu = create(guest_reported);
	struct kvm_regs before, after;

	/* Each of the two is told once. */
	hpvm_set_ctrl(vcpu, false, report);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, KVM_HPVM_REASON_NOT_X2APIC);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	TEST_ASSERT_STAGE(vcpu, 1);
	TEST_ASSERT_DIRECT(vcpu);

	/* The thread is moved: told before the guest runs there, and once. */
	vcpu_run_complete_io(vcpu);
	vcpu_regs_get(vcpu, &before);
	kvm_pin_this_task_to_pcpu(0);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, KVM_HPVM_REASON_WRONG_CPU);
	vcpu_regs_get(vcpu, &after);
	EXPECT_EQ(before.rip, after.rip);
	TEST_ASSERT_STAGE(vcpu, 2);
	kvm_pin_this_task_to_pcpu(pcpu);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	TEST_ASSERT_STAGE(vcpu, 3);

	/* For a reason that nobody has asked for; nor back again. */
	hpvm_set_ctrl(vcpu, true, report);
	TEST_ASSERT_STAGE(vcpu, 4);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_HELD);
	hpvm_set_ctrl(vcpu, false, report);
	TEST_ASSERT_STAGE(vcpu, 5);
	TEST_ASSERT_DIRECT(vcpu);

	/* The guest leaves by itself; then another reason comes on top, and goes. */
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, KVM_HPVM_REASON_NOT_X2APIC);
	kvm_pin_this_task_to_pcpu(0);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, report);
	kvm_pin_this_task_to_pcpu(pcpu);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, KVM_HPVM_REASON_NOT_X2APIC);
	TEST_ASSERT_STAGE(vcpu, 6);

	/* Not told any more. */
	hpvm_set_ctrl(vcpu, false, 0);
	TEST_ASSERT_STAGE(vcpu, 7);
	TEST_ASSERT_DIRECT(vcpu);
	finish(vcpu);
}

/* --- The administrator ---------------------------------------------------- */

/* Without an exit of its own, but for what the host wants. */
static void guest_self_ipis(void)
{
	guest_x2apic_enable();
	GUEST_SYNC(1);
	for (;;) {
		guest_self_ipi(LOW_VECTOR);
		guest_open(100);
		GUEST_ASSERT_EQ(++count[0], count[LOW_VECTOR]);
	}
}

static void *write_later(void *mode)
{
	usleep(50000);
	TEST_ASSERT(!hpvm_write_file(HPVM_HOST_PARAM, mode), HPVM_HOST_PARAM ": error %d", errno);
	return NULL;
}

/* A thread on CPU 0. */
static pthread_t start_elsewhere(void *(*fn)(void *), const void *arg)
{
	cpu_set_t elsewhere;
	pthread_attr_t attr;
	pthread_t thread;

	CPU_ZERO(&elsewhere);
	CPU_SET(0, &elsewhere);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(elsewhere), &elsewhere);
	TEST_ASSERT(!pthread_create(&thread, &attr, fn, (void *)arg), "pthread_create()");
	pthread_attr_destroy(&attr);
	return thread;
}

/* While the guest runs another thread writes @mode. */
static void administer(struct kvm_vcpu *vcpu, const char *mode, uint32_t state, uint64_t why)
{
	pthread_t thread = start_elsewhere(write_later, mode);

	assert_reported(vcpu, state, why);
	pthread_join(thread, NULL);
}

/*
 * A guest that doesn't leave by itself is held, let go, and held by two at once: direct
 * only when neither wants it ordinary.
 */
TEST(host_held)
{
	const uint64_t report = KVM_HPVM_REASON_HOST_HELD;
	struct kvm_vcpu *vcpu = create(guest_self_ipis);
	int i;

	TEST_ASSERT_STAGE(vcpu, 1);
	hpvm_set_ctrl(vcpu, false, report);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	for (i = 0; i < 3; i++) {
		administer(vcpu, "hold", KVM_HPVM_STATE_ORDINARY, report);
		TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_HOST_HELD);
		administer(vcpu, "auto", KVM_HPVM_STATE_DIRECT, 0);
		TEST_ASSERT_DIRECT(vcpu);
	}
	administer(vcpu, "off", KVM_HPVM_STATE_ORDINARY, report);
	hpvm_set_ctrl(vcpu, true, report | KVM_HPVM_REASON_HELD);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, report | KVM_HPVM_REASON_HELD);
	administer(vcpu, "auto", KVM_HPVM_STATE_ORDINARY, KVM_HPVM_REASON_HELD);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_HELD);
	hpvm_set_ctrl(vcpu, false, report);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	kvm_vm_free(vcpu->vm);
}

/* --- The circuit breaker ------------------------------------------------- */

static char provoke_path[64];
static bool provoked;

/* Again and again: what has to come at a certain moment may need a second try. */
static void *provoke(void *what)
{
	while (!READ_ONCE(provoked)) {
		usleep(50000);
		TEST_ASSERT(!hpvm_write_file(provoke_path, what), "'%s' can't be caused",
			    (char *)what);
		usleep(1500000);
	}
	return NULL;
}

/* Fewer than it takes, were it not for those that it was released from. */
static void *provoke_after_two_nmis(void *what)
{
	int i;

	for (i = 0; i < 2; i++) {
		usleep(50000);
		TEST_ASSERT(!hpvm_write_file(provoke_path, "one-nmi"), "an NMI can't be sent");
	}
	return provoke(what);
}

/* The guest runs meanwhile, and is held for it until it's released. */
static void trip(struct kvm_vcpu *vcpu, void *(*cause)(void *), const char *what, uint64_t why)
{
	pthread_t thread;
	struct kvm_hpvm_ctrl reset = { .change = KVM_HPVM_CTRL_RESET };

	provoked = false;
	thread = start_elsewhere(cause, what);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, why);
	WRITE_ONCE(provoked, true);
	pthread_join(thread, NULL);
	TEST_ASSERT_ORDINARY(vcpu, why);

	/* To hold it and to let it go is something else. */
	hpvm_set_ctrl(vcpu, true, ~0ULL);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, why | KVM_HPVM_REASON_HELD);
	hpvm_set_ctrl(vcpu, false, ~0ULL);
	assert_reported(vcpu, KVM_HPVM_STATE_ORDINARY, why);
	TEST_ASSERT_ORDINARY(vcpu, why);

	vcpu_ioctl(vcpu, KVM_HPVM_SET_CTRL, &reset);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	TEST_ASSERT_DIRECT(vcpu);
}

static void guest_in_service(void)
{
	guest_x2apic_enable();
	GUEST_SYNC(1);
	for (;;) {
		guest_self_ipi(LOW_VECTOR);
		guest_open(100);
	}
}

/* The guest is left while a vector is in service, which has to be put there again. */
static bool slow = true;

static void handle_slowly(struct ex_regs *regs)
{
	if (READ_ONCE(slow))
		guest_slow_exit();
	guest_eoi();
}

TEST(breaker)
{
	struct kvm_vcpu *vcpu = create(guest_in_service);
	char late_ms[16] = {};
	int fd;

	vm_install_exception_handler(vcpu->vm, LOW_VECTOR, handle_slowly);
	sprintf(provoke_path, "/sys/kernel/debug/kvm/%d-%d/hpvm_provoke", getpid(), vcpu->vm->fd);
	if (access(provoke_path, W_OK)) {
		kvm_vm_free(vcpu->vm);
		SKIP(return, "The kernel has no CONFIG_KVM_HPVM_KUNIT_TEST, or no debugfs");
	}
	EXPECT_EQ(-EINVAL, hpvm_write_file(provoke_path, "anything"));

	/* Where the host's own CPUs are slow it's off. */
	fd = open(HPVM_LATE_PARAM, O_RDWR);
	TEST_ASSERT(fd >= 0 && read(fd, late_ms, sizeof(late_ms) - 1) > 0, HPVM_LATE_PARAM);
	close(fd);
	ASSERT_EQ(0, hpvm_write_file(HPVM_LATE_PARAM, "0"));

	TEST_ASSERT_STAGE(vcpu, 1);
	hpvm_set_ctrl(vcpu, false, ~0ULL);
	assert_reported(vcpu, KVM_HPVM_STATE_DIRECT, 0);
	trip(vcpu, provoke, "nmi", KVM_HPVM_REASON_BREAKER_NMI);
	/* Nothing but this one, within the ten seconds in which three NMIs are too many. */
	trip(vcpu, provoke_after_two_nmis, "isr", KVM_HPVM_REASON_BREAKER_ISR);
	/* One storm has an end. */
	ASSERT_EQ(0, hpvm_write_file(provoke_path, "storm"));
	ASSERT_EQ(0, hpvm_write_file(provoke_path, "sensitive"));
	trip(vcpu, provoke, "storm", KVM_HPVM_REASON_BREAKER_STORM);

	/* Without an exit of its own, or the event is handled at that. */
	slow = false;
	sync_global_to_guest(vcpu->vm, slow);
	ASSERT_EQ(0, hpvm_write_file(HPVM_LATE_PARAM, "10"));
	trip(vcpu, provoke, "late", KVM_HPVM_REASON_BREAKER_LATE);
	EXPECT_EQ(0, hpvm_write_file(HPVM_LATE_PARAM, late_ms));
	kvm_vm_free(vcpu->vm);
}

/* --- Liveness ------------------------------------------------------------ */

enum what { HANGS, SPINS, SLEEPS, ENDS };
static enum what what;
static uint64_t hang_begin, hang_end;
static bool has_deadline;

static void hang(void)
{
	asm volatile("lea 1f(%%rip), %%rax\n\t"
		     "mov %%rax, %0\n\t"
		     "lea 2f(%%rip), %%rax\n\t"
		     "mov %%rax, %1\n"
		     "1: cmpl %2, %3\n\t"
		     "je 1b\n"
		     "2:"
		     : "=m" (hang_begin), "=m" (hang_end)
		     : "i" (HANGS), "m" (what)
		     : "rax", "memory", "cc");
}

/* Ever another deadline or count, of about 2 ms. */
static void guest_arm_briefly(void)
{
	static uint32_t n;

	n = (n + 1) % 100;
	if (has_deadline)
		guest_arm(200000 + n);
	else
		x2apic_write_reg(APIC_TMICT, bus_khz * 2 + n);
}

static void guest_hangs_spins_and_sleeps(void)
{
	guest_setup(has_deadline ? APIC_LVT_TIMER_TSCDEADLINE : APIC_LVT_TIMER_ONESHOT);
	GUEST_SYNC(1);
	hang();
	while (READ_ONCE(what) == SPINS) {
		guest_arm_briefly();
		guest_open(1000);
	}
	while (READ_ONCE(what) == SLEEPS) {
		guest_arm_briefly();
		asm volatile("lea -128(%%rsp), %%rsp\n\t"
			     "sti\n\t"
			     "hlt\n\t"
			     "cli\n\t"
			     "lea 128(%%rsp), %%rsp"
			     : : : "memory", "cc");
	}
	GUEST_DONE();
}

/* The one vCPU's line: how much of it is there; asks where the guest is. */
struct alive {
	unsigned long long ns, timer_ns;
	uint64_t rip;
	int fields, pcpu, direct, runs, interrupts, cpl, halted;
};

#define ALL_FIELDS	9

static struct alive look(struct kvm_vcpu *vcpu)
{
	char path[64], line[256] = {};
	struct alive a = {};
	int fd;

	sprintf(path, "/sys/kernel/debug/kvm/%d-%d/hpvm_vcpus", getpid(), vcpu->vm->fd);
	fd = open(path, O_RDONLY);
	TEST_ASSERT(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0, "%s: error %d", path, errno);
	close(fd);
	a.fields = sscanf(line,
			  "vcpu 0 pcpu %d direct %d nanoseconds_since_exit %llu runs %d nanoseconds_since_timer %llu rip %lx interrupts %d cpl %d halted %d",
			  &a.pcpu, &a.direct, &a.ns, &a.runs, &a.timer_ns, &a.rip, &a.interrupts,
			  &a.cpl, &a.halted);
	return a;
}

static bool hangs(uint64_t rip)
{
	return rip >= hang_begin && rip < hang_end;
}

static void *watch(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct alive a;
	int i, on = 0, timers = 0, halted = 0;

	/* Until it has begun. */
	do {
		usleep(10000);
		a = look(vcpu);
	} while (a.fields != ALL_FIELDS || !a.direct);
	sync_global_from_guest(vcpu->vm, hang_begin);
	sync_global_from_guest(vcpu->vm, hang_end);

	for (i = 0; i < 3; i++) {
		usleep(20000);
		a = look(vcpu);
		TEST_ASSERT(a.fields == ALL_FIELDS && a.pcpu == pcpu && a.direct && a.runs &&
			    !a.cpl && !a.halted, "%d fields", a.fields);
		TEST_ASSERT(!a.timer_ns, "It has no timer, but %llu ns ago", a.timer_ns);
		TEST_ASSERT(!a.interrupts && hangs(a.rip),
			    "RIP %#lx isn't that of the loop, %#lx", a.rip, hang_begin);
		TEST_ASSERT(a.ns && a.ns < 5000000000ULL, "%llu ns", a.ns);
	}
	what = SPINS;
	sync_global_to_guest(vcpu->vm, what);
	for (i = 0; i < 20; i++) {
		usleep(5000);
		a = look(vcpu);
		TEST_ASSERT(a.fields == ALL_FIELDS && a.direct, "%d fields", a.fields);
		TEST_ASSERT(!hangs(a.rip), "It still hangs");
		on += a.interrupts;
		/* This exit found it armed anew. */
		timers += a.timer_ns && a.timer_ns < a.ns + 1000000;
	}
	TEST_ASSERT(on, "Interrupts were never on");
	TEST_ASSERT(timers > 5, "Its timer was seen %d times", timers);
	what = SLEEPS;
	sync_global_to_guest(vcpu->vm, what);
	for (i = 0; i < 20; i++) {
		usleep(5000);
		a = look(vcpu);
		halted += a.fields == ALL_FIELDS && a.halted && a.interrupts;
	}
	TEST_ASSERT(halted >= 3, "It was in HLT %d times", halted);
	what = ENDS;
	sync_global_to_guest(vcpu->vm, what);
	return NULL;
}

TEST(liveness)
{
	struct kvm_vcpu *vcpu = create(guest_hangs_spins_and_sleeps);
	struct kvm_hpvm_state before, after;
	struct alive a;
	pthread_t thread;

	if (access("/sys/kernel/debug/kvm", R_OK)) {
		kvm_vm_free(vcpu->vm);
		SKIP(return, "There is no debugfs");
	}
	has_deadline = features & KVM_HPVM_F_TIMER_DEADLINE;
	sync_global_to_guest(vcpu->vm, has_deadline);
	TEST_ASSERT_STAGE(vcpu, 1);
	a = look(vcpu);
	TEST_ASSERT(a.fields == 4 && !a.runs, "It runs, and can't");

	before = hpvm_state(vcpu);
	thread = start_elsewhere(watch, vcpu);
	TEST_ASSERT_STAGE(vcpu, HPVM_DONE);
	pthread_join(thread, NULL);
	after = hpvm_state(vcpu);
	/* Each look was an exit, for which there was an NMI unless it was on its way out. */
	EXPECT_LE(before.slow_exits + 23, after.slow_exits);
	EXPECT_LE(before.nmis_sent + 23, after.nmis_sent);
	EXPECT_LE(after.nmi_kicks, after.nmis_sent);
	EXPECT_GT(2000, after.slow_exits - before.slow_exits);
	EXPECT_EQ(after.slow_exits, hpvm_vcpu_stat(vcpu, "hpvm_slow_exits"));
	EXPECT_LT(0, hpvm_vcpu_stat(vcpu, "hpvm_last_exit"));
	EXPECT_LT(0, hpvm_vcpu_stat(vcpu, "hpvm_last_timer"));
	EXPECT_LT(0, after.since_timer_ns);
	kvm_vm_free(vcpu->vm);
}

/* --- Reset --------------------------------------------------------------- */

static void guest_sleeps_for_good(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	GUEST_SYNC(1);
	for (;;)
		asm volatile("hlt");
}

static void guest_anew(void)
{
	GUEST_DONE();
}

static void nothing(int signal)
{
}

static void *interrupt_later(void *thread)
{
	usleep(200000);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* In HLT with interrupts off, in the hardware, and then somewhere else by user space's word. */
TEST(reset_in_hlt)
{
	const struct sigaction sa = { .sa_handler = nothing };
	struct kvm_mp_state runs = { .mp_state = KVM_MP_STATE_RUNNABLE };
	pthread_t self = pthread_self(), thread;
	struct kvm_vm *vm = vm_create(1);
	struct kvm_vcpu *vcpu;
	struct kvm_regs regs;

	vm_enable_cap(vm, KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT);
	vm_enable_cap(vm, KVM_CAP_X86_HPVM, features);
	vcpu = hpvm_vcpu_add(vm, guest_sleeps_for_good);
	kvm_pin_this_task_to_pcpu(pcpu);
	hpvm_bind(vcpu, pcpu);
	TEST_ASSERT_STAGE(vcpu, 1);

	sigaction(SIGUSR1, &sa, NULL);
	thread = start_elsewhere(interrupt_later, &self);
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "KVM_RUN: error %d", errno);
	TEST_ASSERT_DIRECT(vcpu);
	pthread_join(thread, NULL);
	vcpu_regs_get(vcpu, &regs);
	regs.rip = (uint64_t)guest_anew;
	vcpu_regs_set(vcpu, &regs);
	vcpu_mp_state_set(vcpu, &runs);
	finish(vcpu);
}

/* --- Migration ----------------------------------------------------------- */

static uint64_t move_ticks;

/* Stopped with a vector in service, two pending, a deadline, and a TPR. */
static void handle_moved(struct ex_regs *regs)
{
	count[regs->vector]++;
	x2apic_write_reg(APIC_TASKPRI, 0x40);
	guest_self_ipi(LOW_VECTOR);
	guest_self_ipi(MID_VECTOR);
	guest_arm(move_ticks);
	GUEST_SYNC(1);
	GUEST_SYNC(2);
	GUEST_SYNC(3);
	GUEST_ASSERT_EQ(x2apic_read_reg(APIC_TASKPRI), 0x40);
	GUEST_ASSERT(guest_vector(APIC_ISR, HIGH_VECTOR));
	GUEST_ASSERT(guest_vector(APIC_IRR, MID_VECTOR));
	GUEST_ASSERT(guest_vector(APIC_IRR, LOW_VECTOR));
	guest_eoi();
}

static void guest_moved(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	guest_self_ipi(HIGH_VECTOR);
	guest_open(100);

	GUEST_ASSERT(guest_wait(&count[MID_VECTOR], 1, 100));
	GUEST_ASSERT_EQ(count[LOW_VECTOR], 0);
	x2apic_write_reg(APIC_TASKPRI, 0);
	GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], 1, 100));
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], 1, 5000));

	guest_assert_idle();
	GUEST_ASSERT_EQ(count[LOW_VECTOR], 1);
	GUEST_ASSERT_EQ(count[MID_VECTOR], 1);
	GUEST_ASSERT_EQ(count[HIGH_VECTOR], 1);
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	GUEST_DONE();
}

static void check_moved(struct kvm_vcpu *vcpu, struct saved *s)
{
	bool fired = saved_vector(s, APIC_IRR, TIMER_VECTOR);
	int i, in_service = 0;

	for (i = 0; i < 8; i++)
		in_service += __builtin_popcount(*lapic_reg(s, APIC_ISR + i * 0x10));
	TEST_ASSERT(in_service == 1 && saved_vector(s, APIC_ISR, HIGH_VECTOR),
		    "%d vectors in service", in_service);
	TEST_ASSERT(saved_vector(s, APIC_IRR, LOW_VECTOR), "the low vector isn't pending");
	TEST_ASSERT(saved_vector(s, APIC_IRR, MID_VECTOR), "the middle vector isn't pending");
	TEST_ASSERT(*lapic_reg(s, APIC_TASKPRI) == 0x40, "TPR %#x",
		    *lapic_reg(s, APIC_TASKPRI));
	TEST_ASSERT(!s->events.interrupt.injected, "an interrupt is being injected");

	sync_global_from_guest(vcpu->vm, deadline);
	TEST_ASSERT(s->deadline == (fired ? 0 : deadline),
		    "deadline %#lx, the guest armed %#lx, fired: %d",
		    s->deadline, deadline, fired);
}

static void test_move(uint64_t usecs)
{
	struct kvm_vcpu *vcpu = create(guest_moved);
	struct saved s;

	move_ticks = usecs * guest_tsc_khz / 1000;
	sync_global_to_guest(vcpu->vm, move_ticks);
	vm_install_exception_handler(vcpu->vm, HIGH_VECTOR, handle_moved);

	TEST_ASSERT_STAGE(vcpu, 1);
	TEST_ASSERT_DIRECT(vcpu);
	vcpu = move(vcpu, false, &s);
	check_moved(vcpu, &s);
	TEST_ASSERT_STAGE(vcpu, 2);
	vcpu = move(vcpu, true, &s);
	check_moved(vcpu, &s);
	TEST_ASSERT_STAGE(vcpu, 3);
	TEST_ASSERT_DIRECT(vcpu);
	finish(vcpu);
}

/* The deadline is still to come on the other side. */
TEST(move_with_armed_deadline)
{
	test_move(1000000);
}

/* It passes on the way. */
TEST(move_with_passing_deadline)
{
	test_move(50);
}

/* Nothing moves, but each access to the state makes the vCPU ordinary. */
TEST(look_at_state)
{
	struct kvm_vcpu *vcpu = create(guest_moved);
	struct saved s;
	int stage;

	move_ticks = 100 * guest_tsc_khz;
	sync_global_to_guest(vcpu->vm, move_ticks);
	vm_install_exception_handler(vcpu->vm, HIGH_VECTOR, handle_moved);
	for (stage = 1; stage <= 3; stage++) {
		TEST_ASSERT_STAGE(vcpu, stage);
		TEST_ASSERT_DIRECT(vcpu);
		save(vcpu, &s);
		check_moved(vcpu, &s);
		load(vcpu, &s);
	}
	finish(vcpu);
}

/* --- Between direct and ordinary, live ----------------------------------- */

/* An exit to user space for each, with all of it pending. */
static void guest_toggled(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (i = 1; i <= ROUNDS; i++) {
		guest_self_ipi(LOW_VECTOR);
		guest_arm(i % 4 * 1000 + 200);
		GUEST_SYNC(i);
		guest_self_ipi(MID_VECTOR);
		GUEST_ASSERT(guest_wait(&count[MID_VECTOR], i, 100));
		GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], i, 100));
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i, 100));
	}
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[LOW_VECTOR], ROUNDS);
	GUEST_ASSERT_EQ(count[MID_VECTOR], ROUNDS);
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], ROUNDS);
	GUEST_DONE();
}

TEST(hold_and_release)
{
	struct kvm_vcpu *vcpu = create(guest_toggled);
	bool hold = false;
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		TEST_ASSERT_STAGE(vcpu, i);
		if (hold)
			TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_HELD);
		else
			TEST_ASSERT_DIRECT(vcpu);
		hold = i & 1;
		hpvm_hold(vcpu, hold);
	}
	finish(vcpu);
	EXPECT_EQ(0, __hpvm_bind(hpvm_vm_create(guest_toggled, features), pcpu, NULL));
}

TEST(release_and_bind)
{
	struct kvm_vcpu *vcpu = create(guest_toggled);
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		TEST_ASSERT_STAGE(vcpu, i);
		if (i % 40 == 10)
			hpvm_bind(vcpu, KVM_HPVM_NO_CPU);
		if (i % 40 == 20)
			hpvm_bind(vcpu, pcpu);
	}
	finish(vcpu);
}

/* --- Exits between an interrupt and its EOI ------------------------------- */

static void handle_with_exits(struct ex_regs *regs)
{
	count[regs->vector]++;
	guest_slow_exit();
	if (regs->vector == LOW_VECTOR) {
		guest_self_ipi(HIGH_VECTOR);
		guest_slow_exit();
		guest_open(100);
		guest_arm(300);
		guest_open(100);
	}
	if (regs->vector == HIGH_VECTOR && !(count[HIGH_VECTOR] % 10))
		GUEST_SYNC(count[HIGH_VECTOR]);
	guest_slow_exit();
	guest_eoi();
	guest_slow_exit();
}

static void guest_with_exits(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (i = 1; i <= ROUNDS; i++) {
		guest_self_ipi(LOW_VECTOR);
		guest_slow_exit();
		GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], i, 100));
		GUEST_ASSERT(guest_wait(&count[HIGH_VECTOR], i, 100));
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i, 100));
	}
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[LOW_VECTOR], ROUNDS);
	GUEST_ASSERT_EQ(count[HIGH_VECTOR], ROUNDS);
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], ROUNDS);
	GUEST_DONE();
}

TEST(exits_before_eoi)
{
	struct kvm_vcpu *vcpu = create(guest_with_exits);
	int i;

	vm_install_exception_handler(vcpu->vm, LOW_VECTOR, handle_with_exits);
	vm_install_exception_handler(vcpu->vm, HIGH_VECTOR, handle_with_exits);
	vm_install_exception_handler(vcpu->vm, TIMER_VECTOR, handle_with_exits);
	for (i = 10; i <= ROUNDS; i += 10) {
		TEST_ASSERT_STAGE(vcpu, i);
		TEST_ASSERT_DIRECT(vcpu);
	}
	TEST_ASSERT_STAGE(vcpu, HPVM_DONE);
	EXPECT_LT(3 * ROUNDS, hpvm_state(vcpu).in_service);
	kvm_vm_free(vcpu->vm);
}

/*
 * An exit in the delivery itself: reading the IDT or the push to the stack faults, because
 * the host has unmapped the guest's memory.  The vector has been acknowledged then.
 */
static void guest_delivery_faults(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (i = 1; i <= ROUNDS; i++) {
		guest_self_ipi(MID_VECTOR);
		asm volatile("lea -128(%%rsp), %%rsp\n\t"
			     "outb %%al, %0\n\t"
			     "sti\n\t"
			     "nop\n\t"
			     "nop\n\t"
			     "cli\n\t"
			     "lea 128(%%rsp), %%rsp"
			     : : "i" (MARK_PORT) : "memory");
		GUEST_ASSERT_EQ(count[MID_VECTOR], i);
	}
	guest_assert_idle();
	GUEST_DONE();
}

TEST(delivery_faults)
{
	struct kvm_vcpu *vcpu = create(guest_delivery_faults);
	struct userspace_mem_region *memory = memslot2region(vcpu->vm, 0);
	uint64_t size = memory->region.memory_size;
	int64_t before = 0, i;

	for (i = 1; i <= ROUNDS; i++) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_IO ||
		    vcpu->run->io.port != MARK_PORT)
			break;
		if (i == 2)
			before = hpvm_vcpu_stat(vcpu, "pf_taken");
		TEST_ASSERT(!mprotect(memory->host_mem, size, PROT_READ) &&
			    !mprotect(memory->host_mem, size, PROT_READ | PROT_WRITE),
			    "mprotect()");
	}
	EXPECT_EQ(ROUNDS + 1, i);
	EXPECT_LT(before + ROUNDS / 4, hpvm_vcpu_stat(vcpu, "pf_taken"));
	TEST_ASSERT_DIRECT(vcpu);
	finish(vcpu);
}

/* --- Level-triggered interrupts ------------------------------------------- */

static void guest_ioapic_write(uint32_t reg, uint32_t val)
{
	uint32_t *ioapic = (void *)IOAPIC_GPA;

	WRITE_ONCE(ioapic[0], reg);
	WRITE_ONCE(ioapic[4], val);
}

/* The device's register is read (an exit), then the line goes down, then EOI. */
static void handle_level(struct ex_regs *regs)
{
	count[regs->vector]++;
	guest_slow_exit();
	GUEST_SYNC(2);
	guest_eoi();
}

static void guest_level(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	guest_ioapic_write(0x10 + 2 * IOAPIC_PIN + 1, x2apic_read_reg(APIC_ID) << 24);
	guest_ioapic_write(0x10 + 2 * IOAPIC_PIN, MID_VECTOR | IOAPIC_LEVEL);
	for (i = 1; i <= ROUNDS / 4; i++) {
		GUEST_SYNC(1);
		GUEST_ASSERT(guest_wait(&count[MID_VECTOR], i, 100));
		/* An edge-triggered one after it. */
		guest_self_ipi(LOW_VECTOR);
		GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], i, 100));
	}
	guest_ioapic_write(0x10 + 2 * IOAPIC_PIN, IOAPIC_MASKED);
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[MID_VECTOR], ROUNDS / 4);
	GUEST_DONE();
}

TEST(level_triggered)
{
	struct kvm_vcpu *vcpu = create(guest_level);
	int i;

	virt_pg_map(vcpu->vm, IOAPIC_GPA, IOAPIC_GPA);
	vm_install_exception_handler(vcpu->vm, MID_VECTOR, handle_level);
	for (i = 1; i <= ROUNDS / 4; i++) {
		TEST_ASSERT_STAGE(vcpu, 1);
		TEST_ASSERT_DIRECT(vcpu);
		kvm_irq_line(vcpu->vm, IOAPIC_PIN, 1);
		TEST_ASSERT_STAGE(vcpu, 2);
		TEST_ASSERT_DIRECT(vcpu);
		kvm_irq_line(vcpu->vm, IOAPIC_PIN, 0);
	}
	TEST_ASSERT_STAGE(vcpu, HPVM_DONE);
	EXPECT_LE(ROUNDS / 4, hpvm_state(vcpu).eoi_intercepts);
	kvm_vm_free(vcpu->vm);
}

/* --- Paravirtual EOI ------------------------------------------------------ */

static void handle_pv_eoi(struct ex_regs *regs)
{
	bool pv;

	count[regs->vector]++;
	GUEST_SYNC(2);
	asm volatile("btrq $0, %0" : "+m" (pv_eoi), "=@ccc" (pv) : : "memory");
	if (!pv)
		guest_eoi();
}

static void guest_pv_eoi(uint64_t gpa)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	wrmsr(MSR_KVM_PV_EOI_EN, gpa | KVM_MSR_ENABLED);
	for (i = 1; i <= ROUNDS / 4; i++) {
		guest_self_ipi(MID_VECTOR);
		GUEST_SYNC(1);
		GUEST_ASSERT(guest_wait(&count[MID_VECTOR], i, 100));
		/* What is in service still would hold this one back. */
		guest_self_ipi(LOW_VECTOR);
		GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], i, 100));
	}
	GUEST_DONE();
}

TEST(paravirtual_eoi)
{
	struct kvm_vcpu *vcpu = create(guest_pv_eoi);
	int i;

	vcpu_args_set(vcpu, 1, addr_gva2gpa(vcpu->vm, (vm_vaddr_t)&pv_eoi));
	vm_install_exception_handler(vcpu->vm, MID_VECTOR, handle_pv_eoi);
	for (i = 1; i <= ROUNDS / 4; i++) {
		TEST_ASSERT_STAGE(vcpu, 1);
		hpvm_hold(vcpu, i % 4 > 1);
		TEST_ASSERT_STAGE(vcpu, 2);
		hpvm_hold(vcpu, i & 1);
	}
	finish(vcpu);
}

/* --- Exits that are handled where the guest was left ---------------------- */

#define SIGNAL_PORT	0x510
#define PIC_PORT	0x20	/* KVM's 8259 is there, too */
#define SIGNAL_GPA	0xd0000000UL
#define X86_EFLAGS_TF	(1UL << 8)

static uint64_t trap_rip, cpuid_end;

static void handle_trap(struct ex_regs *regs)
{
	count[regs->vector]++;
	trap_rip = regs->rip;
	regs->rflags &= ~X86_EFLAGS_TF;
}

/* What is in service, and what waits behind it, stay so in each kind of exit. */
static void handle_fast_exits(struct ex_regs *regs)
{
	uint32_t eax, ebx, ecx, edx;

	guest_self_ipi(LOW_VECTOR);
	cpuid(0, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT(ebx);
	wrmsr(MSR_TSC_AUX, ++count[regs->vector]);
	GUEST_ASSERT_EQ(rdmsr(MSR_TSC_AUX), count[regs->vector]);
	asm volatile("outl %%eax, %%dx" : : "a" (1), "d" (SIGNAL_PORT) : "memory");
	GUEST_ASSERT(guest_vector(APIC_ISR, MID_VECTOR));
	GUEST_ASSERT(guest_vector(APIC_IRR, LOW_VECTOR));
	guest_eoi();
}

/* TF traps behind an instruction that exits, as behind any other. */
static void guest_single_step(void)
{
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "lea 1f(%%rip), %%rax\n\t"
		     "mov %%rax, %0\n\t"
		     "pushfq\n\t"
		     "orq %1, (%%rsp)\n\t"
		     "popfq\n\t"
		     "cpuid\n"
		     "1: nop\n\t"
		     "lea 128(%%rsp), %%rsp"
		     : "=m" (cpuid_end) : "i" (X86_EFLAGS_TF)
		     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	GUEST_ASSERT_EQ(count[DB_VECTOR], 1);
	GUEST_ASSERT_EQ(trap_rip, cpuid_end);
}

static void guest_fast_exits(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	GUEST_SYNC(0);
	for (i = 1; i <= ROUNDS; i++) {
		guest_self_ipi(MID_VECTOR);
		GUEST_ASSERT(guest_wait(&count[LOW_VECTOR], i, 100));
	}
	GUEST_ASSERT_EQ(count[MID_VECTOR], ROUNDS);
	GUEST_SYNC(1);
	for (i = 1; i <= ROUNDS; i++)
		WRITE_ONCE(*(uint32_t *)SIGNAL_GPA, i);
	GUEST_SYNC(2);
	for (i = 1; i <= ROUNDS; i++)
		asm volatile("outb %%al, $" __stringify(PIC_PORT) : : "a" (0x20) : "memory");
	GUEST_SYNC(3);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_TSC_AUX, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_TSC_AUX), ROUNDS);
	guest_single_step();
	guest_assert_idle();
	GUEST_DONE();
}

static int add_ioeventfd(struct kvm_vm *vm, uint64_t addr, uint32_t len, uint32_t flags)
{
	struct kvm_ioeventfd io = {
		.addr = addr, .len = len, .fd = eventfd(0, EFD_NONBLOCK), .flags = flags,
	};

	TEST_ASSERT(io.fd >= 0, "eventfd()");
	vm_ioctl(vm, KVM_IOEVENTFD, &io);
	return io.fd;
}

TEST(exits_without_leaving)
{
	uint8_t deny = 0;
	struct kvm_msr_filter filter = {
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_WRITE,
			.base = MSR_TSC_AUX, .nmsrs = 1, .bitmap = &deny,
		},
	};
	struct kvm_vcpu *vcpu = create(guest_fast_exits);
	int fd = add_ioeventfd(vcpu->vm, SIGNAL_PORT, 4, KVM_IOEVENTFD_FLAG_PIO);
	int pic_fd = add_ioeventfd(vcpu->vm, PIC_PORT, 1, KVM_IOEVENTFD_FLAG_PIO);
	int mmio_fd = add_ioeventfd(vcpu->vm, SIGNAL_GPA, 0, 0);
	int64_t exits, slow;
	uint64_t signals;

	vm_install_exception_handler(vcpu->vm, MID_VECTOR, handle_fast_exits);
	vm_install_exception_handler(vcpu->vm, DB_VECTOR, handle_trap);
	virt_map(vcpu->vm, SIGNAL_GPA, SIGNAL_GPA, 1);
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	exits = hpvm_vcpu_stat(vcpu, "exits");
	slow = hpvm_vcpu_stat(vcpu, "hpvm_slow_exits");
	TEST_ASSERT_STAGE(vcpu, 1);
	EXPECT_LE(4 * ROUNDS, hpvm_vcpu_stat(vcpu, "exits") - exits);
	EXPECT_GT(SOME_EXITS, hpvm_vcpu_stat(vcpu, "hpvm_slow_exits") - slow);
	ASSERT_EQ(sizeof(signals), read(fd, &signals, sizeof(signals)));
	EXPECT_EQ(ROUNDS, signals);

	/* AMD's nested page faults don't tell the next RIP. */
	slow = hpvm_vcpu_stat(vcpu, "hpvm_slow_exits");
	TEST_ASSERT_STAGE(vcpu, 2);
	EXPECT_GT(SOME_EXITS + (host_cpu_is_intel ? 0 : ROUNDS),
		  hpvm_vcpu_stat(vcpu, "hpvm_slow_exits") - slow);
	ASSERT_EQ(sizeof(signals), read(mmio_fd, &signals, sizeof(signals)));
	EXPECT_EQ(ROUNDS, signals);

	/* The 8259 isn't asked with IRQs off. */
	slow = hpvm_vcpu_stat(vcpu, "hpvm_slow_exits");
	TEST_ASSERT_STAGE(vcpu, 3);
	EXPECT_LE(ROUNDS, hpvm_vcpu_stat(vcpu, "hpvm_slow_exits") - slow);

	vm_ioctl(vcpu->vm, KVM_X86_SET_MSR_FILTER, &filter);
	finish(vcpu);
	close(fd);
	close(pic_fd);
	close(mmio_fd);
}

/* --- The timer's other modes ---------------------------------------------- */

static void guest_offset(void)
{
	uint64_t i;

	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	GUEST_SYNC(0);
	for (i = 1; i <= ROUNDS / 4; i++) {
		guest_arm(500);
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i, 100));
	}
	GUEST_SYNC(1);
	/* In the past; and never. */
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i, 100));
	wrmsr(MSR_IA32_TSC_DEADLINE, ~0ULL);
	GUEST_ASSERT(!guest_wait(&count[TIMER_VECTOR], i + 1, 2));
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], i);
	GUEST_SYNC(2);
	guest_arm(500);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], i + 1, 100));
	GUEST_SYNC(3);
	GUEST_DONE();
}

static void test_offset(uint64_t offset)
{
	struct kvm_vcpu *vcpu = create(guest_offset);
	struct kvm_hpvm_state state;
	int64_t before, after;

	hpvm_set_tsc_offset(vcpu, offset);
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	state = hpvm_state(vcpu);
	TEST_ASSERT(state.timer == (offset ? KVM_HPVM_TIMER_FIRE : KVM_HPVM_TIMER_DEADLINE) &&
		    state.timer_reasons == (offset ? KVM_HPVM_TIMER_REASON_OFFSET : 0),
		    "timer step %u, reasons %#llx", state.timer, state.timer_reasons);

	before = hpvm_vcpu_stat(vcpu, "exits");
	TEST_ASSERT_STAGE(vcpu, 1);
	after = hpvm_vcpu_stat(vcpu, "exits");
	/* One to arm each, none to fire. */
	TEST_ASSERT(after - before < (offset ? ROUNDS / 4 : 0) + SOME_EXITS,
		    "%ld exits for %d timers", after - before, ROUNDS / 4);

	TEST_ASSERT_STAGE(vcpu, 2);
	hpvm_set_tsc_offset(vcpu, 0);
	TEST_ASSERT_STAGE(vcpu, 3);
	state = hpvm_state(vcpu);
	TEST_ASSERT(state.timer == KVM_HPVM_TIMER_DEADLINE, "timer step %u", state.timer);
	finish(vcpu);
}

TEST(tsc_offset_none)
{
	if (!(features & KVM_HPVM_F_TIMER_DEADLINE))
		SKIP(return, "this host has no TSC deadline timer");
	test_offset(0);
}

/* A guest's TSC usually begins with 0. */
TEST(tsc_offset_negative)
{
	if (!(features & KVM_HPVM_F_TIMER_DEADLINE))
		SKIP(return, "this host has no TSC deadline timer");
	test_offset(-rdtsc());
}

TEST(tsc_offset_positive)
{
	if (!(features & KVM_HPVM_F_TIMER_DEADLINE))
		SKIP(return, "this host has no TSC deadline timer");
	test_offset(1ULL << 40);
}

static void guest_oneshot(void)
{
	uint64_t n = 0, tmcct;
	int i;

	guest_setup(APIC_LVT_TIMER_ONESHOT);
	GUEST_SYNC(0);
	for (i = 0; i < ROUNDS / 4; i++) {
		x2apic_write_reg(APIC_TMICT, 500);
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], ++n, 100));
	}
	GUEST_SYNC(1);

	/* Stopped: stays so on the way. */
	x2apic_write_reg(APIC_TMICT, bus_khz * 1500);
	x2apic_write_reg(APIC_TMICT, 0);
	GUEST_SYNC(2);
	GUEST_ASSERT(!guest_wait(&count[TIMER_VECTOR], n + 1, 2));
	GUEST_SYNC(3);
	GUEST_ASSERT(!guest_wait(&count[TIMER_VECTOR], n + 1, 2));

	/* Counting: it fires once, and in time, on the other side. */
	x2apic_write_reg(APIC_TMICT, bus_khz * 1500);
	GUEST_SYNC(4);
	tmcct = x2apic_read_reg(APIC_TMCCT);
	GUEST_ASSERT(tmcct > 0 && tmcct < bus_khz * 1500);
	GUEST_SYNC(5);
	GUEST_ASSERT(x2apic_read_reg(APIC_TMCCT) < tmcct);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], ++n, 3000));

	/* Started while the vCPU is held ordinary, then released. */
	GUEST_SYNC(6);
	x2apic_write_reg(APIC_TMICT, bus_khz * 5);
	GUEST_SYNC(7);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], ++n, 1000));
	/* And the other way round. */
	x2apic_write_reg(APIC_TMICT, bus_khz * 5);
	GUEST_SYNC(8);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], ++n, 1000));
	GUEST_SYNC(9);
	x2apic_write_reg(APIC_TMICT, 500);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], ++n, 100));
	GUEST_SYNC(10);
	guest_assert_idle();
	GUEST_ASSERT_EQ(count[TIMER_VECTOR], n);
	GUEST_DONE();
}

TEST(oneshot)
{
	struct kvm_vcpu *vcpu;
	int64_t before, after;
	struct saved s;

	if (!(features & KVM_HPVM_F_TIMER_ONESHOT))
		SKIP(return, "the rate of this host's LAPIC timer doesn't suit KVM");
	vcpu = create(guest_oneshot);
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	EXPECT_EQ(KVM_HPVM_TIMER_ONESHOT, hpvm_state(vcpu).timer);
	before = hpvm_vcpu_stat(vcpu, "exits");
	TEST_ASSERT_STAGE(vcpu, 1);
	after = hpvm_vcpu_stat(vcpu, "exits");
	EXPECT_GT(SOME_EXITS, after - before);

	TEST_ASSERT_STAGE(vcpu, 2);
	vcpu = move(vcpu, false, &s);
	TEST_ASSERT_STAGE(vcpu, 3);
	vcpu = move(vcpu, true, &s);
	TEST_ASSERT_STAGE(vcpu, 4);
	vcpu = move(vcpu, false, &s);
	TEST_ASSERT_STAGE(vcpu, 5);
	vcpu = move(vcpu, true, &s);

	TEST_ASSERT_STAGE(vcpu, 6);
	hpvm_hold(vcpu, true);
	TEST_ASSERT_STAGE(vcpu, 7);
	hpvm_hold(vcpu, false);
	TEST_ASSERT_STAGE(vcpu, 8);
	TEST_ASSERT_DIRECT(vcpu);
	hpvm_hold(vcpu, true);
	TEST_ASSERT_STAGE(vcpu, 9);
	hpvm_hold(vcpu, false);
	TEST_ASSERT_STAGE(vcpu, 10);
	EXPECT_EQ(KVM_HPVM_TIMER_ONESHOT, hpvm_state(vcpu).timer);
	finish(vcpu);
}

#define PERIODS	50

static void guest_periodic(void)
{
	uint64_t period = guest_tsc_khz / 2, begin, elapsed, n;
	int i;

	guest_setup(APIC_LVT_TIMER_PERIODIC);
	GUEST_SYNC(0);
	x2apic_write_reg(APIC_TMICT, bus_khz / 2);
	begin = rdtsc();
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], PERIODS, 1000));
	elapsed = rdtsc() - begin;
	/* A host that doesn't get its CPU misses some. */
	__GUEST_ASSERT(elapsed > period * (PERIODS - 1) &&
		       (host_is_guest || elapsed < period * (PERIODS + 2)),
		       "%d periods of %lu ticks took %lu", PERIODS, period, elapsed);
	GUEST_SYNC(1);

	/* Each change of the mode may cost or give one. */
	n = count[TIMER_VECTOR];
	begin = rdtsc();
	for (i = 2; i < 12; i++) {
		n += 4;
		GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], n, 1000));
		GUEST_SYNC(i);
		n = count[TIMER_VECTOR];
	}
	n = n - PERIODS;
	elapsed = (rdtsc() - begin) / period;
	__GUEST_ASSERT(n <= elapsed + 12 && (host_is_guest || elapsed <= n + 12),
		       "%lu interrupts in %lu periods", n, elapsed);

	x2apic_write_reg(APIC_TMICT, 0);
	guest_open(1000);
	n = count[TIMER_VECTOR];
	GUEST_ASSERT(!guest_wait(&count[TIMER_VECTOR], n + 1, 2));
	guest_assert_idle();
	GUEST_DONE();
}

TEST(periodic)
{
	struct kvm_vcpu *vcpu;
	int64_t before, after;
	int i;

	if (!(features & KVM_HPVM_F_TIMER_ONESHOT))
		SKIP(return, "the rate of this host's LAPIC timer doesn't suit KVM");
	vcpu = create(guest_periodic);
	TEST_ASSERT_STAGE(vcpu, 0);
	before = hpvm_vcpu_stat(vcpu, "exits");
	TEST_ASSERT_STAGE(vcpu, 1);
	after = hpvm_vcpu_stat(vcpu, "exits");
	TEST_ASSERT_DIRECT(vcpu);
	EXPECT_EQ(KVM_HPVM_TIMER_ONESHOT, hpvm_state(vcpu).timer);
	EXPECT_GT(SOME_EXITS, after - before);
	for (i = 2; i < 12; i++) {
		TEST_ASSERT_STAGE(vcpu, i);
		hpvm_hold(vcpu, i & 1);
	}
	finish(vcpu);
}

/* --- State that no hardware has ------------------------------------------- */

static void handle_two(struct ex_regs *regs)
{
	count[regs->vector]++;
	GUEST_SYNC(1);
	GUEST_ASSERT(guest_vector(APIC_ISR, HIGH_VECTOR));
	GUEST_ASSERT(guest_vector(APIC_ISR, HIGH_VECTOR + 1));
	GUEST_SYNC(2);
	guest_eoi();
	GUEST_ASSERT(!guest_vector(APIC_ISR, HIGH_VECTOR + 1));
	GUEST_ASSERT(guest_vector(APIC_ISR, HIGH_VECTOR));
	GUEST_SYNC(3);
	guest_eoi();
}

static void guest_two(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	guest_self_ipi(HIGH_VECTOR);
	GUEST_ASSERT(guest_wait(&count[HIGH_VECTOR], 1, 100));
	guest_arm(500);
	GUEST_ASSERT(guest_wait(&count[TIMER_VECTOR], 1, 100));
	guest_assert_idle();
	GUEST_DONE();
}

/* Two vectors of a class in service can't be re-created in the hardware. */
TEST(two_in_service)
{
	struct kvm_vcpu *vcpu = create(guest_two);
	struct saved s;

	vm_install_exception_handler(vcpu->vm, HIGH_VECTOR, handle_two);
	TEST_ASSERT_STAGE(vcpu, 1);
	TEST_ASSERT_DIRECT(vcpu);
	save(vcpu, &s);
	*lapic_reg(&s, APIC_ISR + HIGH_VECTOR / 32 * 0x10) |= 1U << (HIGH_VECTOR + 1) % 32;
	load(vcpu, &s);
	TEST_ASSERT_STAGE(vcpu, 2);
	TEST_ASSERT_ORDINARY(vcpu, KVM_HPVM_REASON_ISR);
	TEST_ASSERT_STAGE(vcpu, 3);
	TEST_ASSERT_DIRECT(vcpu);
	finish(vcpu);
}

static void handle_nmi(struct ex_regs *regs)
{
}

static void guest_spin(void)
{
	guest_setup(APIC_LVT_TIMER_TSCDEADLINE);
	for (;;)
		GUEST_SYNC(1);
}

/* KVM_SET_LAPIC takes anything; the hardware must not get it. */
TEST(wild_state)
{
	static const struct {
		uint32_t reg, val;
		uint64_t reasons, timer_reasons;
	} wild[] = {
		{ APIC_ISR, 1U << 3, KVM_HPVM_REASON_ISR, 0 },
		{ APIC_ISR, ~0U, KVM_HPVM_REASON_ISR, 0 },
		{ APIC_IRR, 0xffff, 0, 0 },
		{ APIC_IRR, ~0U, 0, 0 },
		{ APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 2, 0, KVM_HPVM_TIMER_REASON_VECTOR },
		{ APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 18, 0, KVM_HPVM_TIMER_REASON_VECTOR },
		{ APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_DM_NMI | TIMER_VECTOR, 0, 0 },
		{ APIC_TDCR, ~0U, 0, 0 },
		{ APIC_TASKPRI, ~0U, 0, 0 },
		{ APIC_SPIV, APIC_SPIV_APIC_ENABLED | 2, 0, 0 },
		{ APIC_LVT1, APIC_DM_SMI, 0, 0 },
		{ APIC_LVTERR, APIC_DM_INIT, 0, 0 },
		{ APIC_ICR, APIC_DEST_ALLBUT | APIC_DM_NMI, 0, 0 },
	};
	struct kvm_vcpu *vcpu = create(guest_spin);
	struct saved good, s;
	struct kvm_hpvm_state state;
	uint64_t timer_reasons;
	int i, n;

	/* KVM's own timer honours a delivery mode in LVTT. */
	vm_install_exception_handler(vcpu->vm, NMI_VECTOR, handle_nmi);
	TEST_ASSERT_STAGE(vcpu, 1);
	save(vcpu, &good);
	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		s = good;
		*lapic_reg(&s, wild[i].reg) = wild[i].val;
		/* In the past: fires at once, if it's allowed to. */
		s.deadline = 1;
		load(vcpu, &s);
		for (n = 0; n < 3; n++)
			TEST_ASSERT_STAGE(vcpu, 1);
		state = hpvm_state(vcpu);
		TEST_ASSERT(state.reasons == wild[i].reasons,
			    "register %#x = %#x: reasons %#llx",
			    wild[i].reg, wild[i].val, state.reasons);
		timer_reasons = features & KVM_HPVM_F_TIMER_DEADLINE ?
				wild[i].timer_reasons : KVM_HPVM_TIMER_REASON_POLICY;
		if (!wild[i].reasons)
			TEST_ASSERT(state.timer_reasons == timer_reasons,
				    "register %#x = %#x: timer reasons %#llx",
				    wild[i].reg, wild[i].val, state.timer_reasons);
	}
	load(vcpu, &good);
	TEST_ASSERT_STAGE(vcpu, 1);
	TEST_ASSERT_DIRECT(vcpu);
	kvm_vm_free(vcpu->vm);
}

int main(int argc, char *argv[])
{
	features = kvm_check_cap(KVM_CAP_X86_HPVM);
	TEST_REQUIRE(features);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER));
	pcpu = hpvm_pcpu();
	__TEST_REQUIRE(pcpu > 0, "A CPU besides CPU 0 is needed");
	TEST_ASSERT(!hpvm_write_file(HPVM_HOST_PARAM, "auto"), HPVM_HOST_PARAM " can't be written");
	return test_harness_run(argc, argv);
}
