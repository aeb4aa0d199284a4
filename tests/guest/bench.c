/*
 * The microbenchmark: what timers, IPIs and a few MSRs cost, in ticks of the TSC. It's
 * a kernel of its own, so that it runs as a guest and on the bare machine alike. Words
 * of the command line:
 *
 *   cpus=N      use so many CPUs (1); those that need a second one are left out with 1
 *   rounds=N    so many samples of each (200, at most 10000)
 *   marks=N     after that make N events of each again, with marks around each one
 *               (mark.h), by which the host counts their exits
 *   turns       wait with PAUSE, which ends an emulated CPU's turn where they take turns
 *   wait        when all CPUs are up, and again before the marks, go on only when a
 *               character comes from the serial port; and leave the lab's emulator as fast
 *               as it is (see lab_exact())
 *   timers=N    afterwards, N timers between two marks, half of them in HLT
 *   ipis=N      afterwards, N IPIs to another CPU between two marks, half of them to HLT
 *   broadcasts=N  afterwards, N IPIs by shorthand between two marks, to all CPUs and to all
 *               but this one in turn, half of them to HLT
 *   soak        instead of all that, timers and IPIs until a character comes from the port
 *
 *   timer_arm        write IA32_TSC_DEADLINE, or where there is none the one-shot count
 *   timer_fire       from the deadline to the handler, while the CPU is busy
 *   hlt_wake_timer   the same, while it's in HLT
 *   self_ipi         from the write to SELF_IPI to the handler
 *   eoi              write EOI
 *   msr_write        write IA32_FS_BASE and IA32_KERNEL_GS_BASE, as a context switch does
 *   tsc_aux_write    write IA32_TSC_AUX, as a CPU that comes up does: KVM intercepts it
 *   cpuid_exit       CPUID, which exits under any hypervisor
 *   exit_in_service  the same, in an interrupt handler, before EOI
 *   exit_with_irq_pending  the same, with IRQs off and an interrupt that waits
 *   pio_exit         OUT to port 0x80, which is QEMU's to handle
 *   ipi_send         write the ICR: a fixed IPI to one CPU, physical destination
 *   ipi_deliver      from before that write to the handler on the other CPU, busy
 *   hlt_wake_ipi     the same, to a CPU in HLT
 *   ipi_round_trip   the other CPU's handler answers with an IPI: to that one's handler
 *   multicast_send   write the ICR: to all other CPUs of a cluster, logical destination
 *
 * Reading the TSC itself costs "empty", which is in each of them.
 */
#include "apic.h"
#include "samples.h"
#include "smp.h"

#define MSR_IA32_FS_BASE	0xc0000100
#define MSR_IA32_KERNEL_GS_BASE	0xc0000102
#define MSR_IA32_TSC_AUX	0xc0000103

#define PORT_SCRATCH		0x80

#define SOAK_TIMERS		16	/* to an IPI */
#define SOAK_POLL		(1 << 27)	/* ticks from one look at the serial port on */

#define SPREAD			10000	/* ticks */
#define GOLDEN			6180	/* of it */

#define VECTOR			0x40
#define BROADCAST_VECTOR	0x50
#define MAX_ROUNDS		10000
#define WARM_UP			10

static uint32_t samples[MAX_ROUNDS];
static uint32_t cpus, rounds, marked_rounds, ahead, spread;
static uint32_t timers, ipis, broadcasts;
static int marks, turns, waits, soaks;
/* The timer: its MSR, and without a deadline its counts in 2^20 ticks of the TSC. */
static uint32_t timer_msr, timer_counts;
static volatile uint32_t unexpected;

__attribute__((interrupt)) static void on_interrupt(void *frame)
{
	uint32_t now = rdtsc();
	struct cpu *me = this_cpu();

	(void)frame;
	if (me->reply)
		wrmsr(X2APIC_ICR, me->reply);
	me->stamp = now;
	me->state = FIRED;
}

/* Nobody waits for it to be acknowledged: one that came twice is counted twice. */
__attribute__((interrupt)) static void on_broadcast(void *frame)
{
	(void)frame;
	this_cpu()->broadcasts++;
	wrmsr(X2APIC_EOI, 0);
}

__attribute__((interrupt)) static void on_other(void *frame)
{
	(void)frame;
	unexpected++;
}

/*
 * From here on the lab's emulator lets the time pass after each instruction of all CPUs,
 * not after five. An exchange of BX with itself is nothing to a real machine.
 */
