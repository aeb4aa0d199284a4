// SPDX-License-Identifier: GPL-2.0-only
/*
 * The circuit breaker: what mustn't happen has a VM held in ordinary mode until user space
 * releases it (KVM_HPVM_CTRL_RESET).
 *
 * Each cause is a reason to be ordinary of its own.  It's noted in whatever context it's
 * seen, NMIs among them; what follows of it, which is the same as when an administrator
 * holds a guest, is work.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": hpvm: " fmt

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kvm_host.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/ratelimit.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <asm/hpvm.h>

#include "direct.h"
#include "logic.h"
#include "trace.h"

static unsigned int late_ms = 10;
module_param_named(hpvm_late_ms, late_ms, uint, 0644);
MODULE_PARM_DESC(hpvm_late_ms,
		 "A guest that an event of the host doesn't get out of direct mode in so many ms is held in ordinary mode (default: 10; 0: never)");

static const char * const causes[] = {
	[HPVM_CAUSE_NMI]	= "NMIs that nobody has sent",
	[HPVM_CAUSE_LATE]	= "an event of the host came too late",
	[HPVM_CAUSE_STORM]	= "a storm of interrupts that doesn't end",
	[HPVM_CAUSE_ISR]	= "a vector that the local APIC doesn't take in service",
	[HPVM_CAUSE_STRAY]	= "interrupts of devices that keep arriving in the host",
};

/* So often within so many seconds is too often. */
static const struct {
	unsigned int seconds, times;
} limits[] = {
	/* One may be the fault of how they're counted. */
	[HPVM_CAUSE_NMI]	= { 10, 3 },
	[HPVM_CAUSE_LATE]	= { 1, 1 },
	/* The host handled nothing else for most of that time. */
	[HPVM_CAUSE_STORM]	= { 1, 100 },
	[HPVM_CAUSE_ISR]	= { 1, 1 },
	/* More than a vCPU's slow exits explain: the mode has lost its use. */
	[HPVM_CAUSE_STRAY]	= { 5, 100000 },
};

/* Softer than the hardest of contexts: the log, and whoever has to know. */
static void tripped(struct work_struct *work)
{
	struct kvm_hpvm_breaker *b = container_of(work, struct kvm_hpvm_breaker, work);
	unsigned long fresh = xchg(&b->fresh, 0);
	unsigned int i;

	for_each_set_bit(i, &fresh, HPVM_NR_CAUSES) {
		trace_kvm_hpvm_breaker(b->kvm->userspace_pid, b->vcpu_id[i],
				       KVM_HPVM_REASON_BREAKER_NMI << i);
		pr_warn_ratelimited("the VM of process %d is held in ordinary mode, vCPU %d: %s\n",
				    b->kvm->userspace_pid, b->vcpu_id[i], causes[i]);
	}
	kvm_hpvm_hold_changed(b->kvm);
}

static void tripped_irq(struct irq_work *irq_work)
{
	struct kvm_hpvm_breaker *b = container_of(irq_work, struct kvm_hpvm_breaker, irq_work);

	/* Not on this CPU, which is the guest's. */
	queue_work(system_unbound_wq, &b->work);
}

/**
 * kvm_hpvm_note - something has happened that mustn't, or not too often
 * @vcpu:	bound
 * @cause:	what
 *
 * On the pCPU, with IRQs off, or in NMI context.
 */
void kvm_hpvm_note(struct kvm_vcpu *vcpu, enum hpvm_cause cause)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	struct hpvm_rate *rate = &vcpu->arch.hpvm->rates[cause];
	struct kvm_hpvm_breaker *b = &vm->breaker;
	unsigned int times = limits[cause].times;
	u64 now = ktime_get_mono_fast_ns();

	if (IS_ENABLED(CONFIG_KVM_HPVM_KUNIT_TEST) && READ_ONCE(b->sensitive))
		times = min(times, b->sensitive);
	/* What it was held for, and was released from, isn't held against it again. */
	if (rate->since < READ_ONCE(b->reset_at))
		*rate = (struct hpvm_rate) { .since = now };
	if (!hpvm_too_often(rate, now, limits[cause].seconds * NSEC_PER_SEC, times))
		return;
	/* Until kvm_hpvm_breaker_end() the vCPUs are there. */
	if (READ_ONCE(vm->ended) || test_and_set_bit(cause, &b->causes))
		return;
	b->vcpu_id[cause] = vcpu->vcpu_id;
	/* Fully ordered on x86, as the xchg() in tripped() is: it sees which vCPU it was. */
	set_bit(cause, &b->fresh);
	irq_work_queue(&b->irq_work);
}

