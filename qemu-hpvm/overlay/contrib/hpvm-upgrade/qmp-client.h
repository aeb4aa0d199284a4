/*
 * A client of QEMU's monitor (QMP) that waits for each answer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HPVM_UPGRADE_QMP_CLIENT_H
#define HPVM_UPGRADE_QMP_CLIENT_H

#include "qobject/qdict.h"

typedef struct QmpClient QmpClient;

/* Connects to the monitor at a UNIX socket, and gets it ready for commands. */
QmpClient *qmp_client_new(const char *path, Error **errp);

void qmp_client_free(QmpClient *qmp);

/* The process that listens there. */
pid_t qmp_client_peer(const QmpClient *qmp);

/*
 * Executes a command, whose arguments are consumed and may be NULL.  Returns
 * what it returns, for the caller to free, or NULL with @errp set.
 */
QObject *qmp_client_execute(QmpClient *qmp, const char *command,
                            QDict *arguments, Error **errp);

/* Whether the last error was that QEMU is gone or silent. */
bool qmp_client_is_dead(const QmpClient *qmp);

#endif /* HPVM_UPGRADE_QMP_CLIENT_H */
