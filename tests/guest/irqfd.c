/*
 * For the emulated host: another VM that has a process's eventfd as an interrupt of its own, until
 * it's killed, so that KVM can't connect a device to the process's VM.
 *
 *   irqfd PID FD
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct kvm_irqfd irqfd = { .gsi = 5 };
	int kvm, vm, pidfd;

	if (argc != 3)
		return 2;
	pidfd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	irqfd.fd = syscall(SYS_pidfd_getfd, pidfd, atoi(argv[2]), 0);
	kvm = open("/dev/kvm", O_RDWR);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (pidfd < 0 || (int)irqfd.fd < 0 || vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) ||
	    ioctl(vm, KVM_IRQFD, &irqfd)) {
		perror("irqfd");
		return 1;
	}
	puts("irqfd: it has it");
	fflush(stdout);
	pause();
	return 0;
}
