// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface of KVM's direct mode (KVM_CAP_X86_HPVM): who may have a CPU, wrong
 * arguments, and that a CPU comes back.  Nothing here runs a guest.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <linux/capability.h>
#include <linux/magic.h>

#include "kvm_test_harness.h"
#include "hpvm.h"

static int pcpu;

/* An address that user space doesn't have. */
#define BAD_POINTER(type)	((type *)8UL)

static void guest_nothing(void)
{
	GUEST_DONE();
}

static struct kvm_vcpu *bindable_vcpu(void)
{
	return hpvm_vm_create(guest_nothing, KVM_HPVM_F_DIRECT);
}

/* 0 or a negative error number */
static int enable_cap(struct kvm_vm *vm, uint32_t flags, uint64_t arg0, uint64_t arg1,
		      uint64_t arg2, uint64_t arg3)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_HPVM,
		.flags = flags,
		.args = { arg0, arg1, arg2, arg3 },
	};

	return __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static int bind_raw(struct kvm_vcpu *vcpu, uint32_t cpu, uint32_t flags, int32_t fd)
{
	struct kvm_hpvm_bind bind = { .pcpu = cpu, .flags = flags, .fd = fd };

	return __vcpu_ioctl(vcpu, KVM_HPVM_BIND, &bind) ? -errno : 0;
}

static int set_ctrl_raw(struct kvm_vcpu *vcpu, uint32_t flags, uint32_t change,
			uint64_t report)
{
	struct kvm_hpvm_ctrl ctrl = { .flags = flags, .change = change, .report = report };

	return __vcpu_ioctl(vcpu, KVM_HPVM_SET_CTRL, &ctrl) ? -errno : 0;
}

static void drop_cap_sys_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	TEST_ASSERT(!syscall(SYS_capget, &head, data), "capget()");
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	TEST_ASSERT(!syscall(SYS_capset, &head, data), "capset()");
}

TEST(check_extension)
{
	struct kvm_vm *vm = vm_create(1);
	unsigned int features = kvm_check_cap(KVM_CAP_X86_HPVM);

	ASSERT_TRUE(features & KVM_HPVM_F_DIRECT);
	EXPECT_EQ(0, features & ~(KVM_HPVM_F_DIRECT | KVM_HPVM_F_TIMER_DEADLINE |
				  KVM_HPVM_F_TIMER_ONESHOT | KVM_HPVM_F_IRQ));
	EXPECT_EQ(features, vm_check_cap(vm, KVM_CAP_X86_HPVM));
	kvm_vm_free(vm);
}

TEST(enable_cap_arguments)
{
	uint64_t features = kvm_check_cap(KVM_CAP_X86_HPVM);
	struct kvm_vm *vm = vm_create(1);

	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features & ~KVM_HPVM_F_DIRECT, 0, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features | 1ULL << 31, 0, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features | 1ULL << 63, 0, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features, 1, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features, 0, 1, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features, 0, 0, 1));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 1, features, 0, 0, 0));

	EXPECT_EQ(0, enable_cap(vm, 0, features, 0, 0, 0));
	/* Once more, with less, is allowed as long as there are no vCPUs. */
	EXPECT_EQ(0, enable_cap(vm, 0, KVM_HPVM_F_DIRECT, 0, 0, 0));
	vm_vcpu_add(vm, 0, guest_nothing);
	EXPECT_EQ(-EBUSY, enable_cap(vm, 0, features, 0, 0, 0));
	kvm_vm_free(vm);
}

