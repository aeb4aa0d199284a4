/*
 * PID 1 of the Linux guests. The kernel's command line says what to do:
 *
 *   hpvm.timers=N       sleep N times until the next multiple of the period
 *   hpvm.period_us=N    the period, in microseconds (1000)
 *   hpvm.until_input=1  or until a line comes from the console; so long hpvm.disk reads
 *   hpvm.marks=N        mark each Nth timer, too
 *   hpvm.busy=N         meanwhile a message goes around the CPUs, which compare their
 *                       clocks and write N MiB of memory over and over
 *   hpvm.busy_rest_us=N it rests so long on the first CPU (10000)
 *   hpvm.network=1      meanwhile the virtio network card answers pings; timers end when
 *                       somebody connects to TCP port 7
 *   hpvm.variable=1     before that, write a variable of UEFI, which is kept in flash
 *   hpvm.smis=N         when a line has come from the console, until each CPU has raised N SMIs,
 *                       with naps, and writes of that variable
 *   hpvm.settle_ms=N    be idle so long before the interval begins (500)
 *   hpvm.messages=N     pass N messages around a ring of threads, one on each CPU,
 *                       each of which changes the page tables now and then
 *   hpvm.hackbench=N    what "hackbench -T -g 1 -l N" does: 20 threads send messages of
 *                       100 bytes to each of 20 others, N times
 *   hpvm.cpus=N         before that, wait until so many CPUs are plugged in, and
 *                       switch them on
 *   hpvm.kexec=1        instead, start /vmlinuz with /initrd and the same command line
 *                       but for this word
 *   hpvm.stay=1         stay when all is done
 *   hpvm.cpus_off=1     before that, take each CPU but the first off until a line comes from
 *                       the console
 *   hpvm.cpu_cycles=N   before that, take each CPU but the first off and on N times
 *   hpvm.disk=N         read N blocks of the NVMe disk on each CPU
 *   hpvm.disk_cycles=N  before that, unbind its driver, reset it, and bind it, N times
 *   hpvm.frames=N       receive N IP packets by the virtio network card
 *   hpvm.loads=NAME,... Debian's own programs instead, see loads.c, with
 *   hpvm.interval_ms=N  counted for so long each (2000)
 *   hpvm.warm_ms=N      when they have run for so long (1000)
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
#include <linux/kexec.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "mark.h"

#define NSEC_PER_SEC	1000000000L

static char cmdline[4096];

static bool stay;

static void end(void)
{
	sync();
	while (stay)
		pause();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

void fail(const char *what)
{
	printf("hpvm: failed=%s: %s\n", what, strerror(errno));
	end();
}

long parameter(const char *name, long otherwise)
{
	size_t length = strlen(name);
	const char *p;

	for (p = cmdline; (p = strstr(p, name)); p += length) {
		if ((p == cmdline || p[-1] == ' ') && p[length] == '=')
			return strtol(p + length + 1, NULL, 0);
	}
	return otherwise;
}

const char *text_parameter(const char *name)
{
	size_t length = strlen(name);
	const char *p = strstr(cmdline, name);

	return p && p[length] == '=' ? p + length + 1 : NULL;
}

/* Reads at most size bytes of the file; returns how many. */
static size_t slurp_bytes(const char *path, void *bytes, size_t size)
{
	size_t have = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	while (have < size && (n = read(fd, bytes + have, size - have)) > 0)
		have += n;
	close(fd);
	return have;
}

/* Reads the file as a string, at most size - 1 bytes. */
static void slurp(const char *path, char *text, size_t size)
{
	text[slurp_bytes(path, text, size - 1)] = '\0';
}

long interrupts(const char *name)
{
	static char text[65536];
	char *line, *p, *next, *rest;
	long sum = -1, n;

	slurp("/proc/interrupts", text, sizeof(text));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (!strstr(line, name))
			continue;
		sum += sum < 0;
		for (p = strchr(line, ':') + 1; ; p = next) {
			n = strtol(p, &next, 10);
			if (next == p)
				break;
			sum += n;
		}
	}
	return sum;
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
static void timers(long count, long period, long marks)
{
	struct timespec start, next;
	long fired = 0, missed = 0, worst = 0, gap = 0, before = 0, passed, late, i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	next = start;
	for (i = 0; i < count && !told_to_end; i++) {
		later(&next, period);
		if (marks && i % marks == marks - 1)
			mark(MARK_BEGIN);
		passed = since(&start);
		if (passed - before > gap)
			gap = passed - before;
		before = passed;
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
	passed = since(&start);
	mark(MARK_END);
	printf("hpvm: timers=%ld\nhpvm: timers_fired=%ld\nhpvm: timers_missed=%ld\n", i, fired,
	       missed);
	printf("hpvm: worst_late_us=%ld\nhpvm: longest_gap_us=%ld\n", worst / 1000, gap / 1000);
	report_busy();
	printf("hpvm: elapsed_us=%ld\n", passed / 1000);
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

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail(path);
	close(fd);
}

#define CPU_ONLINE	"/sys/devices/system/cpu/cpu%ld/online"

static void plug_cpus(long cpus)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	char path[64];
	long cpu;

	for (cpu = 1; cpu < cpus; cpu++) {
		snprintf(path, sizeof(path), CPU_ONLINE, cpu);
		while (access(path, W_OK))
			nanosleep(&pause, NULL);
		write_file(path, "1");
	}
}