/*
 * <asm/hpvm.h>: what the host says of a CPU.  IRQs off, or NMI context.  It's no fault of the
 * mode's if the vCPU is ordinary.
 */
void kvm_hpvm_unclaimed_nmi(void *guest)
{
	struct kvm_vcpu *vcpu = guest;

	if (vcpu->arch.hpvm->direct)
		kvm_hpvm_note(vcpu, HPVM_CAUSE_NMI);
}

void kvm_hpvm_noticed(void *guest, u64 ns)
{
	unsigned int ms = READ_ONCE(late_ms);
	struct kvm_vcpu *vcpu = guest;

	if (ms && ns > ms * NSEC_PER_MSEC && vcpu->arch.hpvm->direct)
		kvm_hpvm_note(vcpu, HPVM_CAUSE_LATE);
}

/* User space has seen it, and wants the mode again.  Process context. */
void kvm_hpvm_breaker_reset(struct kvm *kvm)
{
	struct kvm_hpvm_breaker *b = &kvm->arch.hpvm->breaker;

	/* Before @causes: nobody counts on, and trips it again. */
	WRITE_ONCE(b->reset_at, ktime_get_mono_fast_ns());
	if (xchg(&b->causes, 0))
		kvm_hpvm_hold_changed(kvm);
}

void kvm_hpvm_breaker_init(struct kvm *kvm, struct kvm_hpvm_vm *vm)
{
	struct kvm_hpvm_breaker *b = &vm->breaker;

	b->kvm = kvm;
	init_irq_work(&b->irq_work, tripped_irq);
	INIT_WORK(&b->work, tripped);
}

/* Nobody notes anything any more: kvm_hpvm_vm.ended, and a grace period.  May sleep. */
void kvm_hpvm_breaker_end(struct kvm *kvm)
{
	irq_work_sync(&kvm->arch.hpvm->breaker.irq_work);
	cancel_work_sync(&kvm->arch.hpvm->breaker.work);
}

#if IS_ENABLED(CONFIG_KVM_HPVM_KUNIT_TEST)
/*
 * /sys/kernel/debug/kvm/PID-FD/hpvm_provoke, for tests: what the first vCPU's CPU gets to see.
 */
static void self_ipis(struct work_struct *work)
{
	unsigned int i;

	/* IRQs are on: each arrives in the host at once. */
	for (i = 0; i <= HPVM_STORM; i++)
		hpvm_x2apic_write(APIC_SELF_IPI, FIRST_EXTERNAL_VECTOR + 0x10);
}

static int provoke(struct kvm *kvm, const char *what)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);
	struct kvm_hpvm_vcpu *h;
	struct work_struct work;
	unsigned int i;

	if (!kvm->arch.hpvm || !vcpu)
		return -ENXIO;
	/* Who tests doesn't unbind meanwhile. */
	h = READ_ONCE(vcpu->arch.hpvm);
	if (!h)
		return -ENXIO;
	if (!strcmp(what, "nmi")) {
		for (i = 0; i < limits[HPVM_CAUSE_NMI].times; i++) {
			hpvm_send_unclaimed_nmi(h->pcpu);
			mdelay(1);
		}
	} else if (!strcmp(what, "one-nmi")) {
		hpvm_send_unclaimed_nmi(h->pcpu);
	} else if (!strcmp(what, "late")) {
		hpvm_lose_nmi(h->pcpu);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
	} else if (!strcmp(what, "isr")) {
		WRITE_ONCE(h->break_isr, true);
	} else if (!strcmp(what, "storm")) {
		INIT_WORK_ONSTACK(&work, self_ipis);
		queue_work_on(h->pcpu, system_wq, &work);
		flush_work(&work);
		destroy_work_on_stack(&work);
	} else if (!strcmp(what, "sensitive")) {
		WRITE_ONCE(kvm->arch.hpvm->breaker.sensitive, 1);
	} else {
		return -EINVAL;
	}
	return 0;
}

static ssize_t provoke_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	struct kvm *kvm = file->private_data;
	char what[16] = {};
	int r;

	if (size >= sizeof(what))
		return -EINVAL;
	if (copy_from_user(what, user, size))
		return -EFAULT;
	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;
	r = provoke(kvm, strim(what));
	kvm_put_kvm(kvm);
	return r ?: size;
}

static const struct file_operations provoke_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= provoke_write,
};

void kvm_hpvm_create_provoke(struct kvm *kvm)
{
	debugfs_create_file("hpvm_provoke", 0200, kvm->debugfs_dentry, kvm, &provoke_fops);
}
#endif
