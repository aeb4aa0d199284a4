/*
 * For the emulated host, whose shell can do neither:
 *
 *   memlock PID KIB            sets the process's limit of locked memory; -1 is none
 *   memlock PROGRAM WORD...    executes a program that this limit applies to, also if it's
 *                              root's
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	char *end;
	long pid, kib;

	if (argc < 2)
		return 2;
	pid = strtol(argv[1], &end, 10);
	if (*end) {
		if (prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK)) {
			perror("memlock: CAP_IPC_LOCK");
			return 1;
		}
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		return 1;
	}
	if (argc != 3)
		return 2;
	kib = strtol(argv[2], NULL, 10);
	limit.rlim_cur = kib < 0 ? RLIM_INFINITY : kib * 1024UL;
	limit.rlim_max = limit.rlim_cur;
	if (prlimit(pid, RLIMIT_MEMLOCK, &limit, NULL)) {
		perror("memlock: prlimit");
		return 1;
	}
	return 0;
}