TEST(without_the_capability)
{
	struct kvm_vcpu *vcpu = hpvm_vm_create(guest_nothing, 0);
	struct kvm_hpvm_state state;

	EXPECT_EQ(-ENXIO, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(-ENXIO, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(-ENXIO, set_ctrl_raw(vcpu, 0, 0, 0));
	EXPECT_EQ(-1, __vcpu_ioctl(vcpu, KVM_HPVM_GET_STATE, &state));
	EXPECT_EQ(ENXIO, errno);
	kvm_vm_free(vcpu->vm);
}

static int get_irqs_raw(struct kvm_vm *vm, struct kvm_hpvm_irqs *irqs)
{
	return __vm_ioctl(vm, KVM_HPVM_GET_IRQS, irqs) ? -errno : 0;
}

TEST(get_irqs_arguments)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	struct kvm_hpvm_irqs irqs = { .nr = 0 };

	EXPECT_EQ(0, get_irqs_raw(vcpu->vm, &irqs));
	EXPECT_EQ(0, irqs.nr);
	irqs.flags = 1;
	EXPECT_EQ(-EINVAL, get_irqs_raw(vcpu->vm, &irqs));
	irqs.flags = 0;
	irqs.reserved = 1;
	EXPECT_EQ(-EINVAL, get_irqs_raw(vcpu->vm, &irqs));
	EXPECT_EQ(-EFAULT, get_irqs_raw(vcpu->vm, BAD_POINTER(struct kvm_hpvm_irqs)));
	kvm_vm_free(vcpu->vm);

	vcpu = hpvm_vm_create(guest_nothing, 0);
	irqs.reserved = 0;
	EXPECT_EQ(-ENXIO, get_irqs_raw(vcpu->vm, &irqs));
	kvm_vm_free(vcpu->vm);
}

/* A resampling irqfd is what an INTx has: it goes through the host. */
TEST(get_irqs_tells_of_intx)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	struct {
		struct kvm_hpvm_irqs head;
		struct kvm_hpvm_irq irqs[2];
	} said = { .head.nr = 2 };
	struct kvm_irqfd irqfd = {
		.fd = eventfd(0, 0),
		.gsi = 10,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = eventfd(0, 0),
	};

	ASSERT_EQ(0, __vm_ioctl(vcpu->vm, KVM_IRQFD, &irqfd));
	EXPECT_EQ(0, get_irqs_raw(vcpu->vm, &said.head));
	EXPECT_EQ(1, said.head.nr);
	EXPECT_EQ(10, said.irqs[0].gsi);
	EXPECT_EQ(0, said.irqs[0].host_irq);
	EXPECT_EQ(KVM_HPVM_NO_CPU, said.irqs[0].pcpu);
	EXPECT_EQ(KVM_HPVM_NO_CPU, said.irqs[0].vcpu_id);
	EXPECT_EQ(KVM_HPVM_IRQ_REASON_NOT_MSI, said.irqs[0].reasons);

	/* Without room it says how many there are. */
	said.head.nr = 0;
	EXPECT_EQ(-E2BIG, get_irqs_raw(vcpu->vm, &said.head));
	EXPECT_EQ(1, said.head.nr);

	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	ASSERT_EQ(0, __vm_ioctl(vcpu->vm, KVM_IRQFD, &irqfd));
	said.head.nr = 2;
	EXPECT_EQ(0, get_irqs_raw(vcpu->vm, &said.head));
	EXPECT_EQ(0, said.head.nr);
	close(irqfd.fd);
	close(irqfd.resamplefd);
	kvm_vm_free(vcpu->vm);
}

TEST(without_irqchip)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_vcpu *vcpu;

	EXPECT_EQ(0, enable_cap(vm, 0, KVM_HPVM_F_DIRECT, 0, 0, 0));
	vcpu = __vm_vcpu_add(vm, 0);
	EXPECT_EQ(-ENXIO, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vm);
}

TEST(bind_arguments)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();

	EXPECT_EQ(-EINVAL, bind_raw(vcpu, pcpu, 4, 0));
	EXPECT_EQ(-EINVAL, bind_raw(vcpu, pcpu, 0, 1));
	EXPECT_EQ(-EBADF, bind_raw(vcpu, pcpu, KVM_HPVM_BIND_FD, -1));
	EXPECT_EQ(-EBADF, bind_raw(vcpu, pcpu, KVM_HPVM_BIND_FD, vcpu->fd));
	EXPECT_EQ(-EINVAL, bind_raw(vcpu, KVM_HPVM_NO_CPU, 1U << 31, 0));
	EXPECT_EQ(-EINVAL, __hpvm_bind(vcpu, 1U << 16, NULL));
	EXPECT_EQ(-EINVAL, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU - 1, NULL));
	EXPECT_EQ(-1, __vcpu_ioctl(vcpu, KVM_HPVM_BIND, BAD_POINTER(struct kvm_hpvm_bind)));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(KVM_HPVM_NO_CPU, hpvm_state(vcpu).pcpu);
	kvm_vm_free(vcpu->vm);
}

TEST(bind_again_and_release)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	uint32_t holder;

	/* Nothing to release is no error. */
	EXPECT_EQ(0, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));

	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(-EINVAL, __hpvm_bind(vcpu, INT_MAX, &holder));
	EXPECT_EQ(0, holder);
	EXPECT_EQ(pcpu, hpvm_state(vcpu).pcpu);

	EXPECT_EQ(0, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(KVM_HPVM_NO_CPU, hpvm_state(vcpu).pcpu);
	EXPECT_EQ(0, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vcpu->vm);
}

static int take_raw(struct kvm_vm *vm, struct kvm_hpvm_take *take)
{
	return __vm_ioctl(vm, KVM_HPVM_TAKE_CPUS, take) ? -errno : 0;
}

struct take_two {
	struct kvm_hpvm_take head;
	struct kvm_hpvm_cpu cpus[2];
};

