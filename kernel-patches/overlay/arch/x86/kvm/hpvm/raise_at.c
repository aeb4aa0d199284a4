// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: work of the host for a dedicated CPU that comes at a given instruction, as
 * if an NMI had come there.
 *
 * An address written to /sys/kernel/debug/hpvm/raise_at gets a breakpoint on each CPU,
 * whose exception raises the work; 0 ends that.  The file reads as the number of times
 * it happened.  An address between two instructions has no effect.
 */
#include <linux/debugfs.h>
#include <linux/hw_breakpoint.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/perf_event.h>
#include <linux/smp.h>

#include <asm/hpvm.h>

static DEFINE_MUTEX(raise_at_lock);
static struct perf_event * __percpu *raise_at;
static struct dentry *raise_at_file;
static atomic_t raised;

/* What the NMI's handler does when it finds work: see hpvm_notice(). */
static void raise_here(struct perf_event *bp, struct perf_sample_data *data,
		       struct pt_regs *regs)
{
	if (!this_cpu_read(hpvm_pcpu.dedicated))
		return;
	atomic_inc(&raised);
	hpvm_raise(raw_smp_processor_id(), HPVM_WORK_RESCHEDULE);
}

static int raise_at_set(void *unused, u64 address)
{
	struct perf_event * __percpu *bp = NULL;
	struct perf_event_attr attr;

	guard(mutex)(&raise_at_lock);
	if (raise_at)
		unregister_wide_hw_breakpoint(raise_at);
	raise_at = NULL;
	atomic_set(&raised, 0);
	if (!address)
		return 0;

	hw_breakpoint_init(&attr);
	attr.bp_addr = address;
	attr.bp_len = sizeof(long);
	attr.bp_type = HW_BREAKPOINT_X;
	bp = register_wide_hw_breakpoint(&attr, raise_here, NULL);
	if (IS_ERR((void __force *)bp))
		return PTR_ERR((void __force *)bp);
	raise_at = bp;
	return 0;
}

static int raise_at_get(void *unused, u64 *value)
{
	*value = atomic_read(&raised);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(raise_at_fops, raise_at_get, raise_at_set, "%llu\n");

static int __init raise_at_init(void)
{
	struct dentry *dir = debugfs_lookup("hpvm", NULL);

	raise_at_file = debugfs_create_file_unsafe("raise_at", 0600, dir, NULL,
						   &raise_at_fops);
	dput(dir);
	return 0;
}
/* The directory is made by a late_initcall of the kernel's own. */
late_initcall_sync(raise_at_init);

static void __exit raise_at_exit(void)
{
	debugfs_remove(raise_at_file);
	raise_at_set(NULL, 0);
}
module_exit(raise_at_exit);

MODULE_DESCRIPTION("Work of the host at a given instruction, for tests of KVM's direct mode");
MODULE_LICENSE("GPL");
