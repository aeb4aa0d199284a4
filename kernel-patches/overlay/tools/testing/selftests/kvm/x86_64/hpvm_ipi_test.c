// SPDX-License-Identifier: GPL-2.0-only
/*
 * IPIs between vCPUs in KVM's direct mode: what is sent arrives, once, wherever its
 * target is just now; and nothing that a guest writes to the ICR gets anywhere else.
 *
 * Needs four CPUs: one for the host, two for the VM, one for a VM that looks on.
 */
#include <pthread.h>
#include <signal.h>

#include "hpvm.h"
#include "kselftest_harness.h"

#define ICR_PHYSICAL(id)	((uint64_t)(id) << 32)
#define ICR_LOGICAL(id)		((1ULL << ((id) + 32)) | APIC_DEST_LOGICAL)

#define ROUNDS		300
#define RANDOM_WRITES	20000

static uint64_t features;
static int pcpus[3];

/* --- Guest --------------------------------------------------------------- */

/* Of this VM: what each vCPU got, by vector. */
static uint32_t got[2][256];
static bool ready, over, gone;
static bool xapic;	/* the receiver isn't in x2APIC mode yet */
static uint64_t receiver_stack;

/* No exit here: while the receiver is out, the fast path has no use for it. */
static void handle(struct ex_regs *regs)
{
	int id = (uint64_t)regs - receiver_stack + 0x4000 < 0x8000;

	WRITE_ONCE(got[id][regs->vector], got[id][regs->vector] + 1);
	if (id && xapic)
		xapic_write_reg(APIC_EOI, 0);
	else
		guest_eoi();
}

static void handle_nothing(struct ex_regs *regs)
{
}

static void guest_await(int id, int vector, uint32_t count)
{
	uint64_t end = rdtsc() + 2000 * guest_tsc_khz;

	while (READ_ONCE(got[id][vector]) < count) {
		GUEST_ASSERT(rdtsc() < end);
		guest_open(50);
	}
	GUEST_ASSERT_EQ(got[id][vector], count);
}

static void guest_send(uint64_t icr)
{
	wrmsr(0x830, icr);
	GUEST_ASSERT_EQ(rdmsr(0x830), icr);
}

/*
 * Vectors 16-31 would be exceptions to the guest; they may stay pending.  And 255 is
 * to be an interrupt like others, not the spurious one.
 */
static void guest_start(void)
{
	guest_x2apic_enable();
	x2apic_write_reg(APIC_SPIV, APIC_SPIV_APIC_ENABLED | 0x0f);
	x2apic_write_reg(APIC_TASKPRI, 0x10);
}

static void guest_receiver(void)
{
	receiver_stack = (uint64_t)__builtin_frame_address(0);
	guest_start();
	WRITE_ONCE(ready, true);
	while (!READ_ONCE(over))
		guest_open(200);
	GUEST_DONE();
}

/* Hardly ever in the guest: the IPIs find it in the host. */
static void guest_receiver_away(void)
{
	receiver_stack = (uint64_t)__builtin_frame_address(0);
	guest_start();
	WRITE_ONCE(ready, true);
	while (!READ_ONCE(over)) {
		guest_slow_exit();
		guest_open(1);
		asm volatile("inb $0x80, %%al" : : : "eax");
		guest_open(1);
	}
	GUEST_DONE();
}

static void guest_begin(void)
{
	guest_start();
	while (!READ_ONCE(ready))
		cpu_relax();
	GUEST_SYNC(0);
}

static void guest_end(void)
{
	WRITE_ONCE(over, true);
	GUEST_DONE();
}

/* All vectors in all ways to name a vCPU. */
static void guest_all_vectors(void)
{
	uint32_t mine, other;
	int v;

	guest_begin();
	for (v = 32; v < 256; v++) {
		mine = 0;
		other = 0;
		guest_send(ICR_PHYSICAL(1) | v);
		guest_await(1, v, ++other);
		guest_send(ICR_PHYSICAL(0) | v);
		guest_await(0, v, ++mine);
		guest_send(ICR_LOGICAL(1) | v);
		guest_await(1, v, ++other);
		guest_send(ICR_LOGICAL(1) | ICR_LOGICAL(0) | APIC_INT_ASSERT | v);
		guest_await(1, v, ++other);
		guest_await(0, v, ++mine);
		guest_send(APIC_DEST_ALLBUT | v);
		guest_await(1, v, ++other);
		guest_send(APIC_DEST_ALLINC | v);
		guest_await(1, v, ++other);
		guest_await(0, v, ++mine);
		guest_send(APIC_DEST_SELF | v);
		guest_await(0, v, ++mine);
		guest_send(ICR_PHYSICAL(1) | APIC_DM_LOWEST | v);
		guest_await(1, v, ++other);
		GUEST_ASSERT_EQ(got[0][v], mine);
		GUEST_ASSERT_EQ(got[1][v], other);
	}
	guest_end();
}

