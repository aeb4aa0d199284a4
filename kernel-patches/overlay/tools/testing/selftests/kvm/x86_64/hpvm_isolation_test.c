// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host still does on a CPU whose local APIC a guest has (KVM_CAP_X86_HPVM).
 *
 * Its timers; none is lost, and none late by more than a tick:
 *
 * - Pinned timers of the kernel: the clock of a software event of perf, which takes a
 *   sample each time it fires.
 * - Timers of threads that may run on this CPU only.
 * - The vCPU thread's own ones, by the clock and by its CPU time.
 *
 * Its IPIs come as NMIs, and their work is done: the scheduler's, calls of one function
 * on one CPU and on several, TLB shootdowns, irq_work and the host's timers, and tasks
 * wake that one meets going idle. That the CPU stops when the host does is for tests of
 * whole hosts.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include <asm/barrier.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>

#include "kvm_test_harness.h"
#include "hpvm.h"

#define PERIOD_NS	10000000LL
#define NR_PERIODS	30
#define NR_IPIS		20
/* Of perf's ring buffer, besides the one that describes it; a power of 2. */
#define RING_PAGES	8

static uint64_t features;
static int pcpu;
static long page_size;
static int64_t tick_ns;

static void handle_eoi(struct ex_regs *regs)
{
	guest_eoi();
}

/* Counted by the guest. */
static uint64_t rounds;

/* Has interrupts on and its timer armed, and never leaves. */
static void guest_code(void)
{
	guest_x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | TIMER_VECTOR);
	GUEST_SYNC(0);
	for (;;) {
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 1000);
		guest_open(1000);
		WRITE_ONCE(rounds, rounds + 1);
	}
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	TEST_ASSERT(!clock_gettime(clock, &t), "clock_gettime(%d)", clock);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec) { ns / 1000000000, ns % 1000000000 };
}

static void sleep_until(int64_t ns)
{
	struct timespec t = timespec_of(ns);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* --- A vCPU in direct mode ------------------------------------------------- */

struct runner {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	pid_t tid;
	clockid_t cpu_clock;
	bool stop;
	/* When the first signal came, by the clock and the thread's CPU time. */
	bool signalled;
	int64_t at_ns;
	int64_t at_cpu_ns;
};

static __thread struct runner *self;

static void handle_signal(int sig)
{
	if (!self->signalled) {
		self->at_ns = now_ns(CLOCK_MONOTONIC);
		self->at_cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
		WRITE_ONCE(self->signalled, true);
	}
	/* Also when it comes before KVM_RUN. */
	self->vcpu->run->immediate_exit = 1;
}

static void *run_vcpu(void *arg)
{
	struct runner *r = arg;

	self = r;
	kvm_pin_this_task_to_pcpu(pcpu);
	TEST_ASSERT(!pthread_getcpuclockid(pthread_self(), &r->cpu_clock), "CPU clock");
	WRITE_ONCE(r->tid, syscall(SYS_gettid));
	while (!READ_ONCE(r->stop)) {
		TEST_ASSERT(__vcpu_run(r->vcpu) && errno == EINTR,
			    "The guest left with exit reason %u, error %d",
			    r->vcpu->run->exit_reason, errno);
		r->vcpu->run->immediate_exit = 0;
	}
	return NULL;
}

/* Returns while the guest runs, in direct mode. */
static void start(struct runner *r)
{
	struct sigaction sa = { .sa_handler = handle_signal };
	struct kvm_vcpu *vcpu = hpvm_vm_create(guest_code, features);
	uint64_t *running = addr_gva2hva(vcpu->vm, (vm_vaddr_t)&rounds);
	int i;

	memset(r, 0, sizeof(*r));
	r->vcpu = vcpu;
	sigaction(SIGUSR1, &sa, NULL);
	for (i = 32; i < 256; i++)
		vm_install_exception_handler(vcpu->vm, i, handle_eoi);
	kvm_pin_this_task_to_pcpu(pcpu);
	hpvm_bind(vcpu, pcpu);
	TEST_ASSERT_STAGE(vcpu, 0);
	TEST_ASSERT_DIRECT(vcpu);
	kvm_pin_this_task_to_pcpu(0);
	TEST_ASSERT(!pthread_create(&r->thread, NULL, run_vcpu, r), "pthread_create()");
	while (!READ_ONCE(*running))
		sched_yield();
	sleep_until(now_ns(CLOCK_MONOTONIC) + PERIOD_NS);
}

/* It was direct to the end. */
static void finish(struct runner *r)
{
	WRITE_ONCE(r->stop, true);
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
	TEST_ASSERT_DIRECT(r->vcpu);
	TEST_ASSERT(!hpvm_vcpu_stat(r->vcpu, "hpvm_direct_leaves"), "It was ordinary meanwhile");
	kvm_vm_free(r->vcpu->vm);
}

/* --- Pinned timers of the kernel ------------------------------------------- */

struct sampler {
	int fd;
	struct perf_event_mmap_page *ring;
};

static void sampler_start(struct sampler *s)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_TIME,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		/* No reader to wake. */
		.watermark = 1,
		.wakeup_watermark = RING_PAGES * page_size,
	};

	s->fd = syscall(SYS_perf_event_open, &attr, -1, pcpu, -1, 0);
	TEST_ASSERT(s->fd >= 0, "perf_event_open(): error %d", errno);
	s->ring = mmap(NULL, (1 + RING_PAGES) * page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       s->fd, 0);
	TEST_ASSERT(s->ring != MAP_FAILED, "The samples can't be mapped: error %d", errno);
}

