/*
 * The Linux guests' work with assigned devices, by the drivers of the guest's own
 * kernel: an NVMe disk, which has a queue and an interrupt for each CPU, and a virtio
 * network card.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "mark.h"

#define DISK	"/dev/nvme0n1"
#define QUEUES	" nvme0q"		/* in /proc/interrupts */
#define BLOCK	4096
#define BLOCKS	1024			/* of the disk, are read */

#define CARD	"eth0"
#define CARD_IRQS "virtio0-input"
#define ADDRESS	"192.168.7.2"
#define PORT	7
#define MODULES	"/modules/list"

/* It may be plugged in, or its driver bound, just now. */
static int open_disk(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int fd, tries = 6000;

	while ((fd = open(DISK, O_RDONLY | O_DIRECT)) < 0 && tries--)
		nanosleep(&pause, NULL);
	if (fd < 0)
		fail(DISK);
	return fd;
}

/* Unbinds the driver, resets the device's function, binds the driver, so many times. */
void cycle_disk(long cycles)
{
	char path[256], link[256], *slot;
	ssize_t n;
	long i;

	if (!cycles)
		return;
	close(open_disk());
	n = readlink("/sys/block/nvme0n1/device/device", link, sizeof(link) - 1);
	if (n < 0)
		fail("the disk's PCI device");
	link[n] = '\0';
	slot = strrchr(link, '/') + 1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", slot);
	for (i = 0; i < cycles; i++) {
		write_file("/sys/bus/pci/drivers/nvme/unbind", slot);
		write_file(path, "1");
		write_file("/sys/bus/pci/drivers/nvme/bind", slot);
		close(open_disk());
	}
	printf("hpvm: disk_cycles=%ld\n", cycles);
}

/*
 * Reads that many blocks on each CPU, one after the other, an interrupt each; over and over
 * until somebody ends it, if @endless. A block that has content begins with its number.
 */
void disk(long reads, bool endless)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu, i, before, all = 0, known = 0;
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	cpu_set_t set;
	int fd = open_disk();

	before = interrupts(QUEUES);
	for (cpu = 0; cpu < cpus || (endless && !told_to_end); cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu % cpus, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fail("sched_setaffinity");
		for (i = 0; i < reads; i++, all++) {
			block[0] = '\0';
			if (pread(fd, block, BLOCK, i % BLOCKS * BLOCK) != BLOCK)
				fail("read of the disk");
			if (block[0] && atol(block) != i % BLOCKS)
				fail("content of the disk");
			known += block[0] != '\0';
		}
	}
	mark(MARK_END);
	printf("hpvm: disk_reads=%ld\n", all);
	printf("hpvm: disk_known=%ld\n", known);
	printf("hpvm: disk_irqs=%ld\n", interrupts(QUEUES) - before);
	close(fd);
}

void load_modules(void)
{
	FILE *list = fopen(MODULES, "r");
	char path[64];
	int fd;

	if (!list)
		fail(MODULES);
	while (fscanf(list, "%63s", path) == 1) {
		fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			fail(path);
		close(fd);
	}
	fclose(list);
}

/* The card has an address, and answers the host's pings. */
void set_up_network(void)
{
	struct ifreq request = { .ifr_name = CARD };
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = inet_addr(ADDRESS),
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	load_modules();
	memcpy(&request.ifr_addr, &address, sizeof(address));
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request))
		fail("address of " CARD);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		fail(CARD);
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		fail(CARD);
	close(fd);
}

volatile bool told_to_end;

static void *take_call(void *socket)
{
	int fd = accept((int)(long)socket, NULL, NULL);

	if (fd < 0)
		fail("accept");
	close(fd);
	told_to_end = true;
	return NULL;
}

void await_call(void)
{
	struct sockaddr_in port = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	if (fd < 0 || bind(fd, (struct sockaddr *)&port, sizeof(port)) || listen(fd, 1) ||
	    pthread_create(&thread, NULL, take_call, (void *)(long)fd))
		fail("the port to be called at");
}

static void *take_input(void *unused)
{
	char byte;

	(void)unused;
	if (read(STDIN_FILENO, &byte, 1) != 1)
		fail("read from the console");
	told_to_end = true;
	return NULL;
}

void await_input(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, take_input, NULL))
		fail("pthread_create");
}

/* Until so many frames have arrived; the kernel answers what's to be answered. */
void network(long frames)
{
	struct sockaddr_ll any = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = if_nametoindex(CARD),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	long before = interrupts(CARD_IRQS), i;
	char frame[2048];

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		fail("packets of " CARD);
	for (i = 0; i < frames; i++) {
		if (recv(fd, frame, sizeof(frame), 0) <= 0)
			fail("recv");
	}
	mark(MARK_END);
	printf("hpvm: frames=%ld\n", frames);
	printf("hpvm: card_irqs=%ld\n", interrupts(CARD_IRQS) - before);
	close(fd);
}
