/*
 * PID 1 of the Linux guests. The kernel's command line says what to do:
 *
 *   hpvm.timers=N       sleep N times until the next multiple of the period
 *   hpvm.period_us=N    the period, in microseconds (1000)
 *   hpvm.settle_ms=N    be idle so long before the interval begins (500)
 *   hpvm.serial=N       write N lines to the PCI serial port, whose interrupt is
 *                       a level-triggered one
 *
 * The work is done between two marks (mark.h). The results are lines
 * "hpvm: NAME=VALUE" on the console; then the guest reboots, which ends QEMU when
 * it runs with -no-reboot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
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

int main(void)
{
	struct timespec settle = { 0 }, now;
	long count, lines, loc;

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
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("hpvm: ready_after_ms=%ld\n", now.tv_sec * 1000 + now.tv_nsec / 1000000);
	later(&settle, parameter("hpvm.settle_ms", 500) * 1000000);
	nanosleep(&settle, NULL);

	loc = interrupts("LOC");
	mark(MARK_BEGIN);
	if (lines)
		serial(lines);
	else
		timers(count, parameter("hpvm.period_us", 1000) * 1000);
	printf("hpvm: loc=%ld\n", interrupts("LOC") - loc);
	printf("hpvm: nmi=%ld\n", interrupts("NMI"));
	end();
}
