// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of assigned devices, straight into the guest: the IOMMU's
 * interrupt-remapping table entry (IRTE) of an MSI names the guest's vector and the
 * local APIC of the pCPU.
 *
 * An interrupt goes so as long as its route says one vCPU, which is bound, and a
 * vector that needs no attention of KVM's; it's decided again whenever one of these
 * changes.  If the vCPU is in ordinary mode just then, or in the host, the
 * interrupt arrives there and is taken for the guest's (kernel/hpvm/stray.c).
 * All others stay the host's, which signals KVM's irqfd.
 *
 * Nothing is lost in a change: what the device raises goes the old or the new way.
 */
#include <linux/debugfs.h>
#include <linux/interrupt.h>
#include <linux/irqbypass.h>
#include <linux/kvm_host.h>
#include <linux/kvm_irqfd.h>
#include <linux/list.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/hpvm_irte.h>
#include <asm/irq_remapping.h>

#include "../irq.h"
#include "../lapic.h"
#include "direct.h"
#include "logic.h"

/**
 * struct kvm_hpvm_device_irq - an MSI of an assigned device, from the time its irqfd
 *				and VFIO have found each other
 * @link:	in kvm_hpvm_vm.irqs
 * @irqfd:	which has the route, and VFIO's producer
 * @irte:	what the table has
 * @decided:	kvm_hpvm_vm.irqs_changed when it was decided last by kvm_hpvm_update_irqs()
 * @info:	how it goes, for user space
 *
 * All of it is protected by kvm->irqfds.lock.
 */
struct kvm_hpvm_device_irq {
	struct list_head link;
	struct kvm_kernel_irqfd *irqfd;
	struct hpvm_irte irte;
	unsigned long decided;
	struct kvm_hpvm_irq info;
};

/* So many are decided with IRQs off: a guest can have it done as often as it likes. */
#define IRQS_AT_ONCE	16

/* KVM_HPVM_IRQ_REASON_*: what of the vCPU is in the way? */
static u64 vcpu_reasons(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	u64 why = 0;

	if (vcpu->vcpu_id >= HPVM_APIC_IDS || !test_bit(vcpu->vcpu_id, vm->bound))
		why |= KVM_HPVM_IRQ_REASON_UNBOUND;
	else if (test_bit(vcpu->vcpu_id, vm->held) || kvm_hpvm_host_held() ||
		 kvm_hpvm_breaker_reasons(vcpu->kvm))
		why |= KVM_HPVM_IRQ_REASON_HELD;
	if (!apic_x2apic_mode(vcpu->arch.apic))
		why |= KVM_HPVM_IRQ_REASON_NOT_X2APIC;
	return why;
}

/* Decide; irqfds.lock held. */
static void find_way(struct kvm *kvm, struct kvm_hpvm_device_irq *d)
{
	struct kvm_kernel_irq_routing_entry *e = &d->irqfd->irq_entry;
	struct kvm_lapic_irq irq;
	struct kvm_vcpu *vcpu;

	d->info = (struct kvm_hpvm_irq) {
		.gsi = d->irqfd->gsi,
		.host_irq = d->irqfd->producer->irq,
		.vcpu_id = KVM_HPVM_NO_CPU,
		.pcpu = KVM_HPVM_NO_CPU,
	};
	if (!(kvm->arch.hpvm_features & KVM_HPVM_F_IRQ))
		d->info.reasons |= KVM_HPVM_IRQ_REASON_POLICY;
	if (e->type != KVM_IRQ_ROUTING_MSI) {
		d->info.reasons |= KVM_HPVM_IRQ_REASON_NOT_MSI;
		return;
	}

	kvm_set_msi_irq(kvm, e, &irq);
	d->info.vector = irq.vector;
	d->info.reasons |= hpvm_msi_reasons(irq.vector, irq.delivery_mode,
					    irq.trig_mode);
	if (!kvm_intr_is_single_vcpu(kvm, &irq, &vcpu)) {
		d->info.reasons |= KVM_HPVM_IRQ_REASON_NOT_ONE_VCPU;
		return;
	}
	d->info.vcpu_id = vcpu->vcpu_id;
	d->info.reasons |= vcpu_reasons(vcpu);
}

static int set_irte(struct kvm_hpvm_device_irq *d, const struct hpvm_irte *irte)
{
	int r = irq_set_vcpu_affinity(d->irqfd->producer->irq, hpvm_irte_to_info(irte));

	if (!r)
		d->irte = *irte;
	return r;
}

