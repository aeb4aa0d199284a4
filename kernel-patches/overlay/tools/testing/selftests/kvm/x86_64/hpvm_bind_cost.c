// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs the host to take CPUs for a guest in one call, to bind its vCPUs to them,
 * and to have them back: the time of all tasks, in TSC ticks.
 * Usage: hpvm_bind_cost NUMBER-OF-CPUS
 */
#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "hpvm.h"

#define MAX_CPUS	16U

static void guest_nothing(void)
{
	GUEST_DONE();
}

static uint64_t own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static uint64_t task_ns(const char *path)
{
	unsigned long long ns = 0;
	FILE *f = fopen(path, "r");

	if (f) {
		if (fscanf(f, "%llu", &ns) != 1)
			ns = 0;
		fclose(f);
	}
	return ns;
}

/* Of all processes but this one; the kernel's threads have one task each. */
static uint64_t others_ns(void)
{
	DIR *proc = opendir("/proc");
	char path[sizeof("/proc//schedstat") + 256];
	struct dirent *entry;
	uint64_t sum = 0;

	TEST_ASSERT(proc, "/proc can't be read");
	while ((entry = readdir(proc))) {
		if (atoi(entry->d_name) <= 0 || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/schedstat", entry->d_name);
		sum += task_ns(path);
	}
	closedir(proc);
	return sum;
}

static void take_and_give(struct kvm_vm *vm, struct kvm_vcpu **vcpus, unsigned int nr)
{
	struct kvm_hpvm_bind bind = { .flags = KVM_HPVM_BIND_FD };
	struct kvm_hpvm_take *take;
	unsigned int i;

	take = calloc(1, sizeof(*take) + nr * sizeof(take->cpus[0]));
	TEST_ASSERT(take, "No memory");
	take->nr = nr;
	for (i = 0; i < nr; i++)
		take->cpus[i].pcpu = i + 1;
	vm_ioctl(vm, KVM_HPVM_TAKE_CPUS, take);
	for (i = 0; i < nr; i++) {
		bind.pcpu = take->cpus[i].pcpu;
		bind.fd = take->cpus[i].fd;
		vcpu_ioctl(vcpus[i], KVM_HPVM_BIND, &bind);
		close(bind.fd);
	}
	free(take);
	/* They are the host's when the VM is gone. */
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpus[MAX_CPUS];
	unsigned int i, nr;
	uint64_t others, own;
	struct kvm_vm *vm;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_HPVM));
	TEST_ASSERT(argc == 2, "Usage: %s NUMBER-OF-CPUS", argv[0]);
	nr = atoi(argv[1]);
	TEST_ASSERT(nr >= 1 && nr <= MAX_CPUS, "1 to %u CPUs", MAX_CPUS);
	vcpus[0] = hpvm_vm_create(guest_nothing, KVM_HPVM_F_DIRECT);
	vm = vcpus[0]->vm;
	for (i = 1; i < nr; i++)
		vcpus[i] = vm_vcpu_add(vm, i, guest_nothing);

	/* Bochs: from here on time passes with each instruction; a NOP otherwise. */
	asm volatile("xchg %bx, %bx");

	others = others_ns();
	own = own_ns();
	take_and_give(vm, vcpus, nr);
	own = own_ns() - own;
	others = others_ns() - others;

	printf("hpvm: bind_instructions=%llu\n",
	       (unsigned long long)((own + others) * guest_tsc_khz / 1000000));
	return 0;
}