/*
 * From @begin to @end each period has a sample, and none is late by a tick, against the
 * earliest. The timer is advanced by whole periods: one that is lost leaves a gap.
 */
static void sampler_check(struct sampler *s, int64_t begin, int64_t end)
{
	struct { struct perf_event_header header; uint64_t time; } *sample;
	int64_t first = 0, offset, earliest = 0, latest = 0;
	uint64_t at, head;
	int n = 0;

	ioctl(s->fd, PERF_EVENT_IOC_DISABLE, 0);
	/* The samples before it are written before it is. */
	head = smp_load_acquire(&s->ring->data_head);
	for (at = 0; at < head; at += sample->header.size) {
		sample = (void *)s->ring + page_size + at;
		TEST_ASSERT(sample->header.type == PERF_RECORD_SAMPLE,
			    "perf has lost samples: record %u", sample->header.type);
		if ((int64_t)sample->time < begin)
			continue;
		if (!n)
			first = sample->time;
		offset = sample->time - (first + n * PERIOD_NS);
		earliest = min(offset, earliest);
		latest = max(offset, latest);
		TEST_ASSERT(latest - earliest < tick_ns,
			    "Sample %d is late by %ld ns, a tick is %ld", n,
			    latest - earliest, tick_ns);
		n++;
	}
	TEST_ASSERT(n && first - begin < PERIOD_NS + tick_ns, "No sample came at first");
	TEST_ASSERT(end - (first + (n - 1) * PERIOD_NS) < PERIOD_NS + tick_ns,
		    "No sample came at last, only %d", n);
	pr_info("%d samples, the latest late by %ld us\n", n, (latest - earliest) / 1000);
	munmap(s->ring, (1 + RING_PAGES) * page_size);
	close(s->fd);
}

/* Begun before the CPU is taken, ended when it has been given back. */
TEST(pinned_timer_around)
{
	int64_t begin = now_ns(CLOCK_MONOTONIC), end;
	struct sampler s;
	struct runner r;

	sampler_start(&s);
	start(&r);
	sleep_until(begin + NR_PERIODS * PERIOD_NS);
	finish(&r);
	end = now_ns(CLOCK_MONOTONIC) + 3 * PERIOD_NS;
	sleep_until(end);
	sampler_check(&s, begin, end);
}

/* Begun and ended while the guest runs. */
TEST(pinned_timer_within)
{
	int64_t begin, end;
	struct sampler s;
	struct runner r;

	start(&r);
	begin = now_ns(CLOCK_MONOTONIC);
	sampler_start(&s);
	end = begin + NR_PERIODS * PERIOD_NS;
	sleep_until(end);
	sampler_check(&s, begin, end);
	finish(&r);
}

