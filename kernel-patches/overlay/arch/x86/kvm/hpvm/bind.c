// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a pCPU is: taking CPUs for a VM, binding vCPUs to them; and the ioctls.
 *
 * A claim stands for "this CPU is dedicated".  It's held by the vCPU that is bound to
 * the CPU, and by whoever has a descriptor of it; with the last of them the CPU is the
 * host's again.  So a CPU can go from one VM to another without being an ordinary one
 * in between.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/dedicated_cpus.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include <asm/hpvm.h>
#include <asm/msr.h>

#include "../lapic.h"
#include "../x86.h"
#include "direct.h"

static char *hpvm_cpus;
module_param(hpvm_cpus, charp, 0644);
MODULE_PARM_DESC(hpvm_cpus,
		 "CPU list that a process without CAP_SYS_ADMIN may dedicate to its vCPUs (default: none)");

/**
 * struct kvm_hpvm_claim - a CPU that is dedicated, or about to be
 * @users:	the bound vCPU, and the descriptor's file
 * @pcpu:	the CPU
 * @taken:	it's dedicated: set before anyone else sees the claim
 * @vcpu:	bound to it; claims_lock
 */
struct kvm_hpvm_claim {
	refcount_t users;
	unsigned int pcpu;
	bool taken;
	struct kvm_vcpu *vcpu;
};

static DEFINE_SPINLOCK(claims_lock);

static struct kvm_hpvm_claim *claim_new(unsigned int pcpu)
{
	struct kvm_hpvm_claim *claim = kzalloc(sizeof(*claim), GFP_KERNEL_ACCOUNT);

	if (claim) {
		refcount_set(&claim->users, 1);
		claim->pcpu = pcpu;
	}
	return claim;
}

/*
 * Its CPU is dedicated.  The static key is on for as long, not only while a vCPU is
 * bound: a guest that is handed over needn't wait for kernel text to be patched.
 */
static void claim_taken(struct kvm_hpvm_claim *claim)
{
	claim->taken = true;
	static_branch_inc(&kvm_hpvm_key);
}

/* Whether it was the last user: the CPU will be the host's. */
static bool claim_put(struct kvm_hpvm_claim *claim)
{
	if (!refcount_dec_and_test(&claim->users))
		return false;
	if (claim->taken) {
		static_branch_dec(&kvm_hpvm_key);
		hpvm_cpu_give(claim->pcpu);
	}
	kfree(claim);
	return true;
}

/* For @vcpu alone; false: another one is bound there. */
static bool claim_bind(struct kvm_hpvm_claim *claim, struct kvm_vcpu *vcpu)
{
	guard(spinlock)(&claims_lock);
	if (claim->vcpu)
		return false;
	claim->vcpu = vcpu;
	return true;
}

static bool claim_unbind(struct kvm_hpvm_claim *claim)
{
	scoped_guard(spinlock, &claims_lock)
		claim->vcpu = NULL;
	return claim_put(claim);
}

static int claim_release(struct inode *inode, struct file *file)
{
	claim_put(file->private_data);
	return 0;
}

/* In /proc/PID/fdinfo: which CPU it is, for whoever was given the descriptor. */
static void claim_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kvm_hpvm_claim *claim = file->private_data;

	seq_printf(m, "kvm-hpvm-cpu:\t%u\n", claim->pcpu);
}

static const struct file_operations claim_fops = {
	.owner		= THIS_MODULE,
	.release	= claim_release,
	.show_fdinfo	= claim_show_fdinfo,
	.llseek		= noop_llseek,
};

static bool cpu_listed(unsigned int cpu)
{
	cpumask_var_t list;
	bool listed = false;

	if (!zalloc_cpumask_var(&list, GFP_KERNEL))
		return false;
	kernel_param_lock(THIS_MODULE);
	if (hpvm_cpus && !cpulist_parse(hpvm_cpus, list))
		listed = cpumask_test_cpu(cpu, list);
	kernel_param_unlock(THIS_MODULE);
	free_cpumask_var(list);
	return listed;
}

/* May the caller have @cpu, if it's free? */
static int may_take(unsigned int cpu)
{
	if (cpu >= nr_cpu_ids)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN) && !cpu_listed(cpu))
		return -EPERM;
	if (!hpvm_cpu_in_cpuset(cpu))
		return -EACCES;
	return 0;
}

/* For EBUSY; 0: not visible in the caller's PID namespace. */
static pid_t holder_of(unsigned int cpu)
{
	struct pid *holder = hpvm_cpu_get_holder(cpu);
	pid_t nr = pid_vnr(holder);

	put_pid(holder);
	return nr;
}