static void lab_exact(void)
{
	__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

static inline void end_turn(void)
{
	if (turns)
		__asm__ volatile("pause" : : : "memory");
}

static void await(struct cpu *cpu, enum state state, const char *what)
{
	uint64_t limit = rdtsc() + TIMEOUT;

	while (cpu->state != state) {
		if (rdtsc() > limit)
			fail(what);
		end_turn();
	}
}

/* STI takes effect after the next instruction: no interrupt is lost before HLT. */
static void halt_while_ready(struct cpu *me)
{
	__asm__ volatile("cli" : : : "memory");
	while (me->state == READY)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	__asm__ volatile("sti" : : : "memory");
}

static void acknowledge(void)
{
	wrmsr(X2APIC_EOI, 0);
	this_cpu()->state = READY;
}

/* Around the event whose exits are counted. */
static void event_begins(void)
{
	if (marks)
		mark(MARK_BEGIN);
}

static void event_ends(void)
{
	if (marks)
		mark(MARK_END);
}

/* --- The timer ---------------------------------------------------------------- */

/* In 2^24 ticks; what reading takes is in both readings. */
static uint32_t measure_counts(void)
{
	uint32_t first, start;

	wrmsr(X2APIC_TMICT, UINT32_MAX);
	start = rdtsc();
	first = rdmsr(X2APIC_TMCCT);
	while ((uint32_t)rdtsc() - start < 1 << 24)
		;
	return (first - (uint32_t)rdmsr(X2APIC_TMCCT)) >> 4;
}

static void set_up_timer(void)
{
	if (has_tsc_deadline()) {
		timer_msr = MSR_IA32_TSC_DEADLINE;
		wrmsr(X2APIC_LVTT, VECTOR | LVTT_DEADLINE);
		return;
	}
	timer_msr = X2APIC_TMICT;
	wrmsr(X2APIC_TDCR, TDCR_DIVIDE_BY_1);
	wrmsr(X2APIC_LVTT, VECTOR);
	timer_counts = measure_counts();
	wrmsr(timer_msr, 0);
}

/* What to write for the timer to fire at TSC @now + @ticks. */
static uint64_t timer_value(uint64_t now, uint32_t ticks)
{
	if (timer_msr == MSR_IA32_TSC_DEADLINE)
		return now + ticks;
	return (uint64_t)ticks * timer_counts >> 20;
}

/*
 * Returns when it fires, the lower half of the TSC then. What else the host does at its own times
 * is met at all of its stages alike: deadlines differ by up to @spread.
 */
static uint32_t arm(void)
{
	static uint32_t step;
	uint64_t now = rdtsc();
	uint32_t ticks = ahead + (spread ? (step += GOLDEN) % spread : 0);

	wrmsr(timer_msr, timer_value(now, ticks));
	return now + ticks;
}

/* --- One CPU: each function makes the event once, and returns its ticks. --- */

static uint32_t empty(void)
{
	uint32_t start = rdtsc();

	return (uint32_t)rdtsc() - start;
}

static uint32_t timer_arm(void)
{
	/* So far ahead that it never fires. */
	uint64_t value = timer_value(rdtsc(), 1u << 31);
	uint32_t msr = timer_msr, start, ticks;

	event_begins();
	start = rdtsc();
	wrmsr(msr, value);
	ticks = (uint32_t)rdtsc() - start;
	event_ends();
	wrmsr(msr, 0);
	return ticks;
}

static uint32_t timer_fire(void)
{
	struct cpu *me = this_cpu();
	uint32_t deadline = arm();

	event_begins();
	await(me, FIRED, "timer");
	event_ends();
	acknowledge();
	return me->stamp - deadline;
}

static uint32_t hlt_wake_timer(void)
{
	struct cpu *me = this_cpu();
	uint32_t deadline = arm();

	event_begins();
	halt_while_ready(me);
	event_ends();
	acknowledge();
	return me->stamp - deadline;
}

static uint32_t self_ipi(void)
{
	struct cpu *me = this_cpu();
	uint32_t start;

	event_begins();
	start = rdtsc();
	wrmsr(X2APIC_SELF_IPI, VECTOR);
	await(me, FIRED, "self-IPI");
	event_ends();
	acknowledge();
	return me->stamp - start;
}

static uint32_t eoi(void)
{
	struct cpu *me = this_cpu();
	uint32_t start, ticks;

	wrmsr(X2APIC_SELF_IPI, VECTOR);
	await(me, FIRED, "self-IPI");
	event_begins();
	start = rdtsc();
	wrmsr(X2APIC_EOI, 0);
	ticks = (uint32_t)rdtsc() - start;
	event_ends();
	me->state = READY;
	return ticks;
}

static uint32_t msr_write(void)
{
	uint32_t start, ticks;

	event_begins();
	start = rdtsc();
	wrmsr(MSR_IA32_FS_BASE, 0);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0);
	ticks = (uint32_t)rdtsc() - start;
	event_ends();
	return ticks;
}

