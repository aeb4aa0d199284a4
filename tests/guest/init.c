/*
 * PID 1 of the Linux guests. The kernel's command line says what to do:
 *
 *   hpvm.timers=N       sleep N times until the next multiple of the period
 *   hpvm.period_us=N    the period, in microseconds (1000)
 *   hpvm.settle_ms=N    be idle so long before the interval begins (500)
 *   hpvm.messages=N     pass N messages around a ring of threads, one on each CPU,
 *                       each of which changes the page tables now and then
 *   hpvm.cpu_cycles=N   before that, take each CPU but the first off and on N times
 *   hpvm.serial=N       write N lines to the PCI serial port, whose interrupt is
 *                       a level-triggered one
 *
 * The work is done between two marks (mark.h). The results are lines
 * "hpvm: NAME=VALUE" on the console; then the guest reboots, which ends QEMU when
 * it runs with -no-reboot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"

#define NSEC_PER_SEC	1000000000L

static char cmdline[4096];

static void end(void)
{
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	printf("hpvm: failed=%s: %s\n", what, strerror(errno));
	end();
}

static long parameter(const char *name, long otherwise)
{
	size_t length = strlen(name);
	const char *p;

	for (p = cmdline; (p = strstr(p, name)); p += length) {
		if ((p == cmdline || p[-1] == ' ') && p[length] == '=')
			return strtol(p + length + 1, NULL, 0);
	}
	return otherwise;
}

/* Reads the file as a string, at most size - 1 bytes. */
static void slurp(const char *path, char *text, size_t size)
{
	size_t have = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	while (have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0)
		have += n;
	text[have] = '\0';
	close(fd);
}

/* The sum over the CPUs of one line of /proc/interrupts, or -1. */
static long interrupts(const char *name)
{
	static char text[65536];
	char label[32];
	char *p, *next;
	long sum = 0, n;

	slurp("/proc/interrupts", text, sizeof(text));
	snprintf(label, sizeof(label), "\n%s:", name);
	p = strstr(text, label);
	if (!p)
		return -1;
	for (p += strlen(label); ; p = next) {
		n = strtol(p, &next, 10);
		if (next == p)
			return sum;
		sum += n;
	}
}

static long since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * NSEC_PER_SEC + now.tv_nsec - from->tv_nsec;
}

static void later(struct timespec *t, long nsec)
{
	t->tv_nsec += nsec;
	while (t->tv_nsec >= NSEC_PER_SEC) {
		t->tv_nsec -= NSEC_PER_SEC;
		t->tv_sec++;
	}
}

/*
 * One wake-up at each multiple of the period. A multiple that has already passed
 * when its turn comes is not slept for and not counted as fired.
 */
static void timers(long count, long period)
{
	struct timespec start, next;
	long fired = 0, missed = 0, worst = 0, late, i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	next = start;
	for (i = 0; i < count; i++) {
		later(&next, period);
		if (since(&next) >= 0) {
			missed++;
			continue;
		}
		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL))
			fail("clock_nanosleep");
		late = since(&next);
		if (late < 0)
			fail("a timer that fired early");
		if (late > worst)
			worst = late;
		fired++;
	}
	mark(MARK_END);
	printf("hpvm: timers_fired=%ld\nhpvm: timers_missed=%ld\n", fired, missed);
	printf("hpvm: worst_late_us=%ld\nhpvm: elapsed_us=%ld\n", worst / 1000,
	       since(&start) / 1000);
}

/* The PCI card's port: the only one that works besides the console's, ttyS0. */
static void find_serial(char *name, size_t size)
{
	static char text[8192];
	const char *p;
	int line, matched;

	slurp("/proc/tty/driver/serial", text, sizeof(text));
	for (p = strchr(text, '\n'); p; p = strchr(p + 1, '\n')) {
		matched = 0;
		if (sscanf(p, "\n%d: uart:16550A%n", &line, &matched) == 1 &&
		    matched && line > 0) {
			snprintf(name, size, "/dev/ttyS%d", line);
			return;
		}
	}
	errno = ENODEV;
	fail("the PCI serial port");
}