/* Give each CPU of @cpus to the caller, in @files; @failed: the index of an error's. */
static int take_files(struct kvm_hpvm_cpu *cpus, struct file **files, unsigned int nr,
		      unsigned int *failed)
{
	struct kvm_hpvm_claim *claim;
	unsigned int i, cpu;
	cpumask_var_t mask;
	int r;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;

	for (i = 0; i < nr; i++) {
		*failed = i;
		r = cpus[i].pad ? -EINVAL : may_take(cpus[i].pcpu);
		if (!r && cpumask_test_and_set_cpu(cpus[i].pcpu, mask))
			r = -EINVAL;
		if (r)
			goto out;
		claim = claim_new(cpus[i].pcpu);
		if (!claim) {
			r = -ENOMEM;
			goto out;
		}
		files[i] = anon_inode_getfile("kvm-hpvm-cpu", &claim_fops, claim,
					      O_CLOEXEC);
		if (IS_ERR(files[i])) {
			r = PTR_ERR(files[i]);
			files[i] = NULL;
			claim_put(claim);
			goto out;
		}
	}

	*failed = nr;
	r = hpvm_cpus_take(mask, task_tgid(current), &cpu);
	if (r) {
		for (i = 0; i < nr; i++)
			if (cpus[i].pcpu == cpu)
				*failed = i;
		if (r == -EBUSY && *failed < nr)
			cpus[*failed].holder_pid = holder_of(cpu);
		goto out;
	}
	if (kvm_hpvm_ops->cpus_taken)
		kvm_hpvm_ops->cpus_taken(mask);
	for (i = 0; i < nr; i++) {
		claim = files[i]->private_data;
		claim_taken(claim);
	}
out:
	free_cpumask_var(mask);
	return r;
}

static int take_cpus(struct kvm_hpvm_take __user *user)
{
	struct file **files = NULL;
	struct kvm_hpvm_cpu *cpus;
	struct kvm_hpvm_take head;
	unsigned int i, fds = 0;
	int r;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.flags || head.pad || !head.nr || head.nr > KVM_HPVM_MAX_CPUS)
		return -EINVAL;
	if (kvm_hpvm_host_off())
		return -ESHUTDOWN;

	cpus = vmemdup_array_user(user->cpus, head.nr, sizeof(*cpus));
	if (IS_ERR(cpus))
		return PTR_ERR(cpus);
	head.failed = head.nr;
	for (i = 0; i < head.nr; i++) {
		cpus[i].fd = -1;
		cpus[i].holder_pid = 0;
	}

	r = -ENOMEM;
	files = kvcalloc(head.nr, sizeof(*files), GFP_KERNEL_ACCOUNT);
	if (!files)
		goto out;
	for (; fds < head.nr; fds++) {
		r = get_unused_fd_flags(O_CLOEXEC);
		if (r < 0)
			goto out;
		cpus[fds].fd = r;
	}
	r = take_files(cpus, files, head.nr, &head.failed);
out:
	if (r)
		while (fds--) {
			put_unused_fd(cpus[fds].fd);
			cpus[fds].fd = -1;
		}
	if (copy_to_user(user, &head, sizeof(head)) ||
	    copy_to_user(user->cpus, cpus, head.nr * sizeof(*cpus))) {
		for (i = 0; !r && i < head.nr; i++)
			put_unused_fd(cpus[i].fd);
		r = -EFAULT;
	}
	/* The last thing: user space may close one as soon as it's there. */
	for (i = 0; files && i < head.nr; i++) {
		if (!r)
			fd_install(cpus[i].fd, files[i]);
		else if (files[i])
			fput(files[i]);
	}
	kvfree(files);
	kvfree(cpus);
	return r;
}

/* The claim that @bind is for, bound to @vcpu, with a reference; or an error. */
static struct kvm_hpvm_claim *claim_get(struct kvm_vcpu *vcpu, struct kvm_hpvm_bind *bind)
{
	struct kvm_hpvm_claim *claim;
	unsigned int cpu;
	int r;

	if (bind->flags & KVM_HPVM_BIND_FD) {
		CLASS(fd, f)(bind->fd);

		if (!fd_file(f) || fd_file(f)->f_op != &claim_fops)
			return ERR_PTR(-EBADF);
		claim = fd_file(f)->private_data;
		if (claim->pcpu != bind->pcpu)
			return ERR_PTR(-EINVAL);
		if (!claim_bind(claim, vcpu))
			return ERR_PTR(-EBUSY);
		refcount_inc(&claim->users);
		hpvm_cpu_set_holder(claim->pcpu, task_tgid(current));
		return claim;
	}