/* Those that name nobody, whatever the APIC IDs are. */
static void guest_shorthands(void)
{
	uint32_t i;
	int v;

	guest_begin();
	for (v = 32; v < 256; v++) {
		for (i = 1; i <= 2; i++) {
			guest_send(APIC_DEST_ALLBUT | v);
			guest_await(1, v, 2 * i - 1);
			guest_send(APIC_DEST_ALLINC | v);
			guest_await(1, v, 2 * i);
			guest_await(0, v, i);
		}
	}
	guest_end();
}

/* One after the other, each awaited: none may be lost. */
static void guest_rounds(void)
{
	uint32_t i;

	guest_begin();
	for (i = 1; i <= ROUNDS; i++) {
		guest_send(ICR_PHYSICAL(1) | LOW_VECTOR);
		guest_send(ICR_LOGICAL(1) | HIGH_VECTOR);
		guest_await(1, LOW_VECTOR, i);
		guest_await(1, HIGH_VECTOR, i);
	}
	guest_end();
}

/* Fires until the other one has had enough, and takes what comes from there. */
static void guest_fires(void)
{
	uint32_t i;

	guest_begin();
	for (i = 1; !READ_ONCE(over); i++) {
		guest_send(ICR_PHYSICAL(1) | LOW_VECTOR);
		guest_await(1, LOW_VECTOR, i);
		/* An ordinary vCPU with nothing but interrupts would get nowhere. */
		guest_open(10000);
	}
	WRITE_ONCE(gone, true);
	GUEST_DONE();
}

static void guest_fire_back(uint32_t from, uint32_t to)
{
	uint32_t i;

	/* One that isn't up yet would accept nothing. */
	while (!READ_ONCE(got[1][LOW_VECTOR]))
		guest_open(50);
	for (i = from + 1; i <= to; i++) {
		if (xapic) {
			xapic_write_reg(APIC_ICR2, SET_APIC_DEST_FIELD(0));
			xapic_write_reg(APIC_ICR, MID_VECTOR);
		} else {
			guest_send(ICR_PHYSICAL(0) | MID_VECTOR);
		}
		guest_await(0, MID_VECTOR, i);
		/* Both directions at once, and in turn. */
		guest_open(i % 50 + 1);
	}
}

static void guest_fired_at_to_the_end(void)
{
	WRITE_ONCE(over, true);
	while (!READ_ONCE(gone))
		guest_open(50);
	GUEST_DONE();
}

/* Begins as firmware leaves it, and goes over to x2APIC mode under fire. */
static void guest_late(void)
{
	uint32_t seen;

	receiver_stack = (uint64_t)__builtin_frame_address(0);
	xapic = true;
	xapic_enable();
	xapic_write_reg(APIC_LVT0, APIC_LVT_MASKED);
	WRITE_ONCE(ready, true);
	guest_fire_back(0, ROUNDS);
	GUEST_SYNC(1);

	seen = READ_ONCE(got[1][LOW_VECTOR]);
	guest_x2apic_enable();
	xapic = false;
	guest_fire_back(ROUNDS, 2 * ROUNDS);
	GUEST_ASSERT(READ_ONCE(got[1][LOW_VECTOR]) > seen);
	GUEST_SYNC(2);
	guest_fired_at_to_the_end();
}

static void guest_swings(void)
{
	receiver_stack = (uint64_t)__builtin_frame_address(0);
	guest_start();
	WRITE_ONCE(ready, true);
	guest_fire_back(0, 2 * ROUNDS);
	guest_fired_at_to_the_end();
}

/* An interrupt shadow, and an instruction at the end of what it may be. */
static void guest_odd_writes(void)
{
	guest_begin();
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "sti\n\t"
		     "wrmsr\n\t"
		     "nop\n\t"
		     "cli\n\t"
		     "lea 128(%%rsp), %%rsp"
		     : : "c" (0xdead00000830), "a" (LOW_VECTOR), "d" (1) : "memory");
	guest_await(1, LOW_VECTOR, 1);
	/* A prefix that means nothing makes the instruction longer. */
	asm volatile(".byte 0x2e; wrmsr" : : "c" (0x830), "a" (LOW_VECTOR), "d" (1));
	guest_await(1, LOW_VECTOR, 2);
	guest_end();
}

