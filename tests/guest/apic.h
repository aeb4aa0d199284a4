/*
 * What the freestanding guests that use their LAPIC share: its registers in x2APIC
 * mode, segments and interrupt gates, and the words of the command line.
 */
#ifndef HPVM_TEST_APIC_H
#define HPVM_TEST_APIC_H

#include "kernel.h"

#define MSR_IA32_APIC_BASE	0x1b
#define APIC_BASE_X2APIC	(1 << 10)
#define MSR_IA32_TSC_DEADLINE	0x6e0
#define X2APIC_ID		0x802
#define X2APIC_EOI		0x80b
#define X2APIC_LDR		0x80d
#define X2APIC_SVR		0x80f
#define SVR_ENABLE		(1 << 8)
#define X2APIC_ICR		0x830
#define ICR_INIT		(5 << 8)
#define ICR_STARTUP		(6 << 8)
#define ICR_LOGICAL		(1 << 11)
#define ICR_ASSERT		(1 << 14)
#define ICR_ALL			(2 << 18)
#define ICR_ALL_BUT_SELF	(3 << 18)
#define X2APIC_LVTT		0x832
#define X2APIC_LVT0		0x835
#define LVT_MASKED		(1 << 16)
#define LVTT_PERIODIC		(1 << 17)
#define LVTT_DEADLINE		(2 << 17)
#define X2APIC_TMICT		0x838
#define X2APIC_TMCCT		0x839
#define X2APIC_TDCR		0x83e
#define TDCR_DIVIDE_BY_1	0xb
#define X2APIC_SELF_IPI		0x83f

#define SPURIOUS		0xff

static uint64_t gdt[] = {
	0,
	0x00cf9b000000ffff,		/* 0x08: code */
	0x00cf93000000ffff,		/* 0x10: data */
};

static uint64_t idt[256];

struct __attribute__((packed)) table {
	uint16_t limit;
	uint32_t base;
};

static void gate(int vector, void (*handler)(void *))
{
	uint32_t address = (uint32_t)handler;

	idt[vector] = (uint64_t)(address & 0xffff0000) << 32 | 0x00008e0000000000 |
		      0x08 << 16 | (address & 0xffff);
}

/* This CPU's segments, interrupt table, and LAPIC in x2APIC mode. */
static void set_up_cpu(void)
{
	struct table g = { sizeof(gdt) - 1, (uint32_t)gdt };
	struct table i = { sizeof(idt) - 1, (uint32_t)idt };

	__asm__ volatile("lgdt %0\n\t"
			 "ljmp $0x08, $1f\n"
			 "1:\tmov %1, %%ds\n\t"
			 "mov %1, %%es\n\t"
			 "mov %1, %%ss\n\t"
			 "lidt %2" : : "m"(g), "r"(0x10), "m"(i) : "memory");
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(X2APIC_LVT0, LVT_MASKED);
	wrmsr(X2APIC_SVR, SVR_ENABLE | SPURIOUS);
}

/* The first CPU: the same, with one handler for all vectors. */
static void set_up(void (*handler)(void *))
{
	int vector;

	for (vector = 0; vector < 256; vector++)
		gate(vector, handler);
	/* The legacy controllers stay silent. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	set_up_cpu();
}

/* CPUID.01H:ECX.TSC_Deadline[24]. */
static inline int has_tsc_deadline(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx >> 24 & 1;
}

/* The word's rest when the command line has one that begins so, else a null pointer. */
static const char *word(const char *cmdline, const char *name)
{
	const char *c, *n;

	for (c = cmdline; *c; c++) {
		if (c != cmdline && c[-1] != ' ')
			continue;
		for (n = name; *n && c[n - name] == *n; n++)
			;
		if (!*n)
			return c + (n - name);
	}
	return 0;
}

/* The number that such a word ends with, e.g. "count=100". */
static uint32_t number(const char *cmdline, const char *name, uint32_t otherwise)
{
	const char *text = word(cmdline, name);
	uint32_t n = 0;

	if (!text)
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + *text - '0';
	return n;
}

#endif
