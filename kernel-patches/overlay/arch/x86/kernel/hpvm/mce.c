// SPDX-License-Identifier: GPL-2.0-only
/*
 * Corrected machine-check errors while CPUs are dedicated.
 *
 * Intel: CMCI of a bank goes to one CPU of those that share the bank, its owner, and
 * only there is it seen; the others don't even poll it.  A dedicated CPU's LVTCMCI is
 * masked (cpu.c), so it owns none: cmci_discover() claims no banks there.  Those that
 * it shares (memory controller, caches, UPI) have another owner from taking to giving
 * back.  Its own, and those that dedicated CPUs alone share, are in the CPU's poll,
 * every 5 minutes.  (SDM vol. 3B 15.5, "Corrected machine-check error interrupt")
 *
 * AMD: each CPU polls all of its banks anyway, dedicated or not.
 */
#include <linux/cpumask.h>
#include <linux/smp.h>

#include <asm/cpufeature.h>
#include <asm/hpvm.h>
#include <asm/mce.h>
#include <asm/msr.h>

#include "cpu.h"

static bool hpvm_host_has_cmci(void)
{
	u64 cap;

	if (!boot_cpu_has(X86_FEATURE_MCA))
		return false;
	rdmsrl(MSR_IA32_MCG_CAP, cap);
	return cap & MCG_CMCI_P;
}

static bool hpvm_not_dedicated(int cpu, void *unused)
{
	return !per_cpu(hpvm_pcpu.dedicated, cpu);
}

static void hpvm_mce_disown(void *unused)
{
	cmci_clear();
}

/*
 * CMCI tells that a bank's count has come to its threshold, once; what came while the
 * bank had no owner is to be looked for.
 */
static void hpvm_mce_discover(void *unused)
{
	cmci_reenable();
	cmci_recheck();
}

/* The CPUs are dedicated by now.  Process context. */
void hpvm_mce_take(const struct cpumask *cpus)
{
	if (!hpvm_host_has_cmci())
		return;
	on_each_cpu_mask(cpus, hpvm_mce_disown, NULL, true);
	/* The others first: what they don't claim is left to the poll. */
	on_each_cpu_cond(hpvm_not_dedicated, hpvm_mce_discover, NULL, true);
	on_each_cpu_mask(cpus, hpvm_mce_discover, NULL, true);
}

/* The CPUs aren't dedicated any more.  Process context. */
void hpvm_mce_give(const struct cpumask *cpus)
{
	if (hpvm_host_has_cmci())
		on_each_cpu_mask(cpus, hpvm_mce_discover, NULL, true);
}
