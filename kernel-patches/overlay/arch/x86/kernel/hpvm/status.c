// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a dedicated CPU has seen of the host since it was taken, for
 * administrators and benchmarks: /sys/kernel/debug/hpvm/cpuN, one file for each
 * dedicated CPU, lines of a name and a number; and "host", whether this host can
 * dedicate CPUs.  Documentation/virt/kvm/x86/hpvm.rst has the names.  Reading
 * doesn't disturb the CPU.
 */
#include <linux/cpufeature.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/irq.h>
#include <linux/kernel_stat.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/seq_file.h>

#include <asm/apic.h>
#include <asm/hardirq.h>
#include <asm/hpvm.h>
#include <asm/irq.h>
#include <asm/irq_remapping.h>

#include "cpu.h"

static const char * const work_names[HPVM_NR_WORK] = {
	[HPVM_WORK_RESCHEDULE]			= "nmi_reschedule",
	[HPVM_WORK_CALL_FUNCTION]		= "nmi_call_function",
	[HPVM_WORK_CALL_FUNCTION_SINGLE]	= "nmi_call_function_single",
	[HPVM_WORK_IRQ_WORK]			= "nmi_irq_work",
	[HPVM_WORK_TIMER]			= "nmi_timer",
	[HPVM_WORK_REBOOT]			= "nmi_reboot",
};

/* Counters that only grow; what they were when the CPU was taken is taken off. */
struct hpvm_counts {
	ktime_t time;
	u64 irqs;
	u64 ticks;
	u64 switches;
	u64 doorbells;
	u64 nmis;
	u64 nmis_sent[HPVM_NR_WORK];
	u32 sent;
	u32 claimed;
};

static DEFINE_PER_CPU(struct hpvm_counts, hpvm_counts);
static DEFINE_PER_CPU(struct dentry *, hpvm_file);
static struct dentry *hpvm_dir;

static void count(unsigned int cpu, struct hpvm_counts *c)
{
	const struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);
	const irq_cpustat_t *stat = per_cpu_ptr(&irq_stat, cpu);
	unsigned int i;

	c->time = ktime_get();
	c->irqs = kstat_cpu_irqs_sum(cpu);
	c->ticks = READ_ONCE(p->clock.events);
	c->switches = nr_context_switches_cpu(cpu);
	c->doorbells = READ_ONCE(stat->x86_platform_ipis);
	c->nmis = READ_ONCE(stat->__nmi_count);
	for (i = 0; i < HPVM_NR_WORK; i++)
		c->nmis_sent[i] = atomic_read(&p->nmis_sent[i]);
	c->sent = atomic_read(&p->nmi_sent);
	c->claimed = READ_ONCE(p->nmi_claimed);
}

/* 0 if @tsc is 0: never.  The TSCs of two CPUs may differ a little. */
u64 hpvm_ns_since(u64 tsc)
{
	s64 ticks = rdtsc() - tsc;

	return tsc && ticks > 0 ? hpvm_tsc_to_ns(ticks) : 0;
}
EXPORT_SYMBOL_GPL(hpvm_ns_since);

static int hpvm_status_show(struct seq_file *m, void *unused)
{
	unsigned int i, cpu = (unsigned long)m->private;
	struct hpvm_counts now, *then = per_cpu_ptr(&hpvm_counts, cpu);
	const struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, cpu);

	count(cpu, &now);
	seq_printf(m, "pid %d\n", pid_vnr(p->holder));
	seq_printf(m, "vcpu %d\n", READ_ONCE(p->vcpu.id));
	seq_printf(m, "direct %d\n", READ_ONCE(p->vcpu.direct));
	seq_printf(m, "timer %u\n", READ_ONCE(p->vcpu.timer));
	seq_printf(m, "reasons %#llx\n", READ_ONCE(p->vcpu.reasons));
	seq_printf(m, "timer_reasons %#llx\n", READ_ONCE(p->vcpu.timer_reasons));
	seq_printf(m, "nanoseconds %lld\n", ktime_to_ns(ktime_sub(now.time, then->time)));
	seq_printf(m, "device_interrupts %llu\n", now.irqs - then->irqs);
	seq_printf(m, "timer_events %llu\n", now.ticks - then->ticks);
	seq_printf(m, "context_switches %llu\n", now.switches - then->switches);
	seq_printf(m, "doorbells %llu\n", now.doorbells - then->doorbells);
	seq_printf(m, "nanoseconds_since_exit %llu\n", hpvm_ns_since(READ_ONCE(p->vcpu.last_exit)));
	seq_printf(m, "nanoseconds_since_timer %llu\n",
		   hpvm_ns_since(READ_ONCE(p->vcpu.last_timer)));
	seq_printf(m, "nmis %u\n", (u32)(now.nmis - then->nmis));
	seq_printf(m, "nmis_sent %u\n", now.sent - then->sent);
	seq_printf(m, "nmis_claimed %u\n", now.claimed - then->claimed);
	for (i = 0; i < HPVM_NR_WORK; i++)
		seq_printf(m, "%s %u\n", work_names[i],
			   (u32)(now.nmis_sent[i] - then->nmis_sent[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hpvm_status);

static int hpvm_host_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "supported %d\n", hpvm_cpu_supported());
	seq_printf(m, "x2apic %d\n", x2apic_enabled());
	seq_printf(m, "fred %d\n", cpu_feature_enabled(X86_FEATURE_FRED));
	seq_printf(m, "doorbell %d\n", !x86_platform_ipi_callback ||
		   x86_platform_ipi_callback == hpvm_doorbell);
	seq_printf(m, "isolation %d\n", IS_ENABLED(CONFIG_DEDICATED_CPUS));
	seq_printf(m, "device_irqs %d\n", irq_remapping_guest_vectors());
	seq_printf(m, "apic_bus_khz %u\n", hpvm_apic_bus_khz());
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hpvm_host);

void __init hpvm_status_init(void)
{
	hpvm_dir = debugfs_create_dir("hpvm", NULL);
	debugfs_create_file("host", 0400, hpvm_dir, NULL, &hpvm_host_fops);
}

/* Opening it counts as a use, which debugfs_remove() waits for. */
void hpvm_status_add(unsigned int cpu)
{
	char name[16];

	count(cpu, per_cpu_ptr(&hpvm_counts, cpu));
	snprintf(name, sizeof(name), "cpu%u", cpu);
	per_cpu(hpvm_file, cpu) = debugfs_create_file(name, 0400, hpvm_dir,
						      (void *)(unsigned long)cpu,
						      &hpvm_status_fops);
}

void hpvm_status_remove(unsigned int cpu)
{
	debugfs_remove(per_cpu(hpvm_file, cpu));
}