TEST(take_arguments)
{
	struct kvm_vm *vm = bindable_vcpu()->vm;
	struct take_two take = { .head.nr = 1, .cpus[0].pcpu = pcpu };

	take.head.flags = 1;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	take.head.flags = 0;
	take.head.pad = 1;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	take.head.pad = 0;
	take.head.nr = 0;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	take.head.nr = KVM_HPVM_MAX_CPUS + 1;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));

	/* The second one is wrong: no such CPU, the first again, what has no meaning. */
	take.head.nr = 2;
	take.cpus[1].pcpu = 1U << 16;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	EXPECT_EQ(1, take.head.failed);
	take.cpus[1].pcpu = pcpu;
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	EXPECT_EQ(1, take.head.failed);
	take.cpus[1] = (struct kvm_hpvm_cpu) { .pcpu = 0, .pad = 1 };
	EXPECT_EQ(-EINVAL, take_raw(vm, &take.head));
	EXPECT_EQ(1, take.head.failed);
	EXPECT_EQ(-1, take.cpus[0].fd);
	EXPECT_EQ(-1, take.cpus[1].fd);
	EXPECT_EQ(-EFAULT, take_raw(vm, BAD_POINTER(struct kvm_hpvm_take)));
	kvm_vm_free(vm);

	vm = hpvm_vm_create(guest_nothing, 0)->vm;
	take.head.nr = 1;
	EXPECT_EQ(-ENXIO, take_raw(vm, &take.head));
	kvm_vm_free(vm);
}

/* All or none: with the host's last CPU among them nothing is taken. */
TEST(take_none)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	struct kvm_hpvm_take *take;
	int i;

	take = calloc(1, sizeof(*take) + (pcpu + 1) * sizeof(take->cpus[0]));
	take->nr = pcpu + 1;
	for (i = 0; i <= pcpu; i++)
		take->cpus[i].pcpu = pcpu - i;
	EXPECT_EQ(-ENOSPC, take_raw(vcpu->vm, take));
	EXPECT_GT(take->nr, take->failed);
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vcpu->vm);
	free(take);
}

/* The CPU that the descriptor says it's for; -1: none. */
static int fdinfo_cpu(int fd)
{
	char path[40], line[80];
	int cpu = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (cpu < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "kvm-hpvm-cpu: %d", &cpu);
	fclose(f);
	return cpu;
}

/* A descriptor's life: two VMs one after the other, closed early, closed last. */
TEST(take_and_hand_over)
{
	struct kvm_vcpu *first = bindable_vcpu(), *second = bindable_vcpu();
	uint32_t holder;
	int fd;

	fd = __hpvm_take(first->vm, pcpu);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(pcpu, fdinfo_cpu(fd));
	EXPECT_EQ(-EBUSY, __hpvm_take(second->vm, pcpu));
	/* It's taken, whoever asks without the descriptor. */
	EXPECT_EQ(-EBUSY, __hpvm_bind(first, pcpu, &holder));
	EXPECT_EQ(getpid(), holder);
	EXPECT_EQ(-EINVAL, bind_raw(first, pcpu - 1, KVM_HPVM_BIND_FD, fd));

	EXPECT_EQ(0, bind_raw(first, pcpu, KVM_HPVM_BIND_FD, fd));
	EXPECT_EQ(0, bind_raw(first, pcpu, KVM_HPVM_BIND_FD, fd));
	EXPECT_EQ(-EBUSY, bind_raw(second, pcpu, KVM_HPVM_BIND_FD, fd));
	EXPECT_EQ(0, __hpvm_bind(first, KVM_HPVM_NO_CPU, NULL));

	/* The other VM's now; the first one may be gone. */
	EXPECT_EQ(0, bind_raw(second, pcpu, KVM_HPVM_BIND_FD, fd));
	kvm_vm_free(first->vm);
	EXPECT_EQ(pcpu, hpvm_state(second).pcpu);

	/* Closed: the vCPU keeps it, and is the last to have it. */
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(-EBUSY, __hpvm_take(second->vm, pcpu));
	EXPECT_EQ(0, __hpvm_bind(second, KVM_HPVM_NO_CPU, NULL));
	fd = __hpvm_take(second->vm, pcpu);
	ASSERT_LE(0, fd);

	/* The descriptor is the last that has it. */
	EXPECT_EQ(0, bind_raw(second, pcpu, KVM_HPVM_BIND_FD, fd));
	kvm_vm_free(second->vm);
	first = bindable_vcpu();
	EXPECT_EQ(-EBUSY, __hpvm_bind(first, pcpu, NULL));
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, __hpvm_bind(first, pcpu, NULL));
	kvm_vm_free(first->vm);
}

