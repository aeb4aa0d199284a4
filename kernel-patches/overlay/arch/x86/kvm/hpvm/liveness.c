// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does a guest that causes no exits still live?  Without disturbing it: when it was left
 * last.  And for the price of one NMI: where it is.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include <asm/hpvm.h>
#include <asm/tsc.h>

#include "../kvm_cache_regs.h"
#include "../x86.h"
#include "direct.h"

/* A direct guest was left, other than by the fast path.  IRQs off, on its pCPU. */
void kvm_hpvm_note_exit(struct kvm_vcpu *vcpu)
{
	u64 now = rdtsc();

	vcpu->arch.hpvm->quiet = now - vcpu->stat.hpvm_last_exit;
	vcpu->stat.hpvm_last_exit = now;
	++vcpu->stat.hpvm_slow_exits;
	this_cpu_write(hpvm_pcpu.vcpu.last_exit, now);
}

/*
 * As it was left now, its timer turned out to have fired or to have been armed anew since
 * it was left before.  IRQs off, on its pCPU, after kvm_hpvm_note_exit().
 */
void kvm_hpvm_note_timer(struct kvm_vcpu *vcpu)
{
	u64 now = vcpu->stat.hpvm_last_exit;

	vcpu->stat.hpvm_last_timer = now;
	this_cpu_write(hpvm_pcpu.vcpu.last_timer, now);
}

/* Are the bytes before RIP these?  Looking may set Accessed bits in the guest's tables. */
static bool is_behind(struct kvm_vcpu *vcpu, const u8 *opcode, unsigned int size)
{
	struct x86_exception e;
	u8 bytes[3];

	return !kvm_read_guest_virt(vcpu, kvm_get_linear_rip(vcpu) - size, bytes, size, &e) &&
	       !memcmp(bytes, opcode, size);
}

/*
 * Does it sleep?  Neither HLT nor MWAIT exits, and on SVM nothing else tells: RIP is behind
 * it, also while it sleeps (APM vol. 2 15.5.2; SDM vol. 3C 27.3.3).  MWAIT may wake up with
 * interrupts off, too (ECX bit 0), which Linux uses.
 */
static bool sleeps(struct kvm_vcpu *vcpu)
{
	static const u8 hlt[] = { 0xf4 }, mwait[] = { 0x0f, 0x01, 0xc9 };

	if (is_behind(vcpu, mwait, sizeof(mwait)))
		return true;
	return kvm_get_rflags(vcpu) & X86_EFLAGS_IF && is_behind(vcpu, hlt, sizeof(hlt));
}

/* KVM_REQ_HPVM: tell whoever has asked.  vCPU loaded, may sleep. */
void kvm_hpvm_sample(struct kvm_vcpu *vcpu)
{
	struct hpvm_vcpu_status *s = per_cpu_ptr(&hpvm_pcpu.vcpu, vcpu->arch.hpvm->pcpu);

	if (!READ_ONCE(s->sample))
		return;
	s->rip = vcpu->arch.guest_state_protected ? 0 : kvm_rip_read(vcpu);
	s->halted = !vcpu->arch.guest_state_protected && sleeps(vcpu);
	s->rflags = kvm_get_rflags(vcpu);
	s->cpl = kvm_x86_call(get_cpl)(vcpu);
	/* Pairs with the acquire in show_vcpu(): what was read is there before. */
	smp_store_release(&s->sample, false);
}

/* The status is the pCPU's, and may be looked at whatever becomes of the vCPU. */
static void show_vcpu(struct seq_file *m, struct kvm_vcpu *vcpu, unsigned int pcpu)
{
	struct hpvm_vcpu_status *s = per_cpu_ptr(&hpvm_pcpu.vcpu, pcpu);
	unsigned long end = jiffies + msecs_to_jiffies(100) + 1;

	seq_printf(m, "vcpu %d pcpu %u direct %d nanoseconds_since_exit %llu ", vcpu->vcpu_id,
		   pcpu, READ_ONCE(s->direct), hpvm_ns_since(READ_ONCE(s->last_exit)));
	/* kvm_make_request() has the barrier. */
	WRITE_ONCE(s->sample, true);
	kvm_make_request(KVM_REQ_HPVM, vcpu);
	kvm_vcpu_kick(vcpu);
	/* Pairs with the release in kvm_hpvm_sample(). */
	while (smp_load_acquire(&s->sample)) {
		if (time_after(jiffies, end)) {
			/* It's paused, halted in the host, or with user space. */
			WRITE_ONCE(s->sample, false);
			seq_puts(m, "runs 0\n");
			return;
		}
		usleep_range(50, 200);
	}
	seq_printf(m, "runs 1 nanoseconds_since_timer %llu rip %#lx interrupts %d cpl %d halted %d\n",
		   hpvm_ns_since(READ_ONCE(s->last_timer)), s->rip,
		   !!(s->rflags & X86_EFLAGS_IF), s->cpl, s->halted);
}

static int vcpus_show(struct seq_file *m, void *unused)
{
	static DEFINE_MUTEX(lock);
	struct kvm *kvm = m->private;
	struct kvm_hpvm_vm *vm = kvm->arch.hpvm;
	struct kvm_vcpu *vcpu;
	unsigned int pcpu = 0;
	unsigned long i;
	bool bound;

	if (!vm)
		return 0;
	guard(mutex)(&lock);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		spin_lock_irq(&kvm->irqfds.lock);
		bound = vcpu->vcpu_id < HPVM_APIC_IDS && test_bit(vcpu->vcpu_id, vm->bound);
		if (bound)
			pcpu = vm->pcpu[vcpu->vcpu_id];
		spin_unlock_irq(&kvm->irqfds.lock);
		if (bound)
			show_vcpu(m, vcpu, pcpu);
	}
	return 0;
}

static int vcpus_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;
	r = single_open(file, vcpus_show, kvm);
	if (r)
		kvm_put_kvm(kvm);
	return r;
}

static int vcpus_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);
	return single_release(inode, file);
}

static const struct file_operations vcpus_fops = {
	.owner		= THIS_MODULE,
	.open		= vcpus_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= vcpus_release,
};

/* For administrators; each reading is an exit of each vCPU. */
void kvm_hpvm_create_vcpus(struct kvm *kvm)
{
	debugfs_create_file("hpvm_vcpus", 0400, kvm->debugfs_dentry, kvm, &vcpus_fops);
}
