/*
 * A kernel of its own that makes VM exits: CPUID, and WRMSR of a register that a
 * hypervisor always emulates. Prints what one of them costs, in TSC ticks, which in
 * Bochs are instructions. Loaded by the multiboot protocol, 32-bit, no interrupts.
 */
#include <stdint.h>

#include "mark.h"

#define ROUNDS			2000
#define WARM_UP			100
#define COM1			0x3f8
#define MSR_IA32_MISC_ENABLE	0x1a0

static uint32_t samples[ROUNDS];
static uint32_t misc_low, misc_high;

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

static void put_result(const char *name, const char *what, uint32_t n)
{
	put("hpvm: ");
	put(name);
	put(what);
	put_number(n);
	put("\n");
}

static inline uint32_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low;
}

static inline void nothing(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void cpuid(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

static inline void wrmsr(void)
{
	__asm__ volatile("wrmsr" : : "a"(misc_low), "d"(misc_high), "c"(MSR_IA32_MISC_ENABLE)
			 : "memory");
}

static void sort(void)
{
	int gap, i, j;
	uint32_t x;

	for (gap = ROUNDS / 2; gap; gap /= 2) {
		for (i = gap; i < ROUNDS; i++) {
			x = samples[i];
			for (j = i; j >= gap && samples[j - gap] > x; j -= gap)
				samples[j] = samples[j - gap];
			samples[j] = x;
		}
	}
}

static void report(const char *name)
{
	sort();
	put_result(name, "_samples=", ROUNDS);
	put_result(name, "_min=", samples[0]);
	put_result(name, "_median=", samples[ROUNDS / 2]);
	put_result(name, "_p99=", samples[ROUNDS * 99 / 100]);
	put_result(name, "_max=", samples[ROUNDS - 1]);
}

#define MEASURE(operation)						\
	do {								\
		for (int i = -WARM_UP; i < ROUNDS; i++) {		\
			uint32_t start = tsc();				\
									\
			operation();					\
			start = tsc() - start;				\
			if (i >= 0)					\
				samples[i] = start;			\
		}							\
	} while (0)

void start_c(void);
void start_c(void)
{
	__asm__ volatile("rdmsr" : "=a"(misc_low), "=d"(misc_high)
			 : "c"(MSR_IA32_MISC_ENABLE));

	/* What the measurement itself costs. */
	MEASURE(nothing);
	report("empty");

	/* All exits between the marks are the loops'. */
	mark(MARK_BEGIN);
	MEASURE(cpuid);
	mark(MARK_END);
	report("cpuid");

	MEASURE(wrmsr);
	report("wrmsr");

	/* The keyboard controller's reset ends QEMU when it runs with -no-reboot. */
	for (;;)
		out8(0x64, 0xfe);
}