/* The descriptor is permission enough, also for a process that could take none. */
TEST(take_and_pass_on)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	int fd = __hpvm_take(vcpu->vm, pcpu);
	int status;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid) {
		struct kvm_vcpu *its = bindable_vcpu();

		drop_cap_sys_admin();
		_exit(bind_raw(its, pcpu, KVM_HPVM_BIND_FD, fd) ? 1 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* It has ended with the vCPU bound; the CPU is still dedicated. */
	EXPECT_EQ(-EBUSY, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(0, bind_raw(vcpu, pcpu, KVM_HPVM_BIND_FD, fd));
	kvm_vm_free(vcpu->vm);
	close(fd);
}

/* A third process holds the descriptor, and is killed. */
TEST(take_and_be_killed)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	int fds[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		c = __hpvm_take(vcpu->vm, pcpu) < 0;
		/* The VM is of another process, which its ioctls don't take. */
		if (c)
			c = __hpvm_take(bindable_vcpu()->vm, pcpu) < 0;
		if (write(fds[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(fds[0], &c, 1));
	EXPECT_EQ(0, c);
	EXPECT_EQ(-EBUSY, __hpvm_bind(vcpu, pcpu, NULL));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vcpu->vm);
	close(fds[0]);
	close(fds[1]);
}

/* --- What three processes do with a descriptor: the QEMUs of a hot upgrade, a third one --- */

struct process {
	pid_t pid;
	int sock;
};

/* A letter or a number, and a descriptor unless @fd is negative. */
static bool say(int sock, int what, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] __aligned(8) = {};
	struct iovec iov = { .iov_base = &what, .iov_len = sizeof(what) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr) {
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(fd)),
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, 0) == sizeof(what);
}

static bool hear(int sock, int *what, int *fd)
{
	char control[CMSG_SPACE(sizeof(*fd))] __aligned(8);
	struct iovec iov = { .iov_base = what, .iov_len = sizeof(*what) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	*fd = -1;
	if (recvmsg(sock, &msg, 0) != sizeof(*what))
		return false;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*fd));
	return true;
}

/* Do what the letters say, and answer with 0, a CPU, or an error. */
static void obey(int sock)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	int what, fd, r, n = 0, fds[2] = { -1, -1 };

	while (hear(sock, &what, &fd)) {
		switch (what) {
		case 't': /* take the CPU; the answer has a copy of the descriptor */
			fd = __hpvm_take(vcpu->vm, pcpu);
			fds[n++] = fd;
			say(sock, fd < 0 ? fd : 0, fd);
			continue;
		case 'p': /* be passed a descriptor */
			fds[n++] = fd;
			r = fdinfo_cpu(fd);
			break;
		case 'b':
			r = bind_raw(vcpu, pcpu, KVM_HPVM_BIND_FD, fds[n - 1]);
			break;
		case 'u':
			r = __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL);
			break;
		default: /* 'c' */
			r = close(fds[--n]);
		}
		say(sock, r, -1);
	}
	_exit(0);
}

static struct process new_process(void)
{
	struct process p;
	int socks[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks), "socketpair()");
	p.pid = fork();
	if (!p.pid) {
		close(socks[0]);
		obey(socks[1]);
	}
	close(socks[1]);
	p.sock = socks[0];
	return p;
}

static int tell(struct process *p, char what, int fd)
{
	int r, none;

	TEST_ASSERT(say(p->sock, what, fd) && hear(p->sock, &r, &none), "'%c' isn't heard", what);
	return r;
}

/* Have it take the CPU; its descriptor, for this process. */
static int tell_to_take(struct process *p)
{
	int r, fd;

	TEST_ASSERT(say(p->sock, 't', -1) && hear(p->sock, &r, &fd), "'t' isn't heard");
	TEST_ASSERT(!r && fd >= 0, "The CPU can't be taken (error %d)", r);
	return fd;
}

static void end(struct process *p)
{
	kill(p->pid, SIGKILL);
	TEST_ASSERT(waitpid(p->pid, NULL, 0) == p->pid, "waitpid()");
	close(p->sock);
}

/* Nobody has the CPU. */
static int is_free(struct kvm_vcpu *vcpu)
{
	int r = __hpvm_bind(vcpu, pcpu, NULL);

	return r ?: __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL);
}

/* Each copy counts, whoever has it. */
TEST(take_and_pass_twice)
{
	struct process old = new_process(), new = new_process(), third = new_process();
	struct kvm_vcpu *vcpu = bindable_vcpu();
	int fd = tell_to_take(&old);

	EXPECT_EQ(pcpu, tell(&new, 'p', fd));
	EXPECT_EQ(pcpu, tell(&new, 'p', fd));
	EXPECT_EQ(pcpu, tell(&third, 'p', fd));
	close(fd);

	/* Of the two, one is closed while the vCPU is bound by it, which may be bound again. */
	EXPECT_EQ(0, tell(&new, 'b', -1));
	EXPECT_EQ(0, tell(&new, 'c', -1));
	EXPECT_EQ(-EBUSY, tell(&old, 'b', -1));
	EXPECT_EQ(0, tell(&new, 'u', -1));
	EXPECT_EQ(0, tell(&new, 'b', -1));
	end(&old);
	EXPECT_EQ(0, tell(&new, 'c', -1));
	EXPECT_EQ(0, tell(&new, 'u', -1));

	/* The third one has it yet, and may use it. */
	EXPECT_EQ(-EBUSY, is_free(vcpu));
	EXPECT_EQ(0, tell(&third, 'b', -1));
	EXPECT_EQ(0, tell(&third, 'u', -1));
	end(&new);
	EXPECT_EQ(-EBUSY, is_free(vcpu));
	EXPECT_EQ(0, tell(&third, 'c', -1));
	EXPECT_EQ(0, is_free(vcpu));
	end(&third);
	kvm_vm_free(vcpu->vm);
}