static uint64_t guest_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Everything that can be written to the ICR, but for SMIs, which end a VM without a
 * handler, INITs that include this vCPU, and SIPIs for the other one, which gets INITs.
 */
static bool guest_may_write(uint64_t icr)
{
	uint32_t mode = icr & APIC_DM_FIXED_MASK, to = icr >> 32;

	if (mode == APIC_DM_SMI)
		return false;
	if (mode != APIC_DM_INIT && mode != APIC_DM_STARTUP)
		return true;
	/* It would run whatever is there as real mode code, which may write to this one's. */
	if (mode == APIC_DM_STARTUP && to == 1)
		return false;
	return !(icr & APIC_DEST_ALLBUT) && to && to != 0xff && to != ~0U &&
	       !(icr & APIC_DEST_LOGICAL);
}

static void guest_hostile(void)
{
	static const uint32_t destinations[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 63, 254, 255, 256, 0xffff, 0x10000, 0x10001,
		0x1ffff, 0xf0001, 0xfffff, 0x100001, 0xffff0001, 0x7fffffff, 0x80000000, ~0U,
	};
	static const uint32_t vectors[] = {
		0, 2, 14, 15, 16, 18, 31, 32, 0x80, 0xec, 0xf6, 0xf7, 0xf8, 0xfb, 0xfd, 0xff,
	};
	uint64_t state = 88172645463325252ULL, icr;
	int d, v, bits;

	guest_begin();
	for (d = 0; d < ARRAY_SIZE(destinations); d++) {
		for (v = 0; v < ARRAY_SIZE(vectors); v++) {
			/* Bits 8-15 and 18-19: mode, logical, busy, level, shorthand. */
			for (bits = 0; bits < 1024; bits += v % 3 ? 7 : 1) {
				icr = ICR_PHYSICAL(destinations[d]) | (bits & 0xff) << 8 |
				      (bits >> 8) << 18 | vectors[v];
				if (guest_may_write(icr))
					wrmsr_safe(0x830, icr);
			}
		}
		guest_open(200);
	}
	for (v = 0; v < RANDOM_WRITES; v++) {
		icr = guest_random(&state);
		/* Most have a destination and reserved bits that make sense. */
		if (v % 8)
			icr &= 0xffff000ccfffULL;
		if (guest_may_write(icr))
			wrmsr_safe(0x830, icr);
		guest_open(1);
	}
	guest_end();
}

/* The VM that looks on: nobody sends it anything. */
static void guest_witness(void)
{
	guest_x2apic_enable();
	GUEST_SYNC(0);
	while (!READ_ONCE(over))
		guest_open(1000);
	GUEST_DONE();
}

/* --- Host ---------------------------------------------------------------- */

struct runner {
	struct kvm_vcpu *vcpu;
	int pcpu;
	pthread_t thread;
	bool direct;		/* at its last GUEST_SYNC() */
	bool was_ordinary;	/* at its first */
	bool done;
	bool stop;
	bool swing;		/* each signal holds it in ordinary mode, or lets it go */
	int swings;
};

static __thread struct kvm_run *signalled_run;

static void handle_signal(int sig)
{
	if (signalled_run)
		signalled_run->immediate_exit = 1;
}

/* Until the guest is done, or its thread is told to stop. */
static void *run_vcpu(void *arg)
{
	struct runner *r = arg;
	struct ucall uc;

	signalled_run = r->vcpu->run;
	while (!READ_ONCE(r->stop)) {
		if (__vcpu_run(r->vcpu)) {
			/* An SMI without a handler is the end of a VM. */
			if (errno == EIO)
				break;
			TEST_ASSERT(errno == EINTR, "KVM_RUN: error %d", errno);
			r->vcpu->run->immediate_exit = 0;
			if (r->swing)
				hpvm_hold(r->vcpu, ++r->swings % 2);
			continue;
		}
		if (r->vcpu->run->exit_reason != KVM_EXIT_IO)
			break;
		switch (get_ucall(r->vcpu, &uc)) {
		case UCALL_SYNC:
			WRITE_ONCE(r->direct, hpvm_state(r->vcpu).state == KVM_HPVM_STATE_DIRECT);
			if (uc.args[1] == 1)
				r->was_ordinary = !r->direct;
			break;
		case UCALL_DONE:
			r->done = true;
			return NULL;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		}
	}
	return NULL;
}

