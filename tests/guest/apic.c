/*
 * A kernel of its own that lets its LAPIC timer fire, in x2APIC mode. The command
 * line's words say how:
 *
 *   deadline, oneshot, periodic     the mode of the timer (deadline)
 *   hlt                             wait in HLT, not in a loop
 *   tsc                             write the TSC first, as a guest may
 *   self                            no timer, but self-IPIs
 *   count=N                         so many interrupts (1000)
 *   listen                          fewer, if a byte comes by the serial port
 *   ahead=N                         the timer's ticks to the next (20000)
 *   settle=N                        ticks of the TSC before the first (0)
 *
 * Each interrupt is armed when the one before it was handled; between two marks
 * (mark.h) the host counts the exits.
 */
#include "apic.h"

#define MSR_IA32_TSC		0x10
#define VECTOR			0x40
#define AHEAD			20000

static volatile uint32_t fired, unexpected;

__attribute__((interrupt)) static void on_timer(void *frame)
{
	(void)frame;
	fired++;
	wrmsr(X2APIC_EOI, 0);
}

__attribute__((interrupt)) static void on_other(void *frame)
{
	(void)frame;
	unexpected++;
}

void start_c(const char *cmdline);
void start_c(const char *cmdline)
{
	uint32_t count = number(cmdline, "count=", 1000);
	int hlt = word(cmdline, "hlt") != 0;
	int self = word(cmdline, "self") != 0;
	int listen = word(cmdline, "listen") != 0;
	int periodic = word(cmdline, "periodic") != 0;
	int deadline = !periodic && !word(cmdline, "oneshot");
	uint64_t limit;
	uint32_t ahead = number(cmdline, "ahead=", AHEAD);
	uint32_t i;

	set_up(on_other);
	gate(VECTOR, on_timer);
	if (word(cmdline, "tsc"))
		wrmsr(MSR_IA32_TSC, rdtsc() + 100000000);
	wrmsr(X2APIC_TDCR, TDCR_DIVIDE_BY_1);
	wrmsr(X2APIC_LVTT, VECTOR | (deadline ? LVTT_DEADLINE : periodic ? LVTT_PERIODIC : 0));
	put_result("ready_after_ms", "", 0);
	spin(number(cmdline, "settle=", 0));

	mark(MARK_BEGIN);
	if (periodic && !self)
		wrmsr(X2APIC_TMICT, ahead);
	for (i = 0; i < count && !(listen && in8(COM1 + 5) & 1); i++) {
		if (self)
			wrmsr(X2APIC_SELF_IPI, VECTOR);
		else if (deadline)
			wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + ahead);
		else if (!periodic)
			wrmsr(X2APIC_TMICT, ahead);
		/* STI takes effect after the next instruction: none is lost before HLT. */
		limit = rdtsc() + 1000ULL * ahead;
		while (fired <= i && rdtsc() < limit) {
			if (hlt)
				__asm__ volatile("sti; hlt; cli" : : : "memory");
			else
				__asm__ volatile("sti; nop; cli" : : : "memory");
		}
	}
	mark(MARK_END);
	wrmsr(X2APIC_LVTT, LVT_MASKED);
	put_result("timers_fired", "", fired);
	put_result("unexpected", "", unexpected);
	end();
}