/* --- Timers of threads ------------------------------------------------------ */

/* Before the vCPU's thread, so that it's the timer that is measured. */
static void *sleep_often(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	int64_t next, *latest = arg, late;
	int i;

	kvm_pin_this_task_to_pcpu(pcpu);
	TEST_ASSERT(!pthread_setschedparam(pthread_self(), SCHED_FIFO, &param),
		    "SCHED_FIFO isn't allowed");
	next = now_ns(CLOCK_MONOTONIC);
	for (i = 0; i < NR_PERIODS; i++) {
		next += PERIOD_NS;
		sleep_until(next);
		late = now_ns(CLOCK_MONOTONIC) - next;
		*latest = late > *latest ? late : *latest;
	}
	return NULL;
}

TEST(thread_of_the_cpu)
{
	int64_t latest = 0;
	pthread_t thread;
	struct runner r;

	start(&r);
	TEST_ASSERT(!pthread_create(&thread, NULL, sleep_often, &latest), "pthread_create()");
	pthread_join(thread, NULL);
	finish(&r);
	pr_info("%d times woken, at the latest late by %ld us\n", NR_PERIODS, latest / 1000);
	EXPECT_LT(latest, tick_ns);
}

/* A signal for the vCPU's thread, once its clock has come so far. */
static void arm(struct runner *r, clockid_t clock, int64_t ns)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = r->tid,
	};
	struct itimerspec its = { .it_value = timespec_of(ns) };
	timer_t timer;

	TEST_ASSERT(!timer_create(clock, &event, &timer), "timer_create(): error %d", errno);
	TEST_ASSERT(!timer_settime(timer, TIMER_ABSTIME, &its, NULL), "timer_settime()");
	while (!READ_ONCE(r->signalled)) {
		TEST_ASSERT(now_ns(clock) < ns + 1000000000LL, "The timer is lost");
		sleep_until(now_ns(CLOCK_MONOTONIC) + PERIOD_NS / 10);
	}
	timer_delete(timer);
}

TEST(vcpu_thread_timer)
{
	struct runner r;
	int64_t at;

	start(&r);
	at = now_ns(CLOCK_MONOTONIC) + 5 * PERIOD_NS;
	arm(&r, CLOCK_MONOTONIC, at);
	finish(&r);
	pr_info("late by %ld us\n", (r.at_ns - at) / 1000);
	EXPECT_LT(r.at_ns - at, tick_ns);
	EXPECT_GE(r.at_ns - at, 0);
}

/*
 * It needs the tick, which isn't there until it's armed: the kernel looks at CPU time at
 * ticks only, so the signal may come one tick after the time has passed.
 */
TEST(vcpu_thread_cpu_time)
{
	struct runner r;
	int64_t at;

	start(&r);
	at = now_ns(r.cpu_clock) + 5 * PERIOD_NS;
	arm(&r, r.cpu_clock, at);
	finish(&r);
	pr_info("late by %ld us\n", (r.at_cpu_ns - at) / 1000);
	EXPECT_LT(r.at_cpu_ns - at, 2 * tick_ns);
	EXPECT_GE(r.at_cpu_ns - at, 0);
}

/* --- IPIs -------------------------------------------------------------------- */

/* What /sys/kernel/debug/hpvm/@file says of @wanted. */
static uint64_t hpvm_file(const char *file, const char *wanted)
{
	char path[64], name[64], value[64];
	uint64_t n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/hpvm/%s", file);
	f = fopen(path, "r");
	TEST_ASSERT(f, "%s: error %d", path, errno);
	while (fscanf(f, "%63s %63s", name, value) == 2)
		if (!strcmp(name, wanted))
			n = strtoull(value, NULL, 0);
	fclose(f);
	TEST_ASSERT(n != (uint64_t)-1, "%s: no %s", path, wanted);
	return n;
}

/* A counter of the dedicated CPU. */
static uint64_t count(const char *wanted)
{
	char file[16];

	snprintf(file, sizeof(file), "cpu%d", pcpu);
	return hpvm_file(file, wanted);
}

