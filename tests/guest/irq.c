/*
 * A kernel of its own that is the driver of a PCI device which raises an interrupt when
 * it's told to: QEMU's "edu" (docs/specs/edu.rst there), by MSI. Words of the command
 * line:
 *
 *   cpus=N      use so many CPUs (1)
 *   slot=N      the device is in this slot of the PCI bus, and may be any: if it isn't an
 *               edu, its MSI, or the first vector of its MSI-X, is only switched on
 *   irqs=N      raise so many interrupts, one after the other was handled (1000)
 *   until_input or until a character comes from the serial port
 *   move=N      after so many of them go on to the next CPU and another vector, while
 *               one is on its way (0: never)
 *   pause=N     up to so many ticks of the TSC between two of them (0)
 *   settle=N    ticks of the TSC before the first that counts (0)
 *   intx        not by MSI, but by the device's INTx, through the I/O APIC
 *   both        by a message to CPUs 0 and 1, each of which handles it
 *   lowest      by one of lowest priority: one of the two does
 *   twice       while one is handled, with exits, another CPU raises one more
 *   storm=N     before that, another CPU raises them without end, with vector 0x80,
 *               while this one makes N exits
 *   hostile=N   before that, N messages of any address and data: any vector, delivery
 *               mode and destination
 *
 * Each interrupt is counted where it's raised and where it's handled; one that doesn't
 * come within TIMEOUT is lost. "raise_to_handler" is from before the register's write to
 * the handler's first instructions, in ticks of the TSC; those are exact with one CPU.
 */
#include "apic.h"
#include "samples.h"
#include "smp.h"

#define PCI_ADDRESS		0xcf8
#define PCI_DATA		0xcfc
#define PCI_COMMAND		0x04
#define PCI_COMMAND_MEMORY	0x2
#define PCI_COMMAND_ON		0x6	/* memory, bus master */
#define PCI_COMMAND_INTX_OFF	0x400
#define PCI_BAR0		0x10
#define PCI_CAPABILITIES	0x34
#define PCI_CAP_MSI		0x05
#define PCI_CAP_MSIX		0x11
#define MSIX_ENABLE		(1u << 31)
#define MSIX_MASK_ALL		(1 << 30)
#define PCI_BAR_IO		1
#define PCI_BAR_64BIT		4
#define MSI_ENABLE		(1 << 16)
#define MSI_64BIT		(1 << 23)
#define MSI_ADDRESS		0xfee00000
#define MSI_LOGICAL		(1 << 2)
#define MSI_LOWEST_PRIORITY	(1 << 8)
#define PCI_INTERRUPT_LINE	0x3c	/* the firmware's: its pin at the I/O APIC, too */

#define IOAPIC			0xfec00000
#define IOAPIC_PIN(n)		(0x10 + 2 * (n))
#define IOAPIC_LEVEL		(1 << 15)

#define EDU_ID			0x11e81234
#define EDU_STATUS		0x24
#define EDU_RAISE		0x60
#define EDU_ACKNOWLEDGE		0x64

#define STORM_VECTOR		0x80	/* the last of the device's */
#define FIRST_VECTOR		0x41
#define VECTORS			64
#define MAX_SAMPLES		10000

static volatile uint32_t handled, stamp, nmis, strange;
static volatile int hostile_now;
static uint32_t samples[MAX_SAMPLES];
static uint32_t cpus, slot, irqs, move, pause, settle, hostile, storm;
static int twice, intx, lowest, until_input;
static uint32_t receivers = 1;		/* of each interrupt */
static volatile int raise_now, raise_always;	/* for the other CPU */
static uint32_t device, msi;		/* the device, and its capability */
static volatile uint32_t *edu;

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static uint32_t pci_read(uint32_t reg)
{
	out32(PCI_ADDRESS, 1u << 31 | device << 11 | reg);
	return in32(PCI_DATA);
}

static void pci_write(uint32_t reg, uint32_t value)
{
	out32(PCI_ADDRESS, 1u << 31 | device << 11 | reg);
	out32(PCI_DATA, value);
}

static uint32_t capability(uint32_t which)
{
	uint32_t at;

	for (at = pci_read(PCI_CAPABILITIES) & 0xfc; at; at = pci_read(at) >> 8 & 0xfc)
		if ((pci_read(at) & 0xff) == which)
			break;
	return at;
}

static void find_device(void)
{
	for (device = 0; device < 32; device++)
		if (pci_read(0) == EDU_ID)
			break;
	if (device == 32)
		fail("no edu device");
	pci_write(PCI_COMMAND, PCI_COMMAND_ON | PCI_COMMAND_INTX_OFF);
	edu = (volatile uint32_t *)(pci_read(PCI_BAR0) & ~0xfu);
	msi = capability(PCI_CAP_MSI);
	if (!msi)
		fail("no MSI");
}

