/*
 * What the freestanding guests share: the serial port, numbers, the end. Included by
 * one C file per kernel; 32-bit, loaded by the multiboot protocol.
 */
#ifndef HPVM_TEST_KERNEL_H
#define HPVM_TEST_KERNEL_H

#include <stdint.h>

#include "mark.h"

#define COM1	0x3f8

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* 115200 baud, 8 bits: an emulated port may not care, a real one does. */
static inline void set_up_serial(void)
{
	out8(COM1 + 3, 0x83);
	out8(COM1 + 0, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x03);
}

static void put(const char *text)
{
	for (; *text; text++) {
		while (!(in8(COM1 + 5) & 0x20))
			;
		out8(COM1, *text);
	}
}

static void put_number(uint32_t n)
{
	char text[11];
	int i = sizeof(text) - 1;

	text[i] = '\0';
	do {
		text[--i] = '0' + n % 10;
		n /= 10;
	} while (n);
	put(text + i);
}

/* A line "hpvm: NAME=NUMBER"; NAME is the two strings joined. */
static void put_result(const char *name, const char *more, uint32_t n)
{
	put("hpvm: ");
	put(name);
	put(more);
	put("=");
	put_number(n);
	put("\n");
}

static inline uint64_t rdtsc(void)
{
	uint64_t value;

	__asm__ volatile("rdtsc" : "=A"(value) : : "memory");
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint64_t value;

	__asm__ volatile("rdmsr" : "=A"(value) : "c"(msr));
	return value;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "A"(value), "c"(msr) : "memory");
}

static inline void spin(uint32_t ticks)
{
	uint64_t limit = rdtsc() + ticks;

	while (rdtsc() < limit)
		;
}

/* The keyboard controller's reset ends QEMU when it runs with -no-reboot. */
static void end(void)
{
	for (;;)
		out8(0x64, 0xfe);
}

static inline void fail(const char *what)
{
	put("hpvm: failed=");
	put(what);
	put("\n");
	end();
}

#endif