/* Until the counter is at least @value. */
static void await_count(const char *name, uint64_t value)
{
	int64_t limit = now_ns(CLOCK_MONOTONIC) + 1000000000LL;
	uint64_t now;

	while ((now = count(name)) < value)
		TEST_ASSERT(now_ns(CLOCK_MONOTONIC) < limit, "%s is still %ld, not %ld", name,
			    now, value);
}

/*
 * Each time that @cause is called, the CPU does its work, told by an NMI of this kind.
 * One that meets work which is on its way already has no NMI of its own: again.
 */
static void check_ipis(const char *kind, void (*cause)(struct runner *r))
{
	uint64_t sent, handled;
	struct runner r;
	int64_t limit;
	int i;

	start(&r);
	for (i = 0; i < NR_IPIS; i++) {
		sent = count(kind);
		handled = count("doorbells");
		limit = now_ns(CLOCK_MONOTONIC) + 1000000000LL;
		do {
			TEST_ASSERT(now_ns(CLOCK_MONOTONIC) < limit, "%s is still %ld", kind, sent);
			cause(&r);
		} while (count(kind) == sent);
		await_count("doorbells", handled + 1);
	}
	finish(&r);
}

/* A task that runs there becomes less important: the scheduler is to look again. */
static void cause_reschedule(struct runner *r)
{
	struct sched_param fifo = { .sched_priority = 1 }, other = {};

	TEST_ASSERT(!sched_setscheduler(r->tid, SCHED_FIFO, &fifo), "SCHED_FIFO isn't allowed");
	TEST_ASSERT(!sched_setscheduler(r->tid, SCHED_OTHER, &other), "SCHED_OTHER");
}

TEST(reschedule)
{
	check_ipis("nmi_reschedule", cause_reschedule);
}

/* On each other CPU that runs a thread of this process. */
static void cause_call(struct runner *r)
{
	TEST_ASSERT(!syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0),
		    "membarrier(): error %d", errno);
}

static void may_call(void)
{
	TEST_ASSERT(!syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0),
		    "membarrier(): error %d", errno);
}

TEST(call_function_single)
{
	may_call();
	check_ipis("nmi_call_function_single", cause_call);
}

static void *spin_on_cpu1(void *stop)
{
	kvm_pin_this_task_to_pcpu(1);
	while (!READ_ONCE(*(bool *)stop))
		;
	return NULL;
}

TEST(call_function)
{
	bool stop = false;
	pthread_t thread;

	if (pcpu < 2)
		SKIP(return, "CPUs 0, 1 and another one are needed");
	may_call();
	TEST_ASSERT(!pthread_create(&thread, NULL, spin_on_cpu1, &stop), "pthread_create()");
	check_ipis("nmi_call_function", cause_call);
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
}

/* Of this process, whose address space the vCPU's CPU has loaded. */
static void cause_tlb_shootdown(struct runner *r)
{
	char *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(page != MAP_FAILED, "mmap(): error %d", errno);
	WRITE_ONCE(*page, 1);
	munmap(page, page_size);
}

/* /proc/interrupts: how many TLB shootdowns the CPU, the last one online, has handled. */
static uint64_t tlb_shootdowns(void)
{
	char line[4096], *at = NULL, *end;
	uint64_t n, last = 0;
	FILE *file;

	file = fopen("/proc/interrupts", "r");
	TEST_ASSERT(file, "/proc/interrupts: error %d", errno);
	while (!at && fgets(line, sizeof(line), file))
		at = strstr(line, "TLB:");
	fclose(file);
	TEST_ASSERT(at, "/proc/interrupts has no TLB shootdowns");
	at += strlen("TLB:");
	for (n = strtoull(at, &end, 10); end != at; n = strtoull(at, &end, 10)) {
		last = n;
		at = end;
	}
	return last;
}

TEST(tlb_shootdown)
{
	uint64_t before = tlb_shootdowns();

	check_ipis("nmi_call_function_single", cause_tlb_shootdown);
	EXPECT_GE(tlb_shootdowns() - before, NR_IPIS);
}