static void *map_file(const char *path, size_t *length)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	void *bytes;

	if (fd < 0 || fstat(fd, &st))
		fail(path);
	bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		fail(path);
	*length = st.st_size;
	return bytes;
}

/*
 * kexec without the purgatory of kexec_file_load(), which computes SHA-256 of it all and
 * is slow in an emulator. The new kernel gets the running one's boot parameters; see
 * Documentation/arch/x86/boot.rst and zero-page.rst for the offsets, and "64-bit boot
 * protocol" for how it's entered.
 */
#define KEXEC_LOW	0x90000		/* parameters, command line, what jumps */
#define KEXEC_KERNEL	0x1000000	/* where it wants to be */
#define KEXEC_INITRD	0xa000000	/* beyond what the kernel unpacks itself to */
#define PAGE		4096
#define PAGES(n)	(((n) + PAGE - 1) / PAGE * PAGE)

static void start_kernel(void)
{
	/* mov $KEXEC_LOW, %esi; mov $KEXEC_KERNEL + 0x200, %eax; jmp *%rax */
	static const uint8_t jump[] = {
		0xbe, 0x00, 0x00, 0x09, 0x00, 0xb8, 0x00, 0x02, 0x00, 0x01, 0xff, 0xe0,
	};
	static const char word[] = "hpvm.kexec=1";
	static uint8_t low[3 * PAGE];
	size_t kernel_length, initrd_length, setup;
	uint8_t *kernel = map_file("/vmlinuz", &kernel_length);
	void *initrd = map_file("/initrd", &initrd_length);
	struct kexec_segment segments[3];

	if (slurp_bytes("/sys/kernel/boot_params/data", low, PAGE) != PAGE)
		fail("boot_params");
	memset(strstr(cmdline, word), ' ', sizeof(word) - 1);
	cmdline[strcspn(cmdline, "\n")] = '\0';
	memcpy(low + PAGE, cmdline, strlen(cmdline) + 1);
	memcpy(low + 2 * PAGE, jump, sizeof(jump));
	*(uint32_t *)(low + 0x218) = KEXEC_INITRD;
	*(uint32_t *)(low + 0x21c) = initrd_length;
	*(uint32_t *)(low + 0x228) = KEXEC_LOW + PAGE;
	/* After the boot sector so many sectors of real mode code. */
	setup = (kernel[0x1f1] + 1) * 512;

	segments[0] = (struct kexec_segment){ low, sizeof(low), (void *)KEXEC_LOW, sizeof(low) };
	segments[1] = (struct kexec_segment){ kernel + setup, kernel_length - setup,
		(void *)KEXEC_KERNEL, PAGES(kernel_length - setup) };
	segments[2] = (struct kexec_segment){ initrd, initrd_length,
		(void *)KEXEC_INITRD, PAGES(initrd_length) };
	if (syscall(SYS_kexec_load, KEXEC_LOW + 2 * PAGE, 3, segments, KEXEC_ARCH_DEFAULT))
		fail("kexec_load");
	printf("hpvm: kexec=1\n");
	reboot(RB_KEXEC);
	fail("kexec");
}

static void switch_cpu(long cpu, const char *on)
{
	char path[64];

	snprintf(path, sizeof(path), CPU_ONLINE, cpu);
	write_file(path, on);
}

static void rest_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;

	for (cpu = 1; cpu < cpus; cpu++)
		switch_cpu(cpu, "0");
	printf("hpvm: cpus_off=%ld\n", cpus - 1);
	await_line();
	for (cpu = 1; cpu < cpus; cpu++)
		switch_cpu(cpu, "1");
	printf("hpvm: cpus_off=0\n");
}