static void *run_pinned(void *arg)
{
	struct runner *r = arg;

	kvm_pin_this_task_to_pcpu(r->pcpu);
	return run_vcpu(arg);
}

static void start_unbound(struct runner *r, struct kvm_vcpu *vcpu, int pcpu)
{
	r->vcpu = vcpu;
	r->pcpu = pcpu;
	TEST_ASSERT(!pthread_create(&r->thread, NULL, run_pinned, r), "pthread_create()");
}

static void start(struct runner *r, struct kvm_vcpu *vcpu, int pcpu)
{
	hpvm_bind(vcpu, pcpu);
	start_unbound(r, vcpu, pcpu);
}

/* Waits for its end, and signals it until then. */
static void join_swinging(struct runner *r)
{
	while (pthread_tryjoin_np(r->thread, NULL)) {
		pthread_kill(r->thread, SIGUSR1);
		usleep(2000);
	}
}

static void stop(struct runner *r)
{
	WRITE_ONCE(r->stop, true);
	join_swinging(r);
}

static const uint32_t first_ids[] = { 0, 1 };

static struct kvm_vm *create(int vcpus, const uint32_t *ids, struct kvm_vcpu **vcpu,
			     void **guest_code)
{
	struct kvm_vm *vm = vm_create(vcpus);
	int i;

	vm_enable_cap(vm, KVM_CAP_X86_HPVM, features);
	for (i = 0; i < vcpus; i++) {
		vcpu[i] = vm_vcpu_add(vm, ids[i], guest_code[i]);
		vcpu_set_cpuid_feature(vcpu[i], X86_FEATURE_TSC_DEADLINE_TIMER);
		hpvm_set_tsc_offset(vcpu[i], 0);
	}
	for (i = 32; i < 256; i++)
		vm_install_exception_handler(vm, i, handle);
	vm_install_exception_handler(vm, NMI_VECTOR, handle_nothing);
	return vm;
}

enum how {
	RECEIVER_ENDS,
	RECEIVER_IS_STOPPED,
	RECEIVER_IS_UNBOUND,	/* and ends */
};

/*
 * Two vCPUs with these APIC IDs.  Returns how many ICR writes of the sender took the
 * fast path.
 */
static uint64_t between_ids(const uint32_t *ids, void *sender, void *receiver, enum how how)
{
	void *code[] = { sender, receiver }, *onlooker[] = { guest_witness };
	struct sigaction sa = { .sa_handler = handle_signal };
	struct kvm_vm *vm, *witness_vm;
	struct kvm_vcpu *vcpu[2], *witness_vcpu;
	struct runner r[2] = { 0 }, witness = { 0 };
	uint32_t seen[2][256];
	uint64_t ipis;
	bool yes = true;
	int v;

	sigaction(SIGUSR1, &sa, NULL);
	witness_vm = create(1, first_ids, &witness_vcpu, onlooker);
	start(&witness, witness_vcpu, pcpus[2]);

	vm = create(2, ids, vcpu, code);
	if (how == RECEIVER_IS_UNBOUND)
		start_unbound(&r[1], vcpu[1], pcpus[1]);
	else
		start(&r[1], vcpu[1], pcpus[1]);
	start(&r[0], vcpu[0], pcpus[0]);
	pthread_join(r[0].thread, NULL);
	TEST_ASSERT(r[0].direct, "The sender wasn't in direct mode");
	ipis = hpvm_state(vcpu[0]).ipis;
	if (how == RECEIVER_IS_STOPPED)
		stop(&r[1]);
	else
		pthread_join(r[1].thread, NULL);

	/* Others got nothing, and are well. */
	TEST_ASSERT(witness.direct, "The VM that looks on wasn't in direct mode");
	write_guest_global(witness_vm, over, yes);
	pthread_join(witness.thread, NULL);
	memcpy(seen, addr_gva2hva(witness_vm, (vm_vaddr_t)&got), sizeof(seen));
	for (v = 0; v < 256; v++)
		TEST_ASSERT(!seen[0][v], "The VM that looks on got vector %d", v);

	kvm_vm_free(vm);
	kvm_vm_free(witness_vm);
	return ipis;
}