static uint32_t tsc_aux_write(void)
{
	uint32_t start, ticks;

	event_begins();
	start = rdtsc();
	wrmsr(MSR_IA32_TSC_AUX, 0);
	ticks = (uint32_t)rdtsc() - start;
	event_ends();
	return ticks;
}

static uint32_t timed_cpuid(void)
{
	uint32_t eax = 0, ecx = 0, start = rdtsc();

	__asm__ volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx", "memory");
	return (uint32_t)rdtsc() - start;
}

static uint32_t cpuid_exit(void)
{
	uint32_t ticks;

	event_begins();
	ticks = timed_cpuid();
	event_ends();
	return ticks;
}

static uint32_t exit_in_service(void)
{
	uint32_t ticks;

	wrmsr(X2APIC_SELF_IPI, VECTOR);
	await(this_cpu(), FIRED, "self-IPI");
	event_begins();
	ticks = timed_cpuid();
	event_ends();
	acknowledge();
	return ticks;
}

static uint32_t exit_with_irq_pending(void)
{
	uint32_t ticks;

	__asm__ volatile("cli" : : : "memory");
	wrmsr(X2APIC_SELF_IPI, VECTOR);
	event_begins();
	ticks = timed_cpuid();
	event_ends();
	__asm__ volatile("sti" : : : "memory");
	await(this_cpu(), FIRED, "self-IPI");
	acknowledge();
	return ticks;
}

static uint32_t pio_exit(void)
{
	uint32_t start, ticks;

	event_begins();
	start = rdtsc();
	out8(PORT_SCRATCH, 0);
	ticks = (uint32_t)rdtsc() - start;
	event_ends();
	return ticks;
}

/* --- Several CPUs: the others wait in ap_c(). --- */

static uint64_t icr_to(struct cpu *target)
{
	return (uint64_t)target->id << 32 | ICR_ASSERT | VECTOR;
}

/* Let the CPU acknowledge its interrupt, and wait until it's ready for another one. */
static void release(struct cpu *target)
{
	await(target, FIRED, "IPI");
	target->state = RELEASED;
	await(target, READY, "EOI of another CPU");
}

struct sent {
	uint32_t start, ticks;
};

static struct sent send(uint64_t icr)
{
	struct sent sent;

	sent.start = rdtsc();
	wrmsr(X2APIC_ICR, icr);
	sent.ticks = (uint32_t)rdtsc() - sent.start;
	return sent;
}

static uint32_t ipi_send(void)
{
	struct sent sent;

	event_begins();
	sent = send(icr_to(cpu(1)));
	await(cpu(1), FIRED, "IPI");
	event_ends();
	release(cpu(1));
	return sent.ticks;
}

static uint32_t ipi_deliver(void)
{
	struct sent sent;

	event_begins();
	sent = send(icr_to(cpu(1)));
	await(cpu(1), FIRED, "IPI");
	event_ends();
	release(cpu(1));
	return cpu(1)->stamp - sent.start;
}

static uint32_t hlt_wake_ipi(void)
{
	struct sent sent;

	event_begins();
	cpu(1)->halt = 1;
	spin(ahead);
	sent = send(icr_to(cpu(1)));
	await(cpu(1), FIRED, "IPI to a CPU in HLT");
	event_ends();
	cpu(1)->halt = 0;
	release(cpu(1));
	return cpu(1)->stamp - sent.start;
}

static uint32_t ipi_round_trip(void)
{
	struct cpu *me = this_cpu();
	struct sent sent;

	cpu(1)->reply = icr_to(me);
	event_begins();
	sent = send(icr_to(cpu(1)));
	await(me, FIRED, "IPI in reply");
	event_ends();
	cpu(1)->reply = 0;
	acknowledge();
	release(cpu(1));
	return me->stamp - sent.start;
}

static int in_cluster_of_1(struct cpu *other)
{
	return other->logical_id >> 16 == cpu(1)->logical_id >> 16;
}