/* Decide, and write the IRTE; irqfds.lock held. */
static void update_way(struct kvm *kvm, struct kvm_hpvm_device_irq *d)
{
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	struct hpvm_irte irte = {};

	find_way(kvm, d);
	if (!d->info.reasons) {
		d->info.pcpu = vm->pcpu[d->info.vcpu_id];
		irte.guest = true;
		irte.vector = d->info.vector;
		irte.apicid = vm->phys[d->info.vcpu_id];
	}
	/* The guest can have it decided as often as it likes; a write is expensive. */
	if (irte.guest == d->irte.guest && irte.vector == d->irte.vector &&
	    irte.apicid == d->irte.apicid)
		return;
	if (set_irte(d, &irte) && irte.guest) {
		d->info.pcpu = KVM_HPVM_NO_CPU;
		d->info.reasons |= KVM_HPVM_IRQ_REASON_NOT_REMAPPED;
		irte = (struct hpvm_irte) {};
		if (d->irte.guest)
			set_irte(d, &irte);
	}
}

/*
 * Is a device's vector in service?  To put it in service again takes a self-IPI, in
 * which an interrupt that the device raises just then would be lost: the vCPU waits for
 * the EOI in ordinary mode.  vCPU loaded, IRQs on.
 */
bool kvm_hpvm_device_in_service(struct kvm_vcpu *vcpu)
{
	struct kvm_hpvm_vm *vm = vcpu->kvm->arch.hpvm;
	struct kvm_lapic *apic = vcpu->arch.apic;
	struct kvm_hpvm_device_irq *d;
	bool found = false;
	u8 vector;

	if (!apic->isr_count || list_empty(&vm->irqs))
		return false;
	spin_lock_irq(&vcpu->kvm->irqfds.lock);
	list_for_each_entry(d, &vm->irqs, link) {
		vector = d->irte.vector;
		if (d->irte.guest && d->info.vcpu_id == vcpu->vcpu_id &&
		    (kvm_lapic_get_reg(apic, APIC_ISR + REG_POS(vector)) &
		     BIT(VEC_POS(vector))))
			found = true;
	}
	spin_unlock_irq(&vcpu->kvm->irqfds.lock);
	return found;
}

/* Some of those that are due; false: that were all.  irqfds.lock held. */
static bool update_some(struct kvm *kvm, unsigned long change)
{
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	struct kvm_hpvm_device_irq *d;
	unsigned int n;

	for (n = 0; n < IRQS_AT_ONCE; n++) {
		d = list_first_entry_or_null(&vm->irqs, struct kvm_hpvm_device_irq, link);
		if (!d || (long)(d->decided - change) >= 0)
			return false;
		update_way(kvm, d);
		/* The list is in the order of this number. */
		d->decided = vm->irqs_changed;
		list_move_tail(&d->link, &vm->irqs);
	}
	return true;
}

/*
 * What the way of interrupts depends on has changed.  Process context, may sleep.  When
 * it returns, devices raise the interrupts of a vCPU that isn't bound any more in the
 * host.
 *
 * Each is decided for what is true under the lock, which is dropped now and then.  If
 * something changes meanwhile, whoever has changed it comes here, too, and all of them are
 * decided once more, each by the one or by the other.
 */
void kvm_hpvm_update_irqs(struct kvm *kvm)
{
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	unsigned long change;
	bool more;

	if (!vm)
		return;
	scoped_guard(spinlock_irq, &kvm->irqfds.lock)
		change = ++vm->irqs_changed;
	do {
		cond_resched();
		scoped_guard(spinlock_irq, &kvm->irqfds.lock)
			more = update_some(kvm, change);
	} while (more);
}

/* The route of an interrupt has changed; irqfds.lock held. */
void kvm_hpvm_update_route(struct kvm *kvm, unsigned int host_irq)
{
	struct kvm_hpvm_device_irq *d;

	list_for_each_entry(d, &kvm->arch.hpvm->irqs, link)
		if (d->irqfd->producer->irq == host_irq)
			update_way(kvm, d);
}

/* VFIO has an interrupt for @irqfd.  Process context. */
int kvm_hpvm_add_producer(struct kvm_kernel_irqfd *irqfd,
			  struct irq_bypass_producer *prod)
{
	struct kvm *kvm = irqfd->kvm;
	struct kvm_hpvm_device_irq *d;

	d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	if (!d)
		return -ENOMEM;
	d->irqfd = irqfd;

	spin_lock_irq(&kvm->irqfds.lock);
	irqfd->producer = prod;
	d->decided = kvm->arch.hpvm->irqs_changed;
	list_add_tail(&d->link, &kvm->arch.hpvm->irqs);
	update_way(kvm, d);
	spin_unlock_irq(&kvm->irqfds.lock);
	return 0;
}