/* How far a hot upgrade is when one of the two is killed; the other one can go on. */
TEST(take_and_be_killed_at_each_step)
{
	enum step { TAKEN, BOUND, PASSED, RELEASED, BOUND_THERE, STEPS } step;
	struct process p[2], *old = &p[0], *new = &p[1];
	struct kvm_vcpu *vcpu;
	int victim, fd;

	for (step = TAKEN; step < STEPS; step++) {
		for (victim = 0; victim < 2; victim++) {
			p[0] = new_process();
			p[1] = new_process();
			vcpu = bindable_vcpu();

			fd = tell_to_take(old);
			if (step >= BOUND)
				EXPECT_EQ(0, tell(old, 'b', -1));
			if (step >= PASSED)
				EXPECT_EQ(pcpu, tell(new, 'p', fd));
			close(fd);
			if (step >= RELEASED)
				EXPECT_EQ(0, tell(old, 'u', -1));
			if (step >= BOUND_THERE)
				EXPECT_EQ(0, tell(new, 'b', -1));

			end(&p[victim]);
			if (step < PASSED && !victim) {
				EXPECT_EQ(0, is_free(vcpu));
			} else {
				EXPECT_EQ(-EBUSY, is_free(vcpu));
				EXPECT_EQ(0, tell(&p[!victim], 'b', -1));
			}
			end(&p[!victim]);
			EXPECT_EQ(0, is_free(vcpu));
			kvm_vm_free(vcpu->vm);
		}
	}
}

/* The kernel confines the thread, though its affinity says another CPU. */
TEST(bind_pins)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	cpu_set_t set;

	kvm_pin_this_task_to_pcpu(0);
	EXPECT_EQ(0, bind_raw(vcpu, pcpu, KVM_HPVM_BIND_PIN, 0));
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	EXPECT_EQ(1, CPU_COUNT(&set));
	EXPECT_TRUE(CPU_ISSET(pcpu, &set));
	EXPECT_EQ(pcpu, sched_getcpu());
	/* Moved away, and bound once more. */
	kvm_pin_this_task_to_pcpu(0);
	EXPECT_EQ(0, bind_raw(vcpu, pcpu, KVM_HPVM_BIND_PIN, 0));
	EXPECT_EQ(pcpu, sched_getcpu());
	kvm_vm_free(vcpu->vm);
}