static uint32_t multicast_send(void)
{
	uint32_t others = 0, i;
	struct sent sent;

	for (i = 1; i < cpus; i++)
		if (in_cluster_of_1(cpu(i)))
			others |= cpu(i)->logical_id;
	event_begins();
	sent = send((uint64_t)others << 32 | ICR_LOGICAL | ICR_ASSERT | VECTOR);
	for (i = 1; i < cpus; i++)
		if (in_cluster_of_1(cpu(i)))
			await(cpu(i), FIRED, "multicast IPI");
	event_ends();
	for (i = 1; i < cpus; i++)
		if (in_cluster_of_1(cpu(i)))
			release(cpu(i));
	return sent.ticks;
}

static const struct {
	const char *name;
	uint32_t (*measure)(void);
	uint32_t cpus;			/* that it needs */
} sections[] = {
	{ "empty", empty, 1 },		/* no event */
	{ "timer_arm", timer_arm, 1 },
	{ "timer_fire", timer_fire, 1 },
	{ "hlt_wake_timer", hlt_wake_timer, 1 },
	{ "self_ipi", self_ipi, 1 },
	{ "eoi", eoi, 1 },
	{ "msr_write", msr_write, 1 },
	{ "tsc_aux_write", tsc_aux_write, 1 },
	{ "cpuid_exit", cpuid_exit, 1 },
	{ "exit_in_service", exit_in_service, 1 },
	{ "exit_with_irq_pending", exit_with_irq_pending, 1 },
	{ "pio_exit", pio_exit, 1 },
	{ "ipi_send", ipi_send, 2 },
	{ "ipi_deliver", ipi_deliver, 2 },
	{ "hlt_wake_ipi", hlt_wake_ipi, 2 },
	{ "ipi_round_trip", ipi_round_trip, 2 },
	{ "multicast_send", multicast_send, 2 },
};

static void run(uint32_t (*measure)(void), uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		samples[i] = measure();
}

static void run_all(void)
{
	uint32_t i;

	ahead = 50000;
	spread = SPREAD;
	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		if (sections[i].cpus > cpus)
			continue;
		run(sections[i].measure, WARM_UP);
		run(sections[i].measure, rounds);
		report(sections[i].name, samples, rounds);
	}
	spread = 0;
}

static void run_marked(void)
{
	uint32_t i;

	/* A mark is a slow exit, which must be over before the timer fires. */
	ahead = 200000;
	marks = 1;
	for (i = 1; i < ARRAY_SIZE(sections) && marked_rounds; i++) {
		if (sections[i].cpus > cpus)
			continue;
		run(sections[i].measure, marked_rounds);
		put_result("marked_", sections[i].name, marked_rounds);
	}
	marks = 0;
}

/* --- Many of one kind, which nothing interrupts, for the host to count --- */

static int has_input(void)
{
	return in8(COM1 + 5) & 1;
}

/* As quietly as it goes: the others in HLT, and this one between two looks. */
static void await_input(const char *what)
{
	uint32_t i;

	if (!waits)
		return;
	put_result(what, "", 1);
	for (i = 1; i < cpus; i++)
		cpu(i)->halt = 1;
	while (!has_input())
		hlt_wake_timer();
	in8(COM1);
	for (i = 1; i < cpus; i++) {
		cpu(i)->halt = 0;
		send(icr_to(cpu(i)));
		release(cpu(i));
	}
}

static void run_timers(void)
{
	uint32_t i;

	for (i = 0; i < WARM_UP; i++)
		hlt_wake_timer();
	mark(MARK_BEGIN);
	for (i = 0; i < timers; i++)
		if (i % 2)
			hlt_wake_timer();
		else
			timer_fire();
	mark(MARK_END);
	put_result("timers_fired", "", i);
	put_result("marked_", "timers", 1);
}

static void run_ipis(void)
{
	uint32_t i;

	for (i = 0; i < WARM_UP; i++)
		ipi_send();
	mark(MARK_BEGIN);
	for (i = 0; i < ipis; i++)
		if (i % 2)
			hlt_wake_ipi();
		else
			ipi_send();
	mark(MARK_END);
	put_result("ipis_sent", "", i);
	put_result("marked_", "ipis", 1);
}

static void await_broadcasts(struct cpu *target, uint32_t count)
{
	uint64_t limit = rdtsc() + TIMEOUT;

	while (target->broadcasts < count) {
		if (rdtsc() > limit)
			fail("broadcast");
		end_turn();
	}
}

