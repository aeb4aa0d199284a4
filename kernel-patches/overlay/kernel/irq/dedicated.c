// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping device interrupts off dedicated CPUs.
 *
 * An interrupt's affinity says what its owner wants, and stays what it is, also
 * when it's written meanwhile.  What differs is the mask that its chip is told:
 * irq_do_set_affinity() leaves dedicated CPUs out of it.  So taking a CPU means
 * to program each interrupt that targets it once more, and so does giving it
 * back, when those that were here return.
 */
#include <linux/bitmap.h>
#include <linux/dedicated_cpus.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internals.h"

/* Changed with the caller's serialisation, read under any descriptor's lock. */
static struct cpumask irq_dedicated_mask;
/* The interrupts that were moved away from a CPU, by number. */
static DEFINE_PER_CPU(unsigned long *, irq_moved);
static DEFINE_PER_CPU(unsigned int, irq_moved_bits);

/*
 * Under the descriptor's lock.  An affinity of nothing but dedicated CPUs means
 * any other CPU for now.
 */
void __irq_avoid_dedicated_cpus(struct cpumask *mask)
{
	if (!cpumask_intersects(mask, &irq_dedicated_mask))
		return;
	if (!cpumask_andnot(mask, mask, &irq_dedicated_mask))
		cpumask_andnot(mask, cpu_online_mask, &irq_dedicated_mask);
}

static bool irq_has_left(struct irq_data *data, unsigned int cpu)
{
	return data->irq < per_cpu(irq_moved_bits, cpu) &&
	       test_bit(data->irq, per_cpu(irq_moved, cpu));
}

/*
 * Will the interrupt return to a dedicated CPU, as its owner still allows?  Then it was
 * only passing through those that were taken after that one.
 */
static bool irq_returns(struct irq_data *data)
{
	unsigned int cpu;

	for_each_cpu_and(cpu, irq_data_get_affinity_mask(data), &irq_dedicated_mask)
		if (irq_has_left(data, cpu))
			return true;
	return false;
}

static bool irq_is_on(struct irq_data *data, unsigned int cpu)
{
	if (!irqd_is_started(data) || irqd_is_per_cpu(data))
		return false;
	return cpumask_test_cpu(cpu, irq_data_get_effective_affinity_mask(data));
}

/*
 * Program the interrupt for @mask, now: one whose chip can't do it between two
 * interrupts is masked meanwhile, as CPU hotplug does.  Under the descriptor's lock.
 */
static int irq_program(struct irq_desc *desc, const struct cpumask *mask)
{
	struct irq_data *data = irq_desc_get_irq_data(desc);
	struct irq_chip *chip = irq_data_get_irq_chip(data);
	bool maskchip = !irq_can_move_pcntxt(data) && !irqd_irq_masked(data);
	int r;

	if (!chip || !chip->irq_set_affinity)
		return -EINVAL;
	if (maskchip && chip->irq_mask)
		chip->irq_mask(data);
	r = irq_do_set_affinity(data, mask, false);
	if (maskchip && chip->irq_unmask)
		chip->irq_unmask(data);
	return r;
}

/* Under the descriptor's lock.  Is the interrupt off the CPU now? */
static bool irq_move_off(struct irq_desc *desc, unsigned int cpu)
{
	struct irq_data *data = irq_desc_get_irq_data(desc);
	const struct cpumask *affinity = irq_data_get_affinity_mask(data);

	/* A move that waits for the next interrupt is what the owner wants last. */
	if (irq_fixup_move_pending(desc, true))
		affinity = irq_desc_get_pending_mask(desc);
	irq_program(desc, affinity);
	return !irq_is_on(data, cpu);
}

/* On the CPU, in a kworker. */
static long irq_move_all_off(void *unused)
{
	unsigned int irq, cpu = raw_smp_processor_id();
	unsigned long flags;
	struct irq_data *data;
	struct irq_desc *desc;
	long r = 0;

	irq_lock_sparse();
	for_each_active_irq(irq) {
		desc = irq_to_desc(irq);
		if (!desc)
			continue;
		raw_spin_lock_irqsave(&desc->lock, flags);
		data = irq_desc_get_irq_data(desc);
		if (irq_is_on(data, cpu)) {
			/* Of an earlier move; with that pending there's no other. */
			irq_force_complete_move(desc);
			if (irq_move_off(desc, cpu)) {
				if (irq < per_cpu(irq_moved_bits, cpu) && !irq_returns(data))
					__set_bit(irq, per_cpu(irq_moved, cpu));
			} else {
				pr_warn("CPU %u: interrupt %u can't be moved away\n", cpu, irq);
				r = -ENOTEMPTY;
			}
		}
		raw_spin_unlock_irqrestore(&desc->lock, flags);
	}
	irq_unlock_sparse();
	return r;
}

