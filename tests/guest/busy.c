/*
 * The Linux guests' work beside the timers: what a migration mustn't disturb. A message goes
 * around the CPUs, each of which finds that its clocks aren't behind those of the CPU before,
 * and that its memory holds what it has written there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#define PAGE		4096
#define PAGES_A_TURN	16
#define MAX_CPUS	64

struct message {
	uint64_t tsc, ns;
};

static struct cpu {
	int in, out;
	/* The first word of a page says how often it has been written. */
	char *memory;
	unsigned long pages, turns;
} cpus[MAX_CPUS];

/* Of the first CPU, at each of its turns. */
static struct timespec rest;

static struct message now(void)
{
	struct message m;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	m.ns = t.tv_sec * 1000000000ULL + t.tv_nsec;
	__asm__ volatile("lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax"
			 : "=a"(m.tsc) : : "rdx", "memory");
	return m;
}

static void rewrite(struct cpu *cpu)
{
	unsigned long n, i;
	unsigned long *page;

	for (i = 0; i < PAGES_A_TURN; i++) {
		n = cpu->turns * PAGES_A_TURN + i;
		page = (unsigned long *)(cpu->memory + n % cpu->pages * PAGE);
		if (*page != n / cpu->pages)
			fail("memory that isn't what was written");
		++*page;
	}
}

static void *pass(void *arg)
{
	struct cpu *cpu = arg;
	struct message then, m;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu - cpus, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
	while (read(cpu->in, &then, sizeof(then)) == sizeof(then)) {
		m = now();
		if (m.tsc < then.tsc)
			fail("a TSC that went back");
		if (m.ns < then.ns)
			fail("a clock that went back");
		rewrite(cpu);
		cpu->turns++;
		if (cpu == cpus && rest.tv_nsec)
			nanosleep(&rest, NULL);
		m = now();
		if (write(cpu->out, &m, sizeof(m)) != sizeof(m))
			fail("write of the message");
	}
	fail("read of the message");
	return NULL;
}

/* With so many MiB, for all CPUs together. */
void start_busy(long mib, long rest_ns)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN), i;
	struct message m = now();
	pthread_t thread;
	int ends[2];

	if (!mib)
		return;
	rest.tv_nsec = rest_ns;
	if (count > MAX_CPUS)
		count = MAX_CPUS;
	for (i = 0; i < count; i++) {
		if (pipe(ends))
			fail("pipe");
		cpus[i].in = ends[0];
		cpus[(i + count - 1) % count].out = ends[1];
		cpus[i].pages = (mib << 20) / PAGE / count;
		cpus[i].memory = mmap(NULL, cpus[i].pages * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (cpus[i].memory == MAP_FAILED)
			fail("mmap");
	}
	for (i = 0; i < count; i++) {
		if (pthread_create(&thread, NULL, pass, &cpus[i]))
			fail("pthread_create");
	}
	if (write(cpus[0].out, &m, sizeof(m)) != sizeof(m))
		fail("write of the message");
}

void report_busy(void)
{
	if (cpus[0].memory)
		printf("hpvm: rounds=%lu\n", cpus[0].turns);
}