static void serial(long lines)
{
	static const char line[] = "a line that needs several level-triggered interrupts\r\n";
	char name[32];
	long i;
	int fd;

	find_serial(name, sizeof(name));
	fd = open(name, O_WRONLY | O_NOCTTY);
	if (fd < 0)
		fail(name);
	for (i = 0; i < lines; i++) {
		if (write(fd, line, sizeof(line) - 1) != sizeof(line) - 1)
			fail("write to the serial port");
	}
	/* Returns when the last byte has left the port. */
	close(fd);
	mark(MARK_END);
	printf("hpvm: serial_lines=%ld\n", lines);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail(path);
	close(fd);
}

static void cycle_cpus(long cycles)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu, i;
	char path[64];

	mkdir("/sys", 0555);
	if (mount("sys", "/sys", "sysfs", 0, NULL))
		fail("mount /sys");
	for (i = 0; i < cycles; i++) {
		for (cpu = 1; cpu < cpus; cpu++) {
			snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/online", cpu);
			write_file(path, "0");
			write_file(path, "1");
		}
	}
	printf("hpvm: cpu_cycles=%ld\n", cycles);
}

#define MAX_CPUS	64
#define SHOOTDOWN_EVERY	32	/* messages */

struct worker {
	int cpu, in, out;
	long messages;
	char *page;
};

/*
 * Passes on what comes. A message for a sleeping thread is an interrupt from one CPU
 * to another; a page that loses its right to be written is one to all of them.
 */
static void *work(void *arg)
{
	struct worker *w = arg;
	cpu_set_t set;
	char byte;
	long i;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
	for (i = 0; i < w->messages; i++) {
		if (read(w->in, &byte, 1) != 1)
			fail("read from the ring");
		if (i % SHOOTDOWN_EVERY == 0) {
			*w->page = 0;
			if (mprotect(w->page, 4096, PROT_READ) ||
			    mprotect(w->page, 4096, PROT_READ | PROT_WRITE))
				fail("mprotect");
		}
		if (write(w->out, &byte, 1) != 1)
			fail("write to the ring");
	}
	return NULL;
}

/* Half as many messages under way as there are CPUs, so that some of them idle. */
static void messages(long count)
{
	static struct worker workers[MAX_CPUS];
	static pthread_t threads[MAX_CPUS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), i;
	int ends[2];

	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	for (i = 0; i < cpus; i++) {
		if (pipe(ends))
			fail("pipe");
		workers[i].cpu = i;
		workers[i].in = ends[0];
		workers[(i + cpus - 1) % cpus].out = ends[1];
		workers[i].messages = count / cpus;
		workers[i].page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (workers[i].page == MAP_FAILED)
			fail("mmap");
	}
	for (i = 0; i < cpus; i++) {
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			fail("pthread_create");
	}
	for (i = 0; i < cpus; i += 2) {
		if (write(workers[i].out, "", 1) != 1)
			fail("write to the ring");
	}
	for (i = 0; i < cpus; i++)
		pthread_join(threads[i], NULL);
	mark(MARK_END);
	printf("hpvm: cpus=%ld\nhpvm: messages=%ld\n", cpus, count / cpus * cpus);
	printf("hpvm: res=%ld\nhpvm: cal=%ld\nhpvm: tlb=%ld\n", interrupts("RES"),
	       interrupts("CAL"), interrupts("TLB"));
}

int main(void)
{
	struct timespec settle = { 0 }, now;
	long count, lines, passed, loc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("mount /proc");
	mkdir("/dev", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL))
		fail("mount /dev");
	slurp("/proc/cmdline", cmdline, sizeof(cmdline));
	if (ioperm(MARK_PORT, 1, 1))
		fail("ioperm");

	count = parameter("hpvm.timers", 0);
	lines = parameter("hpvm.serial", 0);
	passed = parameter("hpvm.messages", 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("hpvm: ready_after_ms=%ld\n", now.tv_sec * 1000 + now.tv_nsec / 1000000);
	later(&settle, parameter("hpvm.settle_ms", 500) * 1000000);
	nanosleep(&settle, NULL);
	if (parameter("hpvm.cpu_cycles", 0))
		cycle_cpus(parameter("hpvm.cpu_cycles", 0));

	loc = interrupts("LOC");
	mark(MARK_BEGIN);
	if (lines)
		serial(lines);
	else if (passed)
		messages(passed);
	else
		timers(count, parameter("hpvm.period_us", 1000) * 1000);
	printf("hpvm: loc=%ld\n", interrupts("LOC") - loc);
	printf("hpvm: nmi=%ld\n", interrupts("NMI"));
	end();
}