static void cycle_cpus(long cycles)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu, i;

	for (i = 0; i < cycles; i++) {
		for (cpu = 1; cpu < cpus; cpu++) {
			switch_cpu(cpu, "0");
			switch_cpu(cpu, "1");
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

static void report_messages(long count)
{
	printf("hpvm: cpus=%ld\nhpvm: messages=%ld\n", sysconf(_SC_NPROCESSORS_ONLN), count);
	printf("hpvm: res=%ld\nhpvm: cal=%ld\nhpvm: tlb=%ld\n", interrupts("RES:"),
	       interrupts("CAL:"), interrupts("TLB:"));
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
	report_messages(count / cpus * cpus);
}

/* --- hackbench ------------------------------------------------------------------ */

#define FAN	20	/* senders, and receivers */
#define BYTES	100	/* of a message */

static long loops;
static int receiving[FAN], sending[FAN];
static pthread_barrier_t all_there;

static void *hackbench_send(void *unused)
{
	static const char message[BYTES];
	long i;
	int to;

	(void)unused;
	pthread_barrier_wait(&all_there);
	for (i = 0; i < loops; i++) {
		for (to = 0; to < FAN; to++) {
			if (write(sending[to], message, BYTES) != BYTES)
				fail("write to a socket");
		}
	}
	return NULL;
}

static void *hackbench_receive(void *from)
{
	long left = loops * FAN * BYTES;
	char message[BYTES];
	ssize_t n;

	pthread_barrier_wait(&all_there);
	while (left) {
		n = read(*(int *)from, message, BYTES);
		if (n <= 0)
			fail("read from a socket");
		left -= n;
	}
	return NULL;
}

static void hackbench(void)
{
	pthread_t threads[2 * FAN];
	int ends[2], i;

	pthread_barrier_init(&all_there, NULL, 2 * FAN);
	for (i = 0; i < FAN; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
			fail("socketpair");
		receiving[i] = ends[0];
		sending[i] = ends[1];
	}
	for (i = 0; i < FAN; i++) {
		if (pthread_create(&threads[2 * i], NULL, hackbench_receive, &receiving[i]) ||
		    pthread_create(&threads[2 * i + 1], NULL, hackbench_send, NULL))
			fail("pthread_create");
	}
	for (i = 0; i < 2 * FAN; i++)
		pthread_join(threads[i], NULL);
	mark(MARK_END);
	report_messages(loops * FAN * FAN);
}

int main(void)
{
	struct timespec settle = { 0 }, now;
	long count, lines, passed, reads, frames, loc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("mount /proc");
	mkdir("/dev", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL))
		fail("mount /dev");
	mkdir("/sys", 0555);
	if (mount("sys", "/sys", "sysfs", 0, NULL))
		fail("mount /sys");
	slurp("/proc/cmdline", cmdline, sizeof(cmdline));
	if (ioperm(MARK_PORT, 1, 1))
		fail("ioperm");

	count = parameter("hpvm.timers", 0);
	lines = parameter("hpvm.serial", 0);
	passed = parameter("hpvm.messages", 0);
	loops = parameter("hpvm.hackbench", 0);
	reads = parameter("hpvm.disk", 0);
	frames = parameter("hpvm.frames", 0);
	stay = parameter("hpvm.stay", 0);
	if (frames || parameter("hpvm.network", 0))
		set_up_network();
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (parameter("hpvm.variable", 0))
		open_variable();
	printf("hpvm: ready_after_ms=%ld\n", now.tv_sec * 1000 + now.tv_nsec / 1000000);
	if (parameter("hpvm.kexec", 0))
		start_kernel();
	plug_cpus(parameter("hpvm.cpus", 1));
	if (text_parameter("hpvm.loads")) {
		run_loads(text_parameter("hpvm.loads"));
		end();
	}
	cycle_disk(parameter("hpvm.disk_cycles", 0));
	if (parameter("hpvm.cpus_off", 0))
		rest_cpus();
	if (parameter("hpvm.cpu_cycles", 0))
		cycle_cpus(parameter("hpvm.cpu_cycles", 0));
	later(&settle, parameter("hpvm.settle_ms", 500) * 1000000);
	nanosleep(&settle, NULL);

	if (parameter("hpvm.network", 0))
		await_call();
	if (parameter("hpvm.until_input", 0))
		await_input();
	start_smis(parameter("hpvm.smis", 0));
	start_busy(parameter("hpvm.busy", 0), parameter("hpvm.busy_rest_us", 10000) * 1000);
	loc = interrupts("LOC:");
	mark(MARK_BEGIN);
	if (lines)
		serial(lines);
	else if (passed)
		messages(passed);
	else if (loops)
		hackbench();
	else if (reads)
		disk(reads, parameter("hpvm.until_input", 0));
	else if (frames)
		network(frames);
	else
		timers(count, parameter("hpvm.period_us", 1000) * 1000,
		       parameter("hpvm.marks", 0));
	printf("hpvm: loc=%ld\n", interrupts("LOC:") - loc);
	printf("hpvm: nmi=%ld\n", interrupts("NMI:"));
	end();
}
