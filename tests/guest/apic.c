/*
 * A kernel of its own that lets its LAPIC timer fire, in x2APIC mode. The command
 * line's words say how:
 *
 *   deadline, oneshot, periodic     the mode of the timer (deadline)
 *   hlt                             wait in HLT, not in a loop
 *   tsc                             write the TSC first, as a guest may
 *   self                            no timer, but self-IPIs
 *   count=N                         so many interrupts (1000)
 *   ahead=N                         the timer's ticks to the next (20000)
 *
 * Each interrupt is armed when the one before it was handled; between two marks
 * (mark.h) the host counts the exits.
 */
#include "kernel.h"

#define MSR_IA32_TSC		0x10
#define MSR_IA32_APIC_BASE	0x1b
#define APIC_BASE_X2APIC	(1 << 10)
#define MSR_IA32_TSC_DEADLINE	0x6e0
#define X2APIC_EOI		0x80b
#define X2APIC_SVR		0x80f
#define SVR_ENABLE		(1 << 8)
#define X2APIC_LVTT		0x832
#define X2APIC_LVT0		0x835
#define LVT_MASKED		(1 << 16)
#define LVTT_PERIODIC		(1 << 17)
#define LVTT_DEADLINE		(2 << 17)
#define X2APIC_TMICT		0x838
#define X2APIC_TDCR		0x83e
#define TDCR_DIVIDE_BY_1	0xb
#define X2APIC_SELF_IPI		0x83f

#define VECTOR			0x40
#define SPURIOUS		0xff
#define AHEAD			20000

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

static volatile uint32_t fired, unexpected;

__attribute__((interrupt)) static void on_timer(void *frame)
{
	(void)frame;
	fired++;
	wrmsr(X2APIC_EOI, 0);
}

__attribute__((interrupt)) static void on_other(void *frame)
{
	(void)frame;
	unexpected++;
}

static void gate(int vector, void (*handler)(void *))
{
	uint32_t address = (uint32_t)handler;

	idt[vector] = (uint64_t)(address & 0xffff0000) << 32 | 0x00008e0000000000 |
		      0x08 << 16 | (address & 0xffff);
}

static void set_up(void)
{
	struct table g = { sizeof(gdt) - 1, (uint32_t)gdt };
	struct table i = { sizeof(idt) - 1, (uint32_t)idt };
	int vector;

	__asm__ volatile("lgdt %0\n\t"
			 "ljmp $0x08, $1f\n"
			 "1:\tmov %1, %%ds\n\t"
			 "mov %1, %%es\n\t"
			 "mov %1, %%ss" : : "m"(g), "r"(0x10) : "memory");
	for (vector = 0; vector < 256; vector++)
		gate(vector, on_other);
	gate(VECTOR, on_timer);
	__asm__ volatile("lidt %0" : : "m"(i));

	/* The legacy controllers stay silent. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(X2APIC_LVT0, LVT_MASKED);
	wrmsr(X2APIC_SVR, SVR_ENABLE | SPURIOUS);
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

static uint32_t number(const char *text)
{
	uint32_t n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + *text - '0';
	return n;
}

void start_c(const char *cmdline);
void start_c(const char *cmdline)
{
	uint32_t count = word(cmdline, "count=") ? number(word(cmdline, "count=")) : 1000;
	int hlt = word(cmdline, "hlt") != 0;
	int self = word(cmdline, "self") != 0;
	int periodic = word(cmdline, "periodic") != 0;
	int deadline = !periodic && !word(cmdline, "oneshot");
	uint64_t limit;
	uint32_t ahead = word(cmdline, "ahead=") ? number(word(cmdline, "ahead=")) : AHEAD;
	uint32_t i;

	set_up();
	if (word(cmdline, "tsc"))
		wrmsr(MSR_IA32_TSC, rdtsc() + 100000000);
	wrmsr(X2APIC_TDCR, TDCR_DIVIDE_BY_1);
	wrmsr(X2APIC_LVTT, VECTOR | (deadline ? LVTT_DEADLINE : periodic ? LVTT_PERIODIC : 0));
	put_result("ready_after_ms", "", 0);

	mark(MARK_BEGIN);
	if (periodic && !self)
		wrmsr(X2APIC_TMICT, ahead);
	for (i = 0; i < count; i++) {
		if (self)
			wrmsr(X2APIC_SELF_IPI, VECTOR);
		else if (deadline)
			wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + ahead);
		else if (!periodic)
			wrmsr(X2APIC_TMICT, ahead);
		/* STI takes effect after the next instruction: none is lost before HLT. */
		limit = rdtsc() + 1000ULL * ahead;
		while (fired <= i && rdtsc() < limit) {
			if (hlt)
				__asm__ volatile("sti; hlt; cli" : : : "memory");
			else
				__asm__ volatile("sti; nop; cli" : : : "memory");
		}
	}
	mark(MARK_END);
	wrmsr(X2APIC_LVTT, LVT_MASKED);
	put_result("timers_fired", "", fired);
	put_result("unexpected", "", unexpected);
	end();
}