/*
 * On the CPU, in a kworker: free the vectors of what was moved, now that nothing can
 * be on its way to them.  Else that's done here when the interrupt comes again.
 */
static long irq_complete_moves(void *unused)
{
	unsigned long flags;
	struct irq_desc *desc;
	unsigned int irq;

	irq_lock_sparse();
	for_each_active_irq(irq) {
		desc = irq_to_desc(irq);
		if (!desc)
			continue;
		raw_spin_lock_irqsave(&desc->lock, flags);
		/* It looks for itself whether the interrupt was here. */
		irq_force_complete_move(desc);
		raw_spin_unlock_irqrestore(&desc->lock, flags);
	}
	irq_unlock_sparse();
	return 0;
}

/**
 * irq_dedicate_cpus - move device interrupts off CPUs and keep them off
 * @cpus:	online CPUs; see <linux/dedicated_cpus.h> for the context
 * @failed:	after an error, the CPU that it's about
 *
 * Interrupts that were raised before have been handled when it returns.
 *
 * Returns 0, -ENOMEM, or -ENOTEMPTY if there is one that can't be moved; the log
 * names it.  After an error the caller calls irq_release_cpus(), too.
 */
int irq_dedicate_cpus(const struct cpumask *cpus, unsigned int *failed)
{
	unsigned int cpu, bits = nr_irqs;
	long r;

	for_each_cpu(cpu, cpus) {
		*failed = cpu;
		per_cpu(irq_moved_bits, cpu) = bits;
		per_cpu(irq_moved, cpu) = bitmap_zalloc(bits, GFP_KERNEL);
		if (!per_cpu(irq_moved, cpu))
			return -ENOMEM;
		cpumask_set_cpu(cpu, &irq_dedicated_mask);
		static_branch_inc(&dedicated_cpus_key);
	}

	/*
	 * Twice longer than anything is on its way: what was sent before an earlier move
	 * to these CPUs, and what is sent to them now.
	 */
	usleep_range(2000, 4000);
	r = dedicated_cpus_call(cpus, irq_move_all_off, failed);
	usleep_range(2000, 4000);
	dedicated_cpus_call(cpus, irq_complete_moves, NULL);
	return r;
}

/*
 * Did the interrupt leave the CPU, or would it be there if that hadn't been dedicated:
 * one that the kernel manages and that has no CPU of its own now?
 */
static bool irq_belongs_to(struct irq_data *data, unsigned int cpu)
{
	const struct cpumask *affinity = irq_data_get_affinity_mask(data);

	if (!irqd_is_started(data) || !cpumask_test_cpu(cpu, affinity))
		return false;
	if (irq_has_left(data, cpu))
		return true;
	return irqd_affinity_is_managed(data) &&
	       !cpumask_intersects(irq_data_get_effective_affinity_mask(data), affinity);
}

/* Under the descriptor's lock; the caller is serialised. */
static void irq_move_back(struct irq_desc *desc, unsigned int cpu)
{
	struct cpumask *affinity = desc->irq_common_data.affinity;
	static struct cpumask wanted;

	/* A vector stays where it is as long as the affinity allows it. */
	cpumask_copy(&wanted, affinity);
	irq_program(desc, cpumask_of(cpu));
	cpumask_copy(affinity, &wanted);
}

/* Device interrupts may target the CPUs again; those that did, do again. */
void irq_release_cpus(const struct cpumask *cpus)
{
	unsigned long flags;
	struct irq_desc *desc;
	unsigned int irq, cpu;

	for_each_cpu(cpu, cpus) {
		/* There was no memory for it when the CPU was to be taken. */
		if (!per_cpu(irq_moved, cpu))
			continue;
		static_branch_dec(&dedicated_cpus_key);
		cpumask_clear_cpu(cpu, &irq_dedicated_mask);
	}

	irq_lock_sparse();
	for_each_active_irq(irq) {
		desc = irq_to_desc(irq);
		if (!desc)
			continue;
		raw_spin_lock_irqsave(&desc->lock, flags);
		for_each_cpu(cpu, cpus) {
			if (per_cpu(irq_moved, cpu) &&
			    irq_belongs_to(irq_desc_get_irq_data(desc), cpu)) {
				irq_move_back(desc, cpu);
				break;
			}
		}
		raw_spin_unlock_irqrestore(&desc->lock, flags);
	}
	irq_unlock_sparse();

	for_each_cpu(cpu, cpus) {
		bitmap_free(per_cpu(irq_moved, cpu));
		per_cpu(irq_moved, cpu) = NULL;
	}
}
