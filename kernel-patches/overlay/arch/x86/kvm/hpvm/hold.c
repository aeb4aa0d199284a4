// SPDX-License-Identifier: GPL-2.0-only
/*
 * Held in ordinary mode: a vCPU by user space (KVM_HPVM_SET_CTRL), a VM by the circuit
 * breaker (breaker.c), and all guests of the host by the administrator, with the parameter
 * kvm.hpvm.
 *
 * Each is a reason to be ordinary, as any other is.  The administrator doesn't wait for
 * vCPUs: what is wanted is written first, then each vCPU is asked to decide again, which
 * it does before it enters its guest.  The interrupts of devices are decided at once, also
 * those of vCPUs that don't run.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "direct.h"
#include "trace.h"

enum host_mode {
	HOST_AUTO,	/* guests are direct whenever they can be */
	HOST_HOLD,	/* they are ordinary */
	HOST_OFF,	/* and no other guest gets the mode */
};

static const char * const host_modes[] = {
	[HOST_AUTO]	= "auto",
	[HOST_HOLD]	= "hold",
	[HOST_OFF]	= "off",
};

/* Written with the lock of parameters held. */
static enum host_mode host_mode;

/* Does the administrator hold all guests?  Any context. */
bool kvm_hpvm_host_held(void)
{
	return READ_ONCE(host_mode) != HOST_AUTO;
}

/* May no guest get the mode that doesn't have it?  Any context. */
bool kvm_hpvm_host_off(void)
{
	return READ_ONCE(host_mode) == HOST_OFF;
}

/*
 * Whether the VM's vCPUs are held has changed.  Process context, may sleep.
 *
 * kvm_make_all_cpus_request() is a full barrier between what has changed and the request
 * that a vCPU sees.  One that decides before it has the request decides again.
 */
void kvm_hpvm_hold_changed(struct kvm *kvm)
{
	u64 reasons = kvm_hpvm_breaker_reasons(kvm);

	if (kvm_hpvm_host_held())
		reasons |= KVM_HPVM_REASON_HOST_HELD;
	trace_kvm_hpvm_hold(kvm->userspace_pid, reasons);
	kvm_make_all_cpus_request(kvm, KVM_REQ_HPVM);
	kvm_hpvm_update_irqs(kvm);
}

static int set_host_mode(const char *val, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(host_modes, val);
	unsigned int vms = 0;
	struct kvm *kvm;

	if (mode < 0)
		return mode;
	if (mode == host_mode)
		return 0;
	WRITE_ONCE(host_mode, mode);

	/*
	 * A VM leaves the list, under this lock, before it's freed.  One that has the mode
	 * only now has no vCPU yet.
	 */
	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		if (!kvm->arch.hpvm)
			continue;
		kvm_hpvm_hold_changed(kvm);
		vms++;
	}
	mutex_unlock(&kvm_lock);

	pr_info("kvm.hpvm=%s: %u guests %s%s\n", host_modes[mode], vms,
		mode == HOST_AUTO ? "may be in direct mode" : "are held in ordinary mode",
		mode == HOST_OFF ? ", and others are refused" : "");
	return 0;
}

static int get_host_mode(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", host_modes[host_mode]);
}

static const struct kernel_param_ops host_mode_ops = {
	.set = set_host_mode,
	.get = get_host_mode,
};

module_param_cb(hpvm, &host_mode_ops, NULL, 0644);
MODULE_PARM_DESC(hpvm,
		 "Direct mode of guests that have it: auto (default), hold (all of them are ordinary), off (and no other guest gets it)");