/* Off while it's changed, or the device could send half a message. */
static void set_message(uint32_t address, uint32_t data)
{
	uint32_t control = pci_read(msi);

	pci_write(msi, control & ~MSI_ENABLE);
	pci_write(msi + 4, address);
	if (control & MSI_64BIT) {
		pci_write(msi + 8, 0);
		pci_write(msi + 12, data);
	} else {
		pci_write(msi + 8, data);
	}
	pci_write(msi, control | MSI_ENABLE);
}

/* The first entry of the table, which is in the memory of a BAR. */
static void set_msix_message(uint32_t msix, uint32_t address, uint32_t data)
{
	uint32_t where = pci_read(msix + 4), bar = PCI_BAR0 + 4 * (where & 7);
	uint32_t base = pci_read(bar);
	volatile uint32_t *entry = (volatile uint32_t *)((base & ~0xfu) + (where & ~7u));

	if (base & PCI_BAR_IO || !(base & ~0xfu) || (base & PCI_BAR_64BIT && pci_read(bar + 4)))
		fail("MSI-X table out of reach");
	pci_write(msix, pci_read(msix) | MSIX_ENABLE | MSIX_MASK_ALL);
	entry[0] = address;
	entry[1] = 0;
	entry[2] = data;
	entry[3] = 0;
	pci_write(msix, (pci_read(msix) | MSIX_ENABLE) & ~MSIX_MASK_ALL);
}

