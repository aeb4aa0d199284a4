/*
 * PID 1 of the Linux guests: what its files share.
 */
#ifndef HPVM_TEST_INIT_H
#define HPVM_TEST_INIT_H

#include <stdbool.h>

/* Says so with errno's text, and ends the guest. */
void fail(const char *what);

/* The number of the kernel's command line that begins with NAME=. */
long parameter(const char *name, long otherwise);

/* What follows NAME= on it, up to its end, or NULL. */
const char *text_parameter(const char *name);

/* The sum of the counts in the lines of /proc/interrupts that have this text, or -1. */
long interrupts(const char *text);

void write_file(const char *path, const char *text);

/* devices.c: the work with assigned devices; disk() and network() end the quiet interval. */
void load_modules(void);
void cycle_disk(long cycles);
void disk(long reads, bool endless);
void set_up_network(void);
void network(long frames);

/* From now on, somebody may connect to the guest's TCP port 7, or write to the console. */
extern volatile bool told_to_end;
void await_call(void);
void await_input(void);

/* firmware.c: a variable of UEFI, and so many SMIs on each CPU beside the timers. */
void open_variable(void);
void start_smis(long count);

/* busy.c: work beside the timers, with so many MiB of memory, and rests. */
void start_busy(long mib, long rest_ns);
void report_busy(void);

/* loads.c: Debian's own programs, one load after the other. */
void run_loads(const char *names);
void await_line(void);

#endif