TEST(cpu_taken)
{
	struct kvm_vcpu *first = bindable_vcpu(), *second = bindable_vcpu();
	uint32_t holder;
	int status;
	pid_t pid;

	hpvm_bind(first, pcpu);
	EXPECT_EQ(-EBUSY, __hpvm_bind(second, pcpu, &holder));
	EXPECT_EQ(getpid(), holder);

	/* Another process is told who has it, too. */
	pid = fork();
	if (!pid) {
		struct kvm_vcpu *vcpu = bindable_vcpu();
		int r = __hpvm_bind(vcpu, pcpu, &holder);

		_exit(r == -EBUSY && holder == getppid() ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	/* The end of the VM gives it back. */
	kvm_vm_free(first->vm);
	EXPECT_EQ(0, __hpvm_bind(second, pcpu, NULL));
	kvm_vm_free(second->vm);
}

/* Each CPU can be had, one by one, until one is left for the host. */
TEST(last_housekeeping_cpu)
{
	struct kvm_vcpu *vcpus[64];
	int cpu, r, n = 0;

	for (cpu = pcpu; cpu >= 0 && n < ARRAY_SIZE(vcpus); cpu--) {
		vcpus[n] = bindable_vcpu();
		r = __hpvm_bind(vcpus[n++], cpu, NULL);
		if (r)
			break;
	}
	EXPECT_EQ(-ENOSPC, r);
	EXPECT_LT(1, n);
	while (n--)
		kvm_vm_free(vcpus[n]->vm);
}

TEST(offline_cpu)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	char online[64];
	int r;

	sprintf(online, "/sys/devices/system/cpu/cpu%d/online", pcpu);
	r = hpvm_write_file(online, "0");
	if (r)
		SKIP(return, "CPU %d can't be taken offline (error %d)", pcpu, r);
	EXPECT_EQ(-ENODEV, __hpvm_bind(vcpu, pcpu, NULL));
	ASSERT_EQ(0, hpvm_write_file(online, "1"));

	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	/* It's a guest's now: it stays. */
	EXPECT_EQ(-EBUSY, hpvm_write_file(online, "0"));
	EXPECT_EQ(0, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(0, hpvm_write_file(online, "0"));
	EXPECT_EQ(0, hpvm_write_file(online, "1"));
	kvm_vm_free(vcpu->vm);
}

TEST(unprivileged)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	char list[16];

	sprintf(list, "0,%d\n", pcpu);
	ASSERT_EQ(0, hpvm_write_file(HPVM_CPUS_PARAM, "\n"));
	drop_cap_sys_admin();
	EXPECT_EQ(-EPERM, __hpvm_bind(vcpu, pcpu, NULL));

	EXPECT_EQ(0, hpvm_write_file(HPVM_CPUS_PARAM, "0\n"));
	EXPECT_EQ(-EPERM, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(0, hpvm_write_file(HPVM_CPUS_PARAM, "nonsense\n"));
	EXPECT_EQ(-EPERM, __hpvm_bind(vcpu, pcpu, NULL));

	EXPECT_EQ(0, hpvm_write_file(HPVM_CPUS_PARAM, list));
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(0, hpvm_write_file(HPVM_CPUS_PARAM, "\n"));
	/* What it has, it keeps and may release, but not take again. */
	EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
	EXPECT_EQ(0, __hpvm_bind(vcpu, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(-EPERM, __hpvm_bind(vcpu, pcpu, NULL));
	kvm_vm_free(vcpu->vm);
}

/*
 * The host's own mount of it, if it has one: a new one would set the options of all. 0 or -1 with
 * errno.
 */
static int mount_cgroup2(const char *root)
{
	static const char * const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;
	int i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (!statfs(places[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return mount(places[i], root, NULL, MS_BIND, NULL);
	return mount("cgroup2", root, "cgroup2", 0, NULL);
}

/* The caller's cpuset without the CPU; needs cgroup2 with the cpuset controller. */
TEST(outside_the_cpuset)
{
	char root[] = "/tmp/hpvm_abi_test.XXXXXX";
	char path[sizeof(root) + 64];
	struct kvm_vcpu *vcpu;
	int r;

	ASSERT_NE(NULL, mkdtemp(root));
	if (mount_cgroup2(root)) {
		r = errno;
		rmdir(root);
		SKIP(return, "cgroup2 can't be mounted (error %d)", r);
	}
	sprintf(path, "%s/cgroup.subtree_control", root);
	r = hpvm_write_file(path, "+cpuset");
	if (!r) {
		sprintf(path, "%s/hpvm_abi_test", root);
		ASSERT_EQ(0, mkdir(path, 0755));
		strcat(path, "/cpuset.cpus");
		EXPECT_EQ(0, hpvm_write_file(path, "0"));
		sprintf(path, "%s/hpvm_abi_test/cgroup.procs", root);
		EXPECT_EQ(0, hpvm_write_file(path, "0"));

		vcpu = bindable_vcpu();
		EXPECT_EQ(-EACCES, __hpvm_bind(vcpu, pcpu, NULL));

		sprintf(path, "%s/cgroup.procs", root);
		EXPECT_EQ(0, hpvm_write_file(path, "0"));
		EXPECT_EQ(0, __hpvm_bind(vcpu, pcpu, NULL));
		kvm_vm_free(vcpu->vm);
		sprintf(path, "%s/hpvm_abi_test", root);
		EXPECT_EQ(0, rmdir(path));
	}
	umount(root);
	rmdir(root);
	if (r)
		SKIP(return, "cgroup2 has no cpuset controller here (error %d)", r);
}

TEST(set_ctrl_arguments)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();

	EXPECT_EQ(-ENXIO, set_ctrl_raw(vcpu, 0, 0, 0));
	hpvm_bind(vcpu, pcpu);
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, 0, 8, 0));
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, KVM_HPVM_CTRL_RESET, KVM_HPVM_CTRL_RESET, 0));
	/* There is nothing to let go. */
	EXPECT_EQ(0, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_RESET, 0));
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, 0, ~0U, 0));
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, KVM_HPVM_CTRL_REPORT, KVM_HPVM_CTRL_REPORT, 0));
	/* A new value of what isn't to change. */
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, KVM_HPVM_CTRL_HOLD_ORDINARY, 0, 0));
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, 0, 0, KVM_HPVM_REASON_NOT_X2APIC));
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_RESET, KVM_HPVM_REASON_NOT_X2APIC));
	EXPECT_EQ(0, hpvm_state(vcpu).ctrl_flags);
	EXPECT_EQ(0, hpvm_state(vcpu).report);

	/* Each of the two by itself; a reason that isn't known is none. */
	EXPECT_EQ(0, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_REPORT, ~0ULL));
	EXPECT_EQ(0, set_ctrl_raw(vcpu, KVM_HPVM_CTRL_HOLD_ORDINARY,
				  KVM_HPVM_CTRL_HOLD_ORDINARY, 0));
	EXPECT_EQ(KVM_HPVM_CTRL_HOLD_ORDINARY, hpvm_state(vcpu).ctrl_flags);
	EXPECT_EQ(~0ULL, hpvm_state(vcpu).report);
	EXPECT_EQ(0, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_REPORT, 0));
	EXPECT_EQ(KVM_HPVM_CTRL_HOLD_ORDINARY, hpvm_state(vcpu).ctrl_flags);
	EXPECT_EQ(0, hpvm_state(vcpu).report);
	EXPECT_EQ(-EINVAL, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_HOLD_ORDINARY, ~0ULL));
	EXPECT_EQ(KVM_HPVM_CTRL_HOLD_ORDINARY, hpvm_state(vcpu).ctrl_flags);
	EXPECT_EQ(0, set_ctrl_raw(vcpu, 0, KVM_HPVM_CTRL_HOLD_ORDINARY, 0));
	EXPECT_EQ(0, hpvm_state(vcpu).ctrl_flags);
	EXPECT_EQ(0, hpvm_state(vcpu).report);
	EXPECT_EQ(-1, __vcpu_ioctl(vcpu, KVM_HPVM_SET_CTRL, BAD_POINTER(struct kvm_hpvm_ctrl)));
	EXPECT_EQ(EFAULT, errno);
	kvm_vm_free(vcpu->vm);
}

