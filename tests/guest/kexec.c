// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Start another kernel instead of the host's, or let it start after a panic:
 *
 *   kexec KERNEL INITRD CMDLINE
 *   kexec -p KERNEL INITRD CMDLINE     the host has "crashkernel="
 *
 * Without the purgatory of kexec_file_load(), which computes SHA-256 of all the memory
 * that the kernel unpacks itself to: minutes in an emulator. The new kernel gets the
 * running one's boot parameters; see Documentation/arch/x86/boot.rst and zero-page.rst
 * for the offsets, and "64-bit boot protocol" for how it's entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE		4096
#define PAGES(n)	(((n) + PAGE - 1) / PAGE * PAGE)

/* From the base on: parameters, command line, what jumps; kernel; initrd. */
#define BASE		0x10000000
#define KERNEL		0x1000000
#define INITRD		0x7000000	/* beyond what the kernel unpacks itself to */

static void fail(const char *what)
{
	fprintf(stderr, "kexec: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint8_t *map_file(const char *path, size_t *length)
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

/* Where the host has reserved memory for a crash kernel. */
static uint32_t reserved(void)
{
	FILE *f = fopen("/proc/iomem", "r");
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "Crash kernel"))
			return strtoul(line, NULL, 16);
	}
	errno = ENOMEM;
	fail("no memory is reserved for a crash kernel");
	return 0;
}

int main(int argc, char **argv)
{
	int panic = argc == 5 && !strcmp(argv[1], "-p"), fd;
	size_t kernel_length, initrd_length, setup;
	static uint8_t low[3 * PAGE];
	uint8_t *kernel, *initrd, *jump = low + 2 * PAGE;
	uint32_t base;

	if (argc != 4 + panic) {
		fprintf(stderr, "Usage: kexec [-p] KERNEL INITRD CMDLINE\n");
		return 2;
	}
	argv += panic;
	base = panic ? reserved() : BASE;
	kernel = map_file(argv[1], &kernel_length);
	initrd = map_file(argv[2], &initrd_length);
	/* After the boot sector so many sectors of real mode code. */
	setup = (kernel[0x1f1] + 1) * 512;

	fd = open("/sys/kernel/boot_params/data", O_RDONLY);
	if (fd < 0 || read(fd, low, PAGE) != PAGE)
		fail("boot_params");
	*(uint32_t *)(low + 0x218) = base + INITRD;
	*(uint32_t *)(low + 0x21c) = initrd_length;
	*(uint32_t *)(low + 0x228) = base + PAGE;
	snprintf((char *)low + PAGE, PAGE, "%s", argv[3]);
	/* mov $base, %esi; mov $base + KERNEL + 0x200, %eax; jmp *%rax */
	memcpy(jump, "\xbe....\xb8....\xff\xe0", 12);
	*(uint32_t *)(jump + 1) = base;
	*(uint32_t *)(jump + 6) = base + KERNEL + 0x200;

	struct kexec_segment segments[] = {
		{ low, sizeof(low), (void *)(uintptr_t)base, sizeof(low) },
		{ kernel + setup, kernel_length - setup, (void *)(uintptr_t)(base + KERNEL),
		  PAGES(kernel_length - setup) },
		{ initrd, initrd_length, (void *)(uintptr_t)(base + INITRD),
		  PAGES(initrd_length) },
	};
	if (syscall(SYS_kexec_load, base + 2 * PAGE, 3, segments,
		    KEXEC_ARCH_DEFAULT | (panic ? KEXEC_ON_CRASH : 0)))
		fail("kexec_load");
	if (panic)
		return 0;
	sync();
	reboot(RB_KEXEC);
	fail("reboot");
}
