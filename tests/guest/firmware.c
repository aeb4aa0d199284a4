/*
 * What the Linux guests want of a UEFI firmware that keeps its variables in SMM: one of them,
 * which outlives a reset, and more SMIs than anybody needs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "mark.h"

#define VARIABLES	"/sys/firmware/efi/efivars"
#define VARIABLE	VARIABLES "/hpvmWrites-3f1de3f0-4d4c-4b0e-9a60-5e1f6c2f7a11"
#define ATTRIBUTES	7			/* non-volatile; boot services, run time */

#define SMI_COMMAND	0xb2			/* a port of Q35's chipset */
#define SMIS_A_NAP	4
#define SMIS_A_WRITE	32

static int variable_fd;
static struct {
	uint32_t attributes, writes;
} variable = { .attributes = ATTRIBUTES };

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

/* The variable says how often it has been written, in this boot and those before. */
static void write_variable(void)
{
	pthread_mutex_lock(&writing);
	variable.writes++;
	if (write(variable_fd, &variable, sizeof(variable)) != sizeof(variable))
		fail("write of the variable");
	pthread_mutex_unlock(&writing);
}

void open_variable(void)
{
	int fd, flags = 0;

	load_modules();
	if (mount("efivarfs", VARIABLES, "efivarfs", 0, NULL))
		fail("mount " VARIABLES);
	/* A new one is empty. None may be written, unless one has said that it's meant. */
	fd = open(VARIABLE, O_RDONLY | O_CREAT, 0600);
	if (fd < 0 || read(fd, &variable, sizeof(variable)) < 0 ||
	    ioctl(fd, FS_IOC_SETFLAGS, &flags))
		fail(VARIABLE);
	close(fd);
	variable_fd = open(VARIABLE, O_WRONLY);
	if (variable_fd < 0)
		fail(VARIABLE);
	/* The firmware has left its last line without an end. */
	printf("\nhpvm: found=%u\n", variable.writes);
	write_variable();
	printf("hpvm: written=%u\n", variable.writes);
}

static long smis, raising;

static void *raise_smis(void *cpu)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	cpu_set_t set;
	long i;

	CPU_ZERO(&set);
	CPU_SET((long)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
	for (i = 1; i <= smis; i++) {
		out8(SMI_COMMAND, 0);
		/* Nothing but its timer wakes the thread, and mostly the CPU. */
		if (i % SMIS_A_NAP == 0)
			nanosleep(&nap, NULL);
		if (i % SMIS_A_WRITE == 0)
			write_variable();
	}
	if (!__atomic_sub_fetch(&raising, 1, __ATOMIC_SEQ_CST)) {
		printf("hpvm: written=%u\n", variable.writes);
		told_to_end = true;
	}
	return NULL;
}

void start_smis(long count)
{
	pthread_t thread;
	long cpu;

	if (!count)
		return;
	if (ioperm(SMI_COMMAND, 1, 1))
		fail("ioperm");
	await_line();
	smis = count;
	raising = sysconf(_SC_NPROCESSORS_ONLN);
	for (cpu = raising - 1; cpu >= 0; cpu--) {
		if (pthread_create(&thread, NULL, raise_smis, (void *)cpu))
			fail("pthread_create");
	}
}