	r = may_take(bind->pcpu);
	if (r)
		return ERR_PTR(r);
	claim = claim_new(bind->pcpu);
	if (!claim)
		return ERR_PTR(-ENOMEM);
	r = hpvm_cpus_take(cpumask_of(bind->pcpu), task_tgid(current), &cpu);
	if (r) {
		claim_put(claim);
		return ERR_PTR(r);
	}
	if (kvm_hpvm_ops->cpus_taken)
		kvm_hpvm_ops->cpus_taken(cpumask_of(bind->pcpu));
	claim_taken(claim);
	claim->vcpu = vcpu;
	return claim;
}

/* Whether nobody has the CPU any more. */
static bool unbind(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;
	bool given;

	kvm_hpvm_table_unbind(vcpu);
	vcpu->arch.hpvm = NULL;
	given = claim_unbind(h->claim);
	kfree(h);
	return given;
}

static int bind(struct kvm_vcpu *vcpu, struct kvm_hpvm_bind *bind)
{
	struct kvm_hpvm_vcpu *h, *old = vcpu->arch.hpvm;
	struct kvm_hpvm_claim *claim;
	u64 adjust = 0;
	int r = 0;

	bind->holder_pid = 0;
	if ((bind->flags & ~(KVM_HPVM_BIND_FD | KVM_HPVM_BIND_PIN)) ||
	    (bind->fd && !(bind->flags & KVM_HPVM_BIND_FD)))
		return -EINVAL;

	if (bind->pcpu == KVM_HPVM_NO_CPU) {
		if (old) {
			kvm_hpvm_end(vcpu);
			if (unbind(vcpu))
				hpvm_cpus_given();
		}
		return 0;
	}
	if (!lapic_in_kernel(vcpu))
		return -ENXIO;
	if (!old && kvm_hpvm_host_off())
		return -ESHUTDOWN;
	if (old && old->pcpu == bind->pcpu)
		return bind->flags & KVM_HPVM_BIND_PIN ? dedicated_cpu_pin(bind->pcpu) : 0;

	h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		return -ENOMEM;
	claim = claim_get(vcpu, bind);
	if (IS_ERR(claim)) {
		r = PTR_ERR(claim);
		if (r == -EBUSY)
			bind->holder_pid = holder_of(bind->pcpu);
		goto free;
	}
	if (bind->flags & KVM_HPVM_BIND_PIN)
		r = dedicated_cpu_pin(bind->pcpu);
	if (r) {
		claim_unbind(claim);
		goto free;
	}

	h->claim = claim;
	h->pcpu = bind->pcpu;
	h->nested_until = jiffies;
	h->hlt_exits = !kvm_hlt_in_guest(vcpu->kvm);
	h->reasons = KVM_HPVM_REASON_NEVER_RAN;
	h->timer_reasons = KVM_HPVM_TIMER_REASON_ORDINARY;
	if (old) {
		h->hold = old->hold;
		h->report = old->report;
		h->told = old->told;
		h->tell = old->tell;
		kvm_hpvm_end(vcpu);
		unbind(vcpu);
	}
	if (boot_cpu_has(X86_FEATURE_TSC_ADJUST))
		h->host_adjust_is_0 =
			!rdmsrl_safe_on_cpu(h->pcpu, MSR_IA32_TSC_ADJUST, &adjust) &&
			!adjust;
	/* After the last call that may have sent the CPU an IPI. */
	h->nmi_kicks = READ_ONCE(per_cpu(hpvm_pcpu.nmi_claimed, h->pcpu));
	h->nmis_sent = atomic_read(&per_cpu(hpvm_pcpu.nmi_sent, h->pcpu));
	h->window_kicks = READ_ONCE(per_cpu(hpvm_pcpu.nmi_window, h->pcpu));
	vcpu->arch.hpvm = h;
	kvm_hpvm_table_bind(vcpu);
	kvm_hpvm_report_status(vcpu);
	return 0;
free:
	kfree(h);
	return r;
}