/* Each second one is for this CPU, too. */
static void run_broadcasts(void)
{
	uint32_t last_id = 0, i, j;

	mark(MARK_BEGIN);
	for (i = 0; i < broadcasts; i++) {
		if (i == broadcasts / 2) {
			for (j = 1; j < cpus; j++)
				cpu(j)->halt = 1;
			spin(ahead);
		}
		wrmsr(X2APIC_ICR, (i % 2 ? ICR_ALL : ICR_ALL_BUT_SELF) | ICR_ASSERT |
				  BROADCAST_VECTOR);
		for (j = 1; j < cpus; j++)
			await_broadcasts(cpu(j), i + 1);
		await_broadcasts(this_cpu(), (i + 1) / 2);
	}
	mark(MARK_END);
	for (i = 1; i < cpus; i++) {
		cpu(i)->halt = 0;
		send(icr_to(cpu(i)));
		release(cpu(i));
	}
	if (this_cpu()->broadcasts != broadcasts / 2)
		fail("broadcasts to this CPU");
	for (i = 1; i < cpus; i++) {
		if (cpu(i)->broadcasts != broadcasts)
			fail("broadcasts that came twice");
		if (cpu(i)->id > last_id)
			last_id = cpu(i)->id;
	}
	put_result("last_apic_id", "", last_id);
	put_result("broadcasts_arrived", "", broadcasts);
}

/* One that is lost ends it: in await(), or by the host's patience with this program in HLT. */
static void soak(void)
{
	uint32_t fired = 0, sent = 0;
	int32_t late, latest = 0;
	uint64_t next = rdtsc() + SOAK_POLL;

	put_result("soaking", "", 1);
	for (;;) {
		late = fired % 2 ? hlt_wake_timer() : timer_fire();
		if (late > latest)
			latest = late;
		if (cpus > 1 && fired % SOAK_TIMERS == 0) {
			cpu(1)->halt = sent / 64 % 2 == 0;
			ipi_round_trip();
			sent += 2;
		}
		fired++;
		if (rdtsc() < next)
			continue;
		next += SOAK_POLL;
		if (has_input())
			break;
	}
	put_result("soak_timers", "", fired);
	put_result("soak_ipis", "", sent);
	put_result("soak_latest", "", latest);
}

void ap_c(struct cpu *me)
{
	set_up_cpu();
	me->id = rdmsr(X2APIC_ID);
	me->logical_id = rdmsr(X2APIC_LDR);
	me->up = 1;
	__asm__ volatile("sti" : : : "memory");
	for (;;) {
		while (me->state == READY) {
			if (me->halt)
				halt_while_ready(me);
			end_turn();
		}
		while (me->state != RELEASED)
			end_turn();
		acknowledge();
	}
}

static void first_cpu(void)
{
	this_cpu()->id = rdmsr(X2APIC_ID);
	set_up_timer();
	__asm__ volatile("sti" : : : "memory");
	if (cpus > 1)
		start_others(cpus);
	ahead = 200000;
	await_input("ready");
	if (soaks) {
		soak();
	} else {
		run_all();
		await_input("measured");
		run_marked();
		if (timers)
			run_timers();
		if (ipis)
			run_ipis();
		if (broadcasts)
			run_broadcasts();
	}
	put_result("unexpected", "", unexpected);
	put_result("done", "", 1);
	end();
}

void start_c(const char *cmdline);
void start_c(const char *cmdline)
{
	waits = word(cmdline, "wait") != 0;
	if (!waits)
		lab_exact();
	set_up_serial();
	put_result("started", "", 1);
	cpus = number(cmdline, "cpus=", 1);
	rounds = number(cmdline, "rounds=", 200);
	marked_rounds = number(cmdline, "marks=", 0);
	timers = number(cmdline, "timers=", 0);
	ipis = number(cmdline, "ipis=", 0);
	broadcasts = number(cmdline, "broadcasts=", 0);
	turns = word(cmdline, "turns") != 0;
	soaks = word(cmdline, "soak") != 0;
	if (!cpus || cpus > MAX_CPUS || ((ipis || broadcasts) && cpus < 2) || !rounds ||
	    rounds > MAX_ROUNDS || marked_rounds > MAX_ROUNDS)
		fail("a number that is out of range");
	set_up(on_other);
	gate(VECTOR, on_interrupt);
	gate(BROADCAST_VECTOR, on_broadcast);
	on_own_stack(first_cpu);
}
