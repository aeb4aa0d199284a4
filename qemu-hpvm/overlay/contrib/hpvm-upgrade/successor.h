/*
 * The command line of a QEMU that takes a guest over from another one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HPVM_UPGRADE_SUCCESSOR_H
#define HPVM_UPGRADE_SUCCESSOR_H

/* Written as FROM=TO, where FROM has no "=". */
typedef struct Change {
    char *from;
    char *to;
} Change;

typedef struct Successor {
    GPtrArray *argv;    /* char *, with NULL at the end */
    /*
     * Paths that only one QEMU can have: the new one has them with a suffix,
     * until the old one is gone.
     */
    GPtrArray *paths;   /* char * */
    char *suffix;
    char *cpr_path;     /* where it waits for memory and CPUs */
    char *main_path;    /* where it waits for the guest's state */
} Successor;

/*
 * @old is the command line of the QEMU @pid whose monitor is at @monitor,
 * @program the other QEMU.  Each @changes, of Change, has to occur.  Returns
 * NULL with @errp set if the result couldn't work.
 */
Successor *successor_new(char **old, pid_t pid, const char *program,
                         const char *monitor, const GPtrArray *changes,
                         Error **errp);

void successor_free(Successor *successor);

#endif /* HPVM_UPGRADE_SUCCESSOR_H */