TEST(get_state)
{
	struct kvm_vcpu *vcpu = bindable_vcpu();
	struct kvm_hpvm_state state = hpvm_state(vcpu);

	EXPECT_EQ(KVM_HPVM_NO_CPU, state.pcpu);
	EXPECT_EQ(KVM_HPVM_STATE_UNBOUND, state.state);
	EXPECT_EQ(KVM_HPVM_TIMER_EMULATED, state.timer);

	hpvm_bind(vcpu, pcpu);
	state = hpvm_state(vcpu);
	EXPECT_EQ(pcpu, state.pcpu);
	EXPECT_EQ(KVM_HPVM_STATE_ORDINARY, state.state);
	EXPECT_EQ(KVM_HPVM_REASON_NEVER_RAN, state.reasons);
	EXPECT_EQ(KVM_HPVM_TIMER_EMULATED, state.timer);
	EXPECT_EQ(KVM_HPVM_TIMER_REASON_ORDINARY, state.timer_reasons);
	EXPECT_EQ(0, state.direct_entries);
	EXPECT_EQ(0, state.direct_leaves);
	EXPECT_EQ(0, state.recorded);
	EXPECT_EQ(0, state.reposted);
	EXPECT_EQ(0, state.in_service);
	/* Since it was bound; the host may have had work for the CPU. */
	EXPECT_GT(10, state.nmi_kicks);
	EXPECT_EQ(0, state.window_kicks);
	EXPECT_EQ(0, state.eoi_intercepts);
	EXPECT_GT(10, state.nmis_sent);
	EXPECT_EQ(0, state.slow_exits);
	EXPECT_EQ(0, state.quiet_ns);
	EXPECT_EQ(0, state.since_timer_ns);
	EXPECT_EQ(0, state.reserved);
	if (kvm_check_cap(KVM_CAP_X86_HPVM) & KVM_HPVM_F_TIMER_ONESHOT)
		EXPECT_NE(0, state.apic_bus_khz);

	EXPECT_EQ(-1, __vcpu_ioctl(vcpu, KVM_HPVM_GET_STATE, BAD_POINTER(struct kvm_hpvm_state)));
	EXPECT_EQ(EFAULT, errno);
	kvm_vm_free(vcpu->vm);
}

/* What the administrator's parameter says, without its newline. */
static void read_host_param(char *mode, size_t size)
{
	int fd = open(HPVM_HOST_PARAM, O_RDONLY);
	ssize_t n;

	TEST_ASSERT(fd >= 0, HPVM_HOST_PARAM " can't be opened");
	n = read(fd, mode, size - 1);
	TEST_ASSERT(n > 0, HPVM_HOST_PARAM " can't be read");
	mode[n] = '\0';
	mode[strcspn(mode, "\n")] = '\0';
	close(fd);
}

TEST(host_param)
{
	static const char * const bad[] = { "", "\n", "Auto", "holds", "hol", "0", "off on" };
	static const char * const good[] = { "hold", "off\n", "auto\n", "hold\n", "auto" };
	char mode[16];
	int i;

	read_host_param(mode, sizeof(mode));
	ASSERT_STREQ("auto", mode);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* A write of nothing doesn't come to the kernel's parameter. */
		if (*bad[i])
			EXPECT_EQ(-EINVAL, hpvm_write_file(HPVM_HOST_PARAM, bad[i]));
		read_host_param(mode, sizeof(mode));
		EXPECT_STREQ("auto", mode);
	}
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, hpvm_write_file(HPVM_HOST_PARAM, good[i]));
		read_host_param(mode, sizeof(mode));
		EXPECT_EQ(0, strncmp(mode, good[i], strlen(mode)));
	}
}

