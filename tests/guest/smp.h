/*
 * Several CPUs: what the C program shares with the code that starts the others, smp.S.
 */
#ifndef HPVM_TEST_SMP_H
#define HPVM_TEST_SMP_H

#define MAX_CPUS	32
/* Where they start, a page below 1 MiB that the first CPU fills. */
#define AP_PAGE		0x8000

#ifndef __ASSEMBLER__

#include "apic.h"

#define PAGE_MASK	(~4095u)
/* Long enough for the slowest hypervisor, and never waited for when all is well. */
#define TIMEOUT		20000000000ULL

enum state {
	READY,				/* for an interrupt */
	FIRED,				/* it was handled, and not yet acknowledged */
	RELEASED,			/* the CPU may acknowledge it */
};

struct cpu {
	volatile enum state state;
	volatile int halt;		/* wait in HLT */
	volatile uint64_t reply;	/* what the handler writes to the ICR, or 0 */
	volatile uint32_t stamp;	/* the handler's TSC, its lower half */
	volatile uint32_t broadcasts;	/* that it has handled */
	volatile int up;
	uint32_t id, logical_id;
};

/* A page for each CPU, and its stack grows down from the page's end. */
extern union {
	struct cpu cpu;
	char page[4096];
} cpu_pages[MAX_CPUS];

/* The code for AP_PAGE, and the index that the next CPU to start takes. */
extern const char ap_begin[], ap_end[];
extern volatile uint32_t ap_next;

/* What they call; must not return. */
void ap_c(struct cpu *me);

static inline struct cpu *cpu(uint32_t index)
{
	return &cpu_pages[index].cpu;
}

static inline struct cpu *this_cpu(void)
{
	uint32_t esp;

	__asm__("mov %%esp, %0" : "=r"(esp));
	return (struct cpu *)(esp & PAGE_MASK);
}

/* The first CPU goes on there, with a stack in its page of cpu_pages. */
static inline void on_own_stack(void (*first_cpu)(void))
{
	__asm__ volatile("mov %0, %%esp\n\tcall *%1" : :
			 "r"(&cpu_pages[1]), "r"(first_cpu) : "memory");
	__builtin_unreachable();
}

/*
 * All of them, again and again until there are enough: some may be plugged in late, and
 * a busy emulator may need longer than the first time.
 */
static inline void start_others(uint32_t cpus)
{
	uint64_t limit = rdtsc() + TIMEOUT;
	uint32_t i, up, wait = 1000000;

	for (i = 0; i < (uint32_t)(ap_end - ap_begin); i++)
		((volatile char *)AP_PAGE)[i] = ap_begin[i];
	do {
		if (rdtsc() > limit)
			fail("fewer CPUs than cpus=");
		wrmsr(X2APIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_INIT);
		spin(wait);
		ap_next = 1;
		for (i = 1; i < cpus; i++)
			cpu(i)->up = 0;
		wrmsr(X2APIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP | AP_PAGE >> 12);
		spin(wait);
		if (wait < TIMEOUT / 100)
			wait *= 2;
		for (i = 1, up = 1; i < cpus; i++)
			up += cpu(i)->up;
	} while (up < cpus);
}

#endif
#endif
