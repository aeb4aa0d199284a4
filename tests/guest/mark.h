/*
 * The quiet interval of a guest: its begin and end are writes to an I/O port that
 * no device has. The host counts VM exits from one to the other (tests/lab/l1/lab.sh).
 */
#ifndef HPVM_TEST_MARK_H
#define HPVM_TEST_MARK_H

#define MARK_PORT	0xf4
#define MARK_BEGIN	1
#define MARK_END	2

static inline void out8(unsigned short port, unsigned char value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline unsigned char in8(unsigned short port)
{
	unsigned char value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void mark(unsigned char which)
{
	out8(MARK_PORT, which);
}

#endif