/* Of a device that this program has no driver for. It may not access memory. */
static void switch_on_message(void)
{
	uint32_t msix = capability(PCI_CAP_MSIX), address = MSI_ADDRESS | cpu(0)->id << 12;

	msi = capability(PCI_CAP_MSI);
	pci_write(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	if (msix)
		set_msix_message(msix, address, FIRST_VECTOR);
	else if (msi)
		set_message(address, FIRST_VECTOR);
	put_result("msix", "", msix != 0);
	put_result("msi", "", msi != 0);
}

/* Physical destination: the first CPU, whose APIC ID is 0. */
static void set_up_intx(void)
{
	volatile uint32_t *select = (uint32_t *)IOAPIC, *window = (uint32_t *)(IOAPIC + 0x10);
	uint32_t pin = pci_read(PCI_INTERRUPT_LINE) & 0xff;

	pci_write(msi, pci_read(msi) & ~MSI_ENABLE);
	pci_write(PCI_COMMAND, PCI_COMMAND_ON);
	*select = IOAPIC_PIN(pin) + 1;
	*window = 0;
	*select = IOAPIC_PIN(pin);
	*window = IOAPIC_LEVEL | FIRST_VECTOR;
}

/* As a driver that moves its interrupt: to where the new message says at once. */
static void move_message(uint32_t address, uint32_t data)
{
	uint32_t control = pci_read(msi);

	pci_write(msi + 4, address);
	pci_write(msi + (control & MSI_64BIT ? 12 : 8), data);
}

static void edu_raise(void)
{
	edu[EDU_RAISE / 4] = 1;
}

__attribute__((interrupt)) static void on_device(void *frame)
{
	uint32_t now = rdtsc();

	(void)frame;
	stamp = now;
	if (twice && handled % 2 == 0) {
		raise_now = 1;
		while (raise_now)
			in8(COM1 + 5);
	}
	edu[EDU_ACKNOWLEDGE / 4] = edu[EDU_STATUS / 4];
	wrmsr(X2APIC_EOI, 0);
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

__attribute__((interrupt)) static void on_nmi(void *frame)
{
	(void)frame;
	nmis++;
}

/* Of any vector that the hostile messages have, which is no surprise then. */
__attribute__((interrupt)) static void on_other(void *frame)
{
	(void)frame;
	if (!hostile_now)
		strange++;
	wrmsr(X2APIC_EOI, 0);
}

/* Until one more than @before was handled, by all that it's for. */
static int await_one(uint32_t before)
{
	uint64_t limit = rdtsc() + TIMEOUT;

	while (handled - before < receivers)
		if (rdtsc() > limit)
			return 0;
	return 1;
}

static uint32_t raise_and_wait(uint32_t *lost)
{
	uint32_t before = handled, start = rdtsc();

	edu_raise();
	if (!await_one(before))
		++*lost;
	return stamp - start;
}

static uint32_t random(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

/*
 * Any message but those that are right and end this program: INIT, SMI, and a vector
 * that is an exception here.
 */
static void be_hostile(void)
{
	uint32_t i, address, data, mode;

	hostile_now = 1;
	set_message(MSI_ADDRESS, FIRST_VECTOR);
	for (i = 0; i < hostile; i++) {
		mode = random() % 8;
		if (mode == 2 || mode == 5)
			mode = 0;
		address = MSI_ADDRESS | (random() & 0xff) << 12 | (random() & 0xffc);
		data = (random() & 0xc000) | mode << 8 | (random() & 0xff);
		if (mode < 2 && (data & 0xff) >= 8 && (data & 0xff) < 32)
			data &= ~0xff;
		move_message(address, data);
		edu_raise();
		spin(20000);
		edu[EDU_ACKNOWLEDGE / 4] = edu[EDU_STATUS / 4];
	}
	/*
	 * A level-triggered or unexpected one may still be in service or pending, or on its
	 * way through the host.
	 */
	spin(TIMEOUT / 10);
	for (i = 0; i < 256; i++)
		wrmsr(X2APIC_EOI, 0);
	hostile_now = 0;
	put_result("hostile_messages", "", hostile);
	put_result("hostile_nmis", "", nmis);
}

/* The storm must not keep this CPU from going on: each exit leaves the guest. */
static void weather_storm(void)
{
	uint32_t i;

	set_message(MSI_ADDRESS | cpu(0)->id << 12, STORM_VECTOR);
	put_result("storm_begins", "", 1);
	handled = 0;
	raise_always = 1;
	/* How many come meanwhile is up to the CPU that raises them. */
	for (i = 0; i < storm || handled <= 10; i++)
		in8(COM1 + 5);
	raise_always = 0;
	spin(10000000);
	put_result("storm_exits", "", storm);
	put_result("storm_handled", "", handled);
}

static uint32_t address_of(uint32_t index)
{
	return MSI_ADDRESS | cpu(index)->id << 12;
}

/* Looked at seldom, since it's an exit. */
static int told_to_end(uint32_t raised)
{
	return until_input && raised % 1024 == 0 && (in8(COM1 + 5) & 1);
}

static void raise_all(void)
{
	uint32_t i, n, moves = 0, lost = 0, before;

	if (intx)
		set_up_intx();
	else if (lowest || receivers == 2)
		set_message(MSI_ADDRESS | MSI_LOGICAL | 3 << 12,
			    FIRST_VECTOR | (lowest ? MSI_LOWEST_PRIORITY : 0));
	else
		set_message(address_of(0), FIRST_VECTOR);
	for (i = 0; i < 10; i++)
		raise_and_wait(&lost);
	spin(settle);

	handled = 0;
	mark(MARK_BEGIN);
	for (i = 0; i < irqs && !told_to_end(i); i++) {
		if (move && i % move == move - 1) {
			/* On its way, it may arrive by the old message or by the new one. */
			moves++;
			before = handled;
			edu_raise();
			move_message(address_of(moves % cpus), FIRST_VECTOR + moves % VECTORS);
			if (!await_one(before))
				lost++;
			continue;
		}
		n = raise_and_wait(&lost);
		if (twice && !await_one(2 * i + 1))
			lost++;
		if (i < MAX_SAMPLES)
			samples[i] = n;
		if (pause)
			spin(random() % pause);
	}
	mark(MARK_END);
	/* One that came twice would come now. */
	spin(1000000);
	put_result("irqs_raised", "", twice ? 2 * i : i);
	put_result("irqs_handled", "", handled);
	put_result("irqs_lost", "", lost);
	put_result("moves", "", moves);
	if (!move)
		report("raise_to_handler", samples, i < MAX_SAMPLES ? i : MAX_SAMPLES);
}

void ap_c(struct cpu *me)
{
	set_up_cpu();
	me->id = rdmsr(X2APIC_ID);
	me->up = 1;
	__asm__ volatile("sti" : : : "memory");
	while ((twice || storm) && me == cpu(1)) {
		if (!raise_now && !raise_always)
			continue;
		if (raise_now)
			spin(random() % 200000);
		edu_raise();
		raise_now = 0;
	}
	for (;;)
		__asm__ volatile("hlt" : : : "memory");
}

static void first_cpu(void)
{
	this_cpu()->id = rdmsr(X2APIC_ID);
	__asm__ volatile("sti" : : : "memory");
	if (cpus > 1)
		start_others(cpus);
	device = slot;
	if (slot && pci_read(0) != EDU_ID) {
		switch_on_message();
		put_result("done", "", 1);
		end();
	}
	find_device();
	put_result("ready", "", 1);
	if (hostile)
		be_hostile();
	if (storm)
		weather_storm();
	raise_all();
	put_result("unexpected", "", strange);
	put_result("done", "", 1);
	end();
}

void start_c(const char *cmdline);
void start_c(const char *cmdline)
{
	uint32_t i;

	set_up_serial();
	cpus = number(cmdline, "cpus=", 1);
	slot = number(cmdline, "slot=", 0);
	irqs = number(cmdline, "irqs=", 1000);
	move = number(cmdline, "move=", 0);
	pause = number(cmdline, "pause=", 0);
	settle = number(cmdline, "settle=", 0);
	hostile = number(cmdline, "hostile=", 0);
	storm = number(cmdline, "storm=", 0);
	twice = word(cmdline, "twice") != 0;
	intx = word(cmdline, "intx") != 0;
	until_input = word(cmdline, "until_input") != 0;
	lowest = word(cmdline, "lowest") != 0;
	if (word(cmdline, "both"))
		receivers = 2;
	if (!cpus || cpus > MAX_CPUS || !irqs ||
	    ((twice || storm || lowest || receivers > 1) && cpus < 2))
		fail("a number that is out of range");
	set_up(on_other);
	gate(2, on_nmi);
	for (i = 0; i < VECTORS; i++)
		gate(FIRST_VECTOR + i, on_device);
	on_own_stack(first_cpu);
}