/* Nobody gets the mode, and who has it keeps its CPU. */
TEST(host_off)
{
	struct kvm_vcpu *bound = bindable_vcpu(), *other = bindable_vcpu();
	uint64_t features = kvm_check_cap(KVM_CAP_X86_HPVM);
	struct kvm_vm *vm = vm_create(1);

	hpvm_bind(bound, pcpu);
	ASSERT_EQ(0, hpvm_write_file(HPVM_HOST_PARAM, "off"));
	EXPECT_EQ(features, kvm_check_cap(KVM_CAP_X86_HPVM));
	EXPECT_EQ(-ESHUTDOWN, enable_cap(vm, 0, features, 0, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0, features, 1, 0, 0));
	EXPECT_EQ(-ESHUTDOWN, __hpvm_take(other->vm, pcpu));
	EXPECT_EQ(-ESHUTDOWN, __hpvm_bind(other, pcpu, NULL));
	EXPECT_EQ(0, __hpvm_bind(other, KVM_HPVM_NO_CPU, NULL));
	EXPECT_EQ(0, __hpvm_bind(bound, pcpu, NULL));
	EXPECT_EQ(pcpu, hpvm_state(bound).pcpu);

	/* Held guests are no others. */
	ASSERT_EQ(0, hpvm_write_file(HPVM_HOST_PARAM, "hold"));
	EXPECT_EQ(0, enable_cap(vm, 0, features, 0, 0, 0));
	kvm_vm_free(bound->vm);
	EXPECT_EQ(0, __hpvm_bind(other, pcpu, NULL));
	ASSERT_EQ(0, hpvm_write_file(HPVM_HOST_PARAM, "auto"));
	kvm_vm_free(other->vm);
	kvm_vm_free(vm);
}

TEST(binary_stats)
{
	static const char * const names[] = {
		"hpvm_direct_entries", "hpvm_direct_leaves", "hpvm_recorded",
		"hpvm_reposted", "hpvm_in_service", "hpvm_eoi_intercepts",
		"hpvm_slow_exits", "hpvm_last_exit", "hpvm_last_timer",
	};
	struct kvm_vcpu *vcpu = bindable_vcpu();
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		TEST_ASSERT(!hpvm_vcpu_stat(vcpu, names[i]),
			    "Statistic %s isn't there, or not 0", names[i]);
	kvm_vm_free(vcpu->vm);
}

/* How far kvmclock went beyond the TSC between the two, in ns. */
static int64_t clock_off(const struct kvm_clock_data *a, const struct kvm_clock_data *b,
			 uint64_t khz)
{
	unsigned __int128 ticks = b->host_tsc - a->host_tsc;

	return b->clock - a->clock - (uint64_t)(ticks * 1000000 / khz);
}

/* Set by a TSC it once had, kvmclock is where it would be; and not without the capability. */
TEST(clock_goes_on)
{
	struct kvm_vcpu *vcpu = bindable_vcpu(), *plain;
	struct kvm_vm *vm = vcpu->vm;
	struct kvm_clock_data before, data = {}, after;
	int64_t off;
	uint64_t khz;

	/* KVM looks only then whether it can be computed from the TSC. */
	vm_ioctl(vm, KVM_SET_CLOCK, &data);
	vm_ioctl(vm, KVM_GET_CLOCK, &before);
	if (!(before.flags & KVM_CLOCK_HOST_TSC)) {
		kvm_vm_free(vm);
		SKIP(return, "kvmclock isn't computed from this host's TSC");
	}
	khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	usleep(20000);
	data.clock = before.clock;
	data.host_tsc = before.host_tsc;
	data.flags = KVM_CLOCK_HOST_TSC;
	vm_ioctl(vm, KVM_SET_CLOCK, &data);
	vm_ioctl(vm, KVM_GET_CLOCK, &after);
	ASSERT_TRUE(after.flags & KVM_CLOCK_HOST_TSC);
	off = clock_off(&before, &after, khz);
	EXPECT_LE(-2, off);
	EXPECT_GE(2, off);
	kvm_vm_free(vm);

	plain = hpvm_vm_create(guest_nothing, 0);
	vm_ioctl(plain->vm, KVM_SET_CLOCK, &data);
	vm_ioctl(plain->vm, KVM_GET_CLOCK, &after);
	EXPECT_GT(-10000000, clock_off(&before, &after, khz));
	kvm_vm_free(plain->vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_HPVM));
	pcpu = hpvm_pcpu();
	__TEST_REQUIRE(pcpu > 0, "A CPU besides CPU 0 is needed");
	/* A test that failed may have left it otherwise; and there is no other user here. */
	TEST_ASSERT(!hpvm_write_file(HPVM_HOST_PARAM, "auto"), HPVM_HOST_PARAM " can't be written");
	return test_harness_run(argc, argv);
}
