// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of a guest that arrive while its CPU is in the host.
 *
 * Other CPUs and devices send them straight to the local APIC of a dedicated CPU.
 * They stop when the guest is left, but one that is on its way then arrives when
 * it likes, IRQs on, in the host's IDT: its vector means nothing to the host or,
 * worse, something.  Nothing else comes to a dedicated CPU with another vector than
 * the doorbell's (<asm/hpvm.h> says who sees to that), so it is the guest's.
 */
#include <linux/bitops.h>
#include <linux/export.h>
#include <linux/hardirq.h>
#include <linux/percpu.h>
#include <linux/stop_machine.h>

#include <asm/hpvm.h>
#include <asm/hpvm_stray.h>

DEFINE_STATIC_KEY_FALSE(hpvm_stray_key);
DEFINE_PER_CPU(bool, hpvm_has_guest);

/* The vector in service that is being handled: the highest; 0 if none is. */
static u8 hpvm_vector_in_service(void)
{
	unsigned int word;
	u32 isr;

	for (word = NR_VECTORS / 32 - 1; word; word--) {
		isr = hpvm_x2apic_read(APIC_ISR + word * 0x10);
		if (isr)
			return word * 32 + __fls(isr);
	}
	return 0;
}

bool __hpvm_stray(void)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	bool done = true;
	u8 vector;

	vector = hpvm_vector_in_service();
	if (!vector || (vector == POSTED_INTR_VECTOR && READ_ONCE(p->posted)))
		return false;

	__irq_enter_raw();
	if (vector == X86_PLATFORM_IPI_VECTOR) {
		done = hpvm_kicked(p);
	} else {
		hpvm_x2apic_write(APIC_EOI, 0);
		p->ops->stray(p->guest, vector);
	}
	__irq_exit_raw();
	return done;
}

static int switch_tasks(void *unused)
{
	return 0;
}

/**
 * hpvm_switch_tasks - have a CPU's current task leave it for a moment
 * @cpu:	the CPU
 *
 * What its preempt notifiers do is done again.  Process context, may sleep.
 */
void hpvm_switch_tasks(unsigned int cpu)
{
	stop_one_cpu(cpu, switch_tasks, NULL);
}
EXPORT_SYMBOL_GPL(hpvm_switch_tasks);

struct hpvm_guest {
	const struct hpvm_guest_ops *ops;
	void *guest;
};

static void set_guest(void *data)
{
	struct hpvm_pcpu *p = this_cpu_ptr(&hpvm_pcpu);
	struct hpvm_guest *g = data;

	/* An NMI may come in between: to this CPU, so that program order is enough. */
	WRITE_ONCE(p->ops, NULL);
	barrier();
	p->guest = g->guest;
	barrier();
	WRITE_ONCE(p->ops, g->ops);
	this_cpu_write(hpvm_has_guest, g->ops);
}

/**
 * hpvm_set_guest - whose the interrupts of a dedicated CPU are
 * @cpu:	a CPU that hpvm_cpu_take() took
 * @ops:	what to tell of; NULL: interrupts are the host's again
 * @guest:	passed to it; not used any more after hpvm_set_guest(@cpu, NULL, NULL)
 *
 * Process context, may sleep.  Before NULL is set nobody may send any more.
 */
void hpvm_set_guest(unsigned int cpu, const struct hpvm_guest_ops *ops, void *guest)
{
	struct hpvm_guest g = { ops, guest };

	smp_call_function_single(cpu, set_guest, &g, 1);
}
EXPORT_SYMBOL_GPL(hpvm_set_guest);
