// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking vectors out of the local APIC, and putting one in service.
 *
 * There is no register that removes a vector from the IRR: it leaves only by
 * being delivered.  So the drain loads an IDT of its own, in which each vector
 * from 16 up enters a stub that records it, opens interrupts for one
 * instruction, and loads the host's IDT again.  Of the exceptions that such a window
 * can meet NMI and #DB have the host's gates.  #MC is vector 18, which an interrupt
 * may have, too: its stub passes it on.
 *
 * All functions here: IRQs off, on the CPU concerned, not NMI-safe.
 */
#define pr_fmt(fmt) "hpvm: " fmt

#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/percpu.h>

#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/hpvm.h>
#include <asm/mce.h>
#include <asm/msr.h>

#include "window.h"

/**
 * struct hpvm_window - what the stubs of this CPU do and have seen
 * @seen:	vectors taken out, each EOI'd
 * @count:	deliveries in this window
 * @limit:	after so many, the window is closed from within
 * @accept:	leave this one in service; 0: none
 */
struct hpvm_window {
	DECLARE_BITMAP(seen, NR_VECTORS);
	unsigned int count;
	unsigned int limit;
	unsigned int accept;
};

static DEFINE_PER_CPU(struct hpvm_window, hpvm_window);
static gate_desc *window_gates __ro_after_init;
static struct desc_ptr window_idt __ro_after_init;
static struct desc_ptr host_idt __ro_after_init;

/* Called by each stub.  Returns the host's handler of a machine check, else 0. */
__visible noinstr unsigned long hpvm_window_vector(struct pt_regs *regs)
{
	struct hpvm_window *w = raw_cpu_ptr(&hpvm_window);
	u8 vector = regs->orig_ax;

	/*
	 * The only exception from 16 up that can come here is a machine check; the
	 * others need an instruction that the window doesn't have.  MCIP is set while
	 * one is under way (SDM vol. 3B 16.3.1.2).  The ISR wouldn't tell: it may have
	 * a vector 18 of the guest's in service.
	 */
	if (vector == X86_TRAP_MC && boot_cpu_has(X86_FEATURE_MCA) &&
	    (__rdmsr(MSR_IA32_MCG_STATUS) & MCG_STATUS_MCIP))
		return gate_offset((gate_desc *)host_idt.address + vector);

	/* A source that never stops must not keep this CPU here for ever. */
	if (++w->count >= w->limit)
		regs->flags &= ~X86_EFLAGS_IF;

	if (w->accept && vector == w->accept) {
		w->accept = 0;
		regs->flags &= ~X86_EFLAGS_IF;
		return 0;
	}

	w->seen[vector / BITS_PER_LONG] |= BIT(vector % BITS_PER_LONG);
	hpvm_x2apic_write(APIC_EOI, 0);
	return 0;
}

static noinstr void window_open(void)
{
	native_load_idt(&window_idt);
	/* STI holds interrupts off for one more instruction: the NOP. */
	asm volatile("sti; nop; cli" : : : "memory");
	native_load_idt(&host_idt);
}

/**
 * hpvm_window_drain - take all vectors above the TPR out of the local APIC
 * @seen:	256-bit map to which the vectors are added
 * @limit:	give up after so many deliveries
 *
 * The in-service vectors must have been EOI'd, or they hold lower ones back.
 * Returns the number of deliveries; @limit means that a source goes on.
 */
unsigned int hpvm_window_drain(unsigned long *seen, unsigned int limit)
{
	struct hpvm_window *w = this_cpu_ptr(&hpvm_window);
	unsigned int before;

	w->count = 0;
	w->limit = limit;
	w->accept = 0;
	do {
		before = w->count;
		window_open();
	} while (w->count != before && w->count < limit);

	if (w->count) {
		bitmap_or(seen, seen, w->seen, NR_VECTORS);
		bitmap_zero(w->seen, NR_VECTORS);
	}
	return w->count;
}
EXPORT_SYMBOL_GPL(hpvm_window_drain);

/**
 * hpvm_window_accept - put a vector in service
 * @vector:	16-255; its class must be above those in service and the TPR's
 * @seen:	256-bit map to which other vectors that come up are added
 *
 * Returns false if the vector did not arrive, which the condition above excludes.
 */
bool hpvm_window_accept(u8 vector, unsigned long *seen)
{
	struct hpvm_window *w = this_cpu_ptr(&hpvm_window);
	unsigned int tries;

	w->count = 0;
	w->limit = NR_VECTORS;
	w->accept = vector;
	hpvm_x2apic_write(APIC_SELF_IPI, vector);
	for (tries = 0; w->accept && tries < 16; tries++)
		window_open();

	bitmap_or(seen, seen, w->seen, NR_VECTORS);
	bitmap_zero(w->seen, NR_VECTORS);
	return !w->accept;
}
EXPORT_SYMBOL_GPL(hpvm_window_accept);

/* The host's gates below 16, NMI and #DB among them, and the stubs. */
int __init hpvm_window_init(void)
{
	unsigned int v;

	BUILD_BUG_ON(HPVM_FIRST_VECTOR % 2);

	window_gates = (gate_desc *)get_zeroed_page(GFP_KERNEL);
	if (!window_gates)
		return -ENOMEM;

	store_idt(&host_idt);
	memcpy(window_gates, (void *)host_idt.address, host_idt.size + 1);
	for (v = HPVM_FIRST_VECTOR; v < NR_VECTORS; v++)
		pack_gate(&window_gates[v], GATE_INTERRUPT,
			  (unsigned long)hpvm_window_stubs +
			  (v - HPVM_FIRST_VECTOR) * HPVM_STUB_SIZE,
			  0, 0, __KERNEL_CS);
	window_idt.address = (unsigned long)window_gates;
	window_idt.size = host_idt.size;
	return 0;
}