static int set_ctrl(struct kvm_vcpu *vcpu, const struct kvm_hpvm_ctrl *ctrl)
{
	if ((ctrl->change & ~(KVM_HPVM_CTRL_HOLD_ORDINARY | KVM_HPVM_CTRL_REPORT |
			      KVM_HPVM_CTRL_RESET)) ||
	    (ctrl->flags & ~(ctrl->change & KVM_HPVM_CTRL_HOLD_ORDINARY)) ||
	    (ctrl->report && !(ctrl->change & KVM_HPVM_CTRL_REPORT)))
		return -EINVAL;
	if (!vcpu->arch.hpvm)
		return -ENXIO;
	if (ctrl->change & KVM_HPVM_CTRL_REPORT)
		kvm_hpvm_set_report(vcpu, ctrl->report);
	if (ctrl->change & KVM_HPVM_CTRL_HOLD_ORDINARY)
		kvm_hpvm_set_held(vcpu, ctrl->flags & KVM_HPVM_CTRL_HOLD_ORDINARY);
	if (ctrl->change & KVM_HPVM_CTRL_RESET)
		kvm_hpvm_breaker_reset(vcpu->kvm);
	return 0;
}

static void get_state(struct kvm_vcpu *vcpu, struct kvm_hpvm_state *state)
{
	struct kvm_hpvm_vcpu *h = vcpu->arch.hpvm;

	state->pcpu = KVM_HPVM_NO_CPU;
	/* As KVM's timer counts. */
	state->apic_bus_khz = vcpu->kvm->arch.hpvm_bus_khz ?: hpvm_apic_bus_khz();
	if (h) {
		struct hpvm_pcpu *p = per_cpu_ptr(&hpvm_pcpu, h->pcpu);

		state->pcpu = h->pcpu;
		state->state = h->direct ? KVM_HPVM_STATE_DIRECT :
					   KVM_HPVM_STATE_ORDINARY;
		state->timer = h->timer;
		state->reasons = h->reasons;
		state->timer_reasons = h->timer_reasons;
		state->nmi_kicks = READ_ONCE(p->nmi_claimed) - h->nmi_kicks;
		state->nmis_sent = (u32)atomic_read(&p->nmi_sent) - h->nmis_sent;
		state->quiet_ns = hpvm_tsc_to_ns(h->quiet);
		state->since_timer_ns = hpvm_ns_since(vcpu->stat.hpvm_last_timer);
		state->window_kicks = READ_ONCE(p->nmi_window) - h->window_kicks;
		state->ctrl_flags = h->hold ? KVM_HPVM_CTRL_HOLD_ORDINARY : 0;
		state->report = h->report;
	}
	state->direct_entries = vcpu->stat.hpvm_direct_entries;
	state->direct_leaves = vcpu->stat.hpvm_direct_leaves;
	state->recorded = vcpu->stat.hpvm_recorded;
	state->reposted = vcpu->stat.hpvm_reposted;
	state->in_service = vcpu->stat.hpvm_in_service;
	state->eoi_intercepts = vcpu->stat.hpvm_eoi_intercepts;
	state->ipis = vcpu->stat.hpvm_ipis;
	state->slow_exits = vcpu->stat.hpvm_slow_exits;
}

/* vcpu->mutex held, vCPU loaded. */
int kvm_hpvm_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	union {
		struct kvm_hpvm_bind bind;
		struct kvm_hpvm_ctrl ctrl;
		struct kvm_hpvm_state state;
	} u = {};
	int r;

	if (!vcpu->kvm->arch.hpvm_features)
		return -ENXIO;

	switch (ioctl) {
	case KVM_HPVM_BIND:
		if (copy_from_user(&u.bind, argp, sizeof(u.bind)))
			return -EFAULT;
		r = bind(vcpu, &u.bind);
		if (copy_to_user(argp, &u.bind, sizeof(u.bind)))
			return -EFAULT;
		return r;
	case KVM_HPVM_SET_CTRL:
		if (copy_from_user(&u.ctrl, argp, sizeof(u.ctrl)))
			return -EFAULT;
		return set_ctrl(vcpu, &u.ctrl);
	case KVM_HPVM_GET_STATE:
		get_state(vcpu, &u.state);
		return copy_to_user(argp, &u.state, sizeof(u.state)) ? -EFAULT : 0;
	}
	return -ENOTTY;
}

int kvm_hpvm_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	if (!kvm->arch.hpvm_features)
		return -ENXIO;

	switch (ioctl) {
	case KVM_HPVM_TAKE_CPUS:
		return take_cpus(argp);
	case KVM_HPVM_GET_IRQS:
		return kvm_hpvm_get_irqs(kvm, argp);
	}
	return -ENOTTY;
}

/* The vCPU doesn't run any more; it isn't loaded. */
void kvm_hpvm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.hpvm)
		unbind(vcpu);
}
