/*
 * Several CPUs: what the C program shares with the code that starts the others, smp.S.
 */
#ifndef HPVM_TEST_SMP_H
#define HPVM_TEST_SMP_H

#define MAX_CPUS	16
/* Where they start, a page below 1 MiB that the first CPU fills. */
#define AP_PAGE		0x8000

#ifndef __ASSEMBLER__

#include <stdint.h>

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

#endif
#endif