/* Before the interrupt is freed, masked, or the host's again.  Process context. */
void kvm_hpvm_del_producer(struct kvm_kernel_irqfd *irqfd)
{
	struct kvm *kvm = irqfd->kvm;
	struct kvm_hpvm_device_irq *d, *n;
	struct hpvm_irte irte = {};

	spin_lock_irq(&kvm->irqfds.lock);
	list_for_each_entry_safe(d, n, &kvm->arch.hpvm->irqs, link) {
		if (d->irqfd != irqfd)
			continue;
		if (d->irte.guest)
			set_irte(d, &irte);
		list_del(&d->link);
		kfree(d);
	}
	irqfd->producer = NULL;
	spin_unlock_irq(&kvm->irqfds.lock);
}

/*
 * How the interrupts of devices go: up to @room of them into @out; returns how
 * many there are.  An INTx has an irqfd with a resampler, and no producer.
 */
static unsigned int list_irqs(struct kvm *kvm, struct kvm_hpvm_irq *out, unsigned int room)
{
	struct kvm_kernel_irqfd *irqfd;
	struct kvm_hpvm_device_irq *d;
	unsigned int n = 0;

	spin_lock_irq(&kvm->irqfds.lock);
	list_for_each_entry(d, &kvm->arch.hpvm->irqs, link) {
		if (n < room)
			out[n] = d->info;
		n++;
	}
	list_for_each_entry(irqfd, &kvm->irqfds.items, list) {
		if (!irqfd->resampler)
			continue;
		if (n < room)
			out[n] = (struct kvm_hpvm_irq) {
				.gsi = irqfd->gsi,
				.vcpu_id = KVM_HPVM_NO_CPU,
				.pcpu = KVM_HPVM_NO_CPU,
				.reasons = KVM_HPVM_IRQ_REASON_NOT_MSI,
			};
		n++;
	}
	spin_unlock_irq(&kvm->irqfds.lock);
	return n;
}

int kvm_hpvm_get_irqs(struct kvm *kvm, void __user *argp)
{
	struct kvm_hpvm_irqs __user *user = argp;
	struct kvm_hpvm_irq *irqs;
	struct kvm_hpvm_irqs head;
	unsigned int room;
	int r = 0;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.flags || head.reserved)
		return -EINVAL;

	room = min_t(unsigned int, head.nr, KVM_HPVM_MAX_IRQS);
	irqs = kvcalloc(max(room, 1U), sizeof(*irqs), GFP_KERNEL_ACCOUNT);
	if (!irqs)
		return -ENOMEM;
	head.nr = list_irqs(kvm, irqs, room);
	if (copy_to_user(user, &head, sizeof(head)) ||
	    copy_to_user(user->irqs, irqs, min(room, head.nr) * sizeof(*irqs)))
		r = -EFAULT;
	else if (head.nr > room)
		r = -E2BIG;
	kvfree(irqs);
	return r;
}

static int irqs_show(struct seq_file *m, void *unused)
{
	struct kvm *kvm = m->private;
	struct kvm_hpvm_irq *irqs;
	unsigned int i, n;

	if (!kvm->arch.hpvm)
		return 0;
	irqs = kvcalloc(KVM_HPVM_MAX_IRQS, sizeof(*irqs), GFP_KERNEL);
	if (!irqs)
		return -ENOMEM;
	n = min_t(unsigned int, list_irqs(kvm, irqs, KVM_HPVM_MAX_IRQS), KVM_HPVM_MAX_IRQS);
	for (i = 0; i < n; i++)
		seq_printf(m, "gsi %u host_irq %u vcpu %d pcpu %d vector %u reasons %#llx\n",
			   irqs[i].gsi, irqs[i].host_irq, (int)irqs[i].vcpu_id,
			   (int)irqs[i].pcpu, irqs[i].vector, irqs[i].reasons);
	kvfree(irqs);
	return 0;
}

static int irqs_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;
	r = single_open(file, irqs_show, kvm);
	if (r)
		kvm_put_kvm(kvm);
	return r;
}

static int irqs_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);
	return single_release(inode, file);
}

static const struct file_operations irqs_fops = {
	.owner		= THIS_MODULE,
	.open		= irqs_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= irqs_release,
};

/* For administrators: KVM_HPVM_GET_IRQS as text. */
void kvm_hpvm_create_vm_debugfs(struct kvm *kvm)
{
	debugfs_create_file("hpvm_irqs", 0400, kvm->debugfs_dentry, kvm, &irqs_fops);
	kvm_hpvm_create_vcpus(kvm);
	kvm_hpvm_create_provoke(kvm);
}