/* Until no timer of the host has fired there for a while. */
static void await_quiet(void)
{
	int64_t limit = now_ns(CLOCK_MONOTONIC) + 1000000000LL;
	uint64_t events;

	do {
		TEST_ASSERT(now_ns(CLOCK_MONOTONIC) < limit, "The tick doesn't stop");
		events = count("timer_events");
		sleep_until(now_ns(CLOCK_MONOTONIC) + 5 * PERIOD_NS);
	} while (count("timer_events") != events);
}

/*
 * A limit of CPU time needs ticks. The running tasks' CPUs are kicked for that, by
 * irq_work; without it none would come.
 */
TEST(irq_work_and_ticks)
{
	struct rlimit limit = { .rlim_cur = 3600, .rlim_max = RLIM_INFINITY };
	uint64_t ticks, timer_nmis;
	struct runner r;

	if (!hpvm_file("host", "isolation"))
		SKIP(return, "The kernel can't stop the tick at run time");
	start(&r);
	await_quiet();
	ticks = count("timer_events");
	timer_nmis = count("nmi_timer");
	TEST_ASSERT(!setrlimit(RLIMIT_CPU, &limit), "setrlimit(): error %d", errno);
	await_count("timer_events", ticks + 10);
	await_count("nmi_timer", timer_nmis + 10);
	finish(&r);
}

/* --- Going idle ---------------------------------------------------------------- */

/* What is added to the event. */
#define WAKE		1
#define WAKE_LAST	2

struct sleeper {
	int event;
	uint64_t woken;
};

static void *sleep_on_event(void *arg)
{
	struct sleeper *s = arg;
	uint64_t n;

	kvm_pin_this_task_to_pcpu(pcpu);
	do {
		TEST_ASSERT(read(s->event, &n, sizeof(n)) == sizeof(n), "eventfd: error %d", errno);
		WRITE_ONCE(s->woken, s->woken + 1);
	} while (n != WAKE_LAST);
	return NULL;
}

/*
 * A task is woken while its CPU goes idle, at each moment of that: there's one between
 * STI and HLT.
 */
TEST(wakeup)
{
	struct kvm_vcpu *vcpu = hpvm_vm_create(guest_code, features);
	int64_t end = now_ns(CLOCK_MONOTONIC) + 500 * PERIOD_NS, limit;
	struct sleeper s = { .event = eventfd(0, 0) };
	uint64_t i, spins;
	pthread_t thread;

	TEST_ASSERT(s.event >= 0, "eventfd: error %d", errno);
	hpvm_bind(vcpu, pcpu);
	kvm_pin_this_task_to_pcpu(0);
	TEST_ASSERT(!pthread_create(&thread, NULL, sleep_on_event, &s), "pthread_create()");
	for (i = 0; now_ns(CLOCK_MONOTONIC) < end; i++) {
		for (spins = i * 7 % 20000; spins; spins--)
			barrier();
		limit = now_ns(CLOCK_MONOTONIC) + 5000000000LL;
		eventfd_write(s.event, WAKE);
		while (READ_ONCE(s.woken) == i)
			TEST_ASSERT(now_ns(CLOCK_MONOTONIC) < limit, "Wake-up %ld is lost", i);
	}
	eventfd_write(s.event, WAKE_LAST);
	pthread_join(thread, NULL);
	pr_info("%ld times woken\n", i);
	close(s.event);
	kvm_vm_free(vcpu->vm);
}

int main(int argc, char *argv[])
{
	struct timespec tick;

	features = kvm_check_cap(KVM_CAP_X86_HPVM);
	TEST_REQUIRE(features);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER));
	pcpu = hpvm_pcpu();
	__TEST_REQUIRE(pcpu > 0, "A CPU besides CPU 0 is needed");
	page_size = sysconf(_SC_PAGESIZE);
	/* The clock that only ticks advance. */
	TEST_ASSERT(!clock_getres(CLOCK_MONOTONIC_COARSE, &tick), "clock_getres()");
	tick_ns = tick.tv_nsec;
	return test_harness_run(argc, argv);
}
