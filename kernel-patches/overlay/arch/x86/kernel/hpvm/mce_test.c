// SPDX-License-Identifier: GPL-2.0-only
/*
 * Corrected errors while a CPU is dedicated: somebody sees each.
 *
 * Errors are noted by writes to IA32_MCi_STATUS, which a processor refuses: for emulated
 * ones only.  Of the banks, 4 and up are to be shared by all CPUs.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/notifier.h>
#include <linux/pid.h>
#include <linux/smp.h>

#include <asm/cpufeature.h>
#include <asm/hpvm.h>
#include <asm/mce.h>
#include <asm/msr.h>

#define OWN_BANK	1
#define SHARED_BANK	5
/* The CPU that is taken, and the one that isn't. */
#define TAKEN		1
#define OTHER		0

static DECLARE_COMPLETION(seen);
static unsigned int seen_bank, seen_by;

static int see(struct notifier_block *nb, unsigned long val, void *data)
{
	struct mce *m = data;

	seen_bank = m->bank;
	seen_by = m->extcpu;
	complete(&seen);
	return NOTIFY_OK;
}

static struct notifier_block seer = { .notifier_call = see, .priority = MCE_PRIO_LOWEST };

static void note_error(unsigned int cpu, unsigned int bank)
{
	wrmsrl_on_cpu(cpu, MSR_IA32_MC0_STATUS + 4 * bank,
		      MCI_STATUS_VAL | MCI_STATUS_EN | 0x0136);
}

/* The CPU that sees an error, or -1. */
static int who_sees(unsigned int noted_by, unsigned int bank)
{
	reinit_completion(&seen);
	note_error(noted_by, bank);
	if (!wait_for_completion_timeout(&seen, HZ))
		return -1;
	return seen_bank == bank ? seen_by : -1;
}

static void disown(void *unused)
{
	cmci_clear();
}

static void own(void *unused)
{
	cmci_reenable();
}

static bool polls(unsigned int cpu, unsigned int bank)
{
	return test_bit(bank, per_cpu(mce_poll_banks, cpu));
}

static void corrected_errors_are_seen_while_a_cpu_is_dedicated(struct kunit *test)
{
	unsigned int failed;
	u64 cap;

	if (!boot_cpu_has(X86_FEATURE_MCA) || !boot_cpu_has(X86_FEATURE_HYPERVISOR) ||
	    boot_cpu_data.x86_vendor != X86_VENDOR_INTEL ||
	    rdmsrl_safe(MSR_IA32_MCG_CAP, &cap) || !(cap & MCG_CMCI_P))
		kunit_skip(test, "no emulated CMCI");
	if (num_online_cpus() != 2 || !hpvm_cpu_supported())
		kunit_skip(test, "CPU %u can't be dedicated, or there are more", TAKEN);

	/* That it owns the shared banks, as the first of a socket does. */
	smp_call_function_single(OTHER, disown, NULL, true);
	smp_call_function_single(TAKEN, own, NULL, true);
	smp_call_function_single(OTHER, own, NULL, true);
	mce_register_decode_chain(&seer);
	KUNIT_EXPECT_EQ(test, who_sees(OTHER, SHARED_BANK), TAKEN);
	KUNIT_EXPECT_EQ(test, who_sees(TAKEN, OWN_BANK), TAKEN);

	if (hpvm_cpus_take(cpumask_of(TAKEN), task_pid(current), &failed)) {
		KUNIT_FAIL(test, "CPU %u can't be dedicated", TAKEN);
		goto out;
	}
	KUNIT_EXPECT_EQ(test, who_sees(OTHER, SHARED_BANK), OTHER);
	KUNIT_EXPECT_EQ(test, who_sees(TAKEN, SHARED_BANK), OTHER);
	KUNIT_EXPECT_FALSE(test, polls(TAKEN, SHARED_BANK));
	/* Its own has no owner, so the poll sees to it, or else giving back. */
	KUNIT_EXPECT_TRUE(test, polls(TAKEN, OWN_BANK));
	KUNIT_EXPECT_EQ(test, who_sees(TAKEN, OWN_BANK), -1);
	reinit_completion(&seen);
	hpvm_cpu_give(TAKEN);
	hpvm_cpus_given();
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&seen, HZ), 0UL);
	KUNIT_EXPECT_EQ(test, seen_bank, OWN_BANK);

	KUNIT_EXPECT_FALSE(test, polls(TAKEN, OWN_BANK));
	KUNIT_EXPECT_EQ(test, who_sees(TAKEN, OWN_BANK), TAKEN);
	KUNIT_EXPECT_EQ(test, who_sees(TAKEN, SHARED_BANK), OTHER);
out:
	mce_unregister_decode_chain(&seer);
}

static struct kunit_case hpvm_mce_cases[] = {
	KUNIT_CASE(corrected_errors_are_seen_while_a_cpu_is_dedicated),
	{}
};

static struct kunit_suite hpvm_mce_suite = {
	.name = "hpvm_mce",
	.test_cases = hpvm_mce_cases,
};
kunit_test_suite(hpvm_mce_suite);