static uint64_t between(void *sender, void *receiver)
{
	return between_ids(first_ids, sender, receiver, RECEIVER_ENDS);
}

TEST(all_vectors)
{
	uint64_t ipis = between(guest_all_vectors, guest_receiver);

	/*
	 * Each of 224 vectors but the host's doorbell, 6 of the 8 ways, unless an
	 * NMI of the host has the receiver out at that moment.
	 */
	EXPECT_LE(6 * 223 * 9 / 10, ipis);
	EXPECT_GE(6 * 223, ipis);
}

/* In one cluster; in two, the sender in either; the last one that can be reached. */
TEST(shorthands)
{
	static const uint32_t ids[][2] = { { 0, 15 }, { 0, 16 }, { 20, 3 }, { 64, 254 } };
	uint64_t ipis;
	int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ipis = between_ids(ids[i], guest_shorthands, guest_receiver, RECEIVER_ENDS);
		EXPECT_LE(4 * 223 * 9 / 10, ipis);
		EXPECT_GE(4 * 223, ipis);
	}
}

/* One that can't be named in the table, or isn't direct: they arrive by way of KVM. */
TEST(shorthands_for_others)
{
	static const uint32_t beyond[] = { 0, 255 }, far_beyond[] = { 300, 0 };
	static const uint32_t two_clusters[] = { 16, 0 };

	EXPECT_EQ(0, between_ids(beyond, guest_shorthands, guest_receiver, RECEIVER_ENDS));
	EXPECT_EQ(0, between_ids(far_beyond, guest_shorthands, guest_receiver, RECEIVER_ENDS));
	EXPECT_EQ(0, between_ids(two_clusters, guest_shorthands, guest_receiver,
				 RECEIVER_IS_UNBOUND));
}

TEST(none_is_lost)
{
	EXPECT_LE(2 * ROUNDS * 9 / 10, between(guest_rounds, guest_receiver));
}

TEST(none_is_lost_in_the_host)
{
	between(guest_rounds, guest_receiver_away);
}

/* Two vCPUs send to each other all the time; what became of each is in @r. */
static void both_ways(void *receiver, struct runner r[2])
{
	void *code[] = { guest_fires, receiver };
	struct sigaction sa = { .sa_handler = handle_signal };
	struct kvm_vcpu *vcpu[2];
	struct kvm_vm *vm;

	sigaction(SIGUSR1, &sa, NULL);
	vm = create(2, first_ids, vcpu, code);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	start(&r[1], vcpu[1], pcpus[1]);
	start(&r[0], vcpu[0], pcpus[0]);
	if (r[1].swing)
		join_swinging(&r[1]);
	else
		pthread_join(r[1].thread, NULL);
	TEST_ASSERT(r[1].done, "The guest left with exit reason %u (%s)",
		    vcpu[1]->run->exit_reason, exit_reason_str(vcpu[1]->run->exit_reason));
	pthread_join(r[0].thread, NULL);
	TEST_ASSERT(r[0].direct, "The one that fires wasn't in direct mode");
	kvm_vm_free(vm);
}

/* One vCPU is direct; the other one is in xAPIC mode, and becomes direct later. */
TEST(mixed)
{
	struct runner r[2] = { 0 };

	both_ways(guest_late, r);
	EXPECT_TRUE(r[1].was_ordinary);
	EXPECT_TRUE(r[1].direct);
}

/* One is direct, the other one time and again. */
TEST(swinging)
{
	struct runner r[2] = { { 0 }, { .swing = true } };

	both_ways(guest_swings, r);
	EXPECT_LE(4, r[1].swings);
}

TEST(odd_writes)
{
	/* The first one isn't for the assembly, but is sent straight all the same. */
	EXPECT_EQ(2, between(guest_odd_writes, guest_receiver));
}

TEST(hostile)
{
	EXPECT_NE(0, between_ids(first_ids, guest_hostile, guest_receiver, RECEIVER_IS_STOPPED));
}

int main(int argc, char *argv[])
{
	int i, last;

	features = kvm_check_cap(KVM_CAP_X86_HPVM);
	TEST_REQUIRE(features);
	last = hpvm_pcpu();
	TEST_REQUIRE(last >= 3);
	for (i = 0; i < 3; i++)
		pcpus[i] = last - 2 + i;
	kvm_pin_this_task_to_pcpu(0);
	return test_harness_run(argc, argv);
}
