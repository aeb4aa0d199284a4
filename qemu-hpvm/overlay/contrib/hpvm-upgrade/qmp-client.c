/*
 * A client of QEMU's monitor (QMP) that waits for each answer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sys/socket.h>

#include "qapi/error.h"
#include "qemu/sockets.h"
#include "qobject/qjson.h"
#include "qmp-client.h"

/* A monitor that says nothing for so long isn't coming back. */
#define SILENCE_MS 60000

struct QmpClient {
    char *path;
    int fd;
    bool dead;
    GString *received;
};

/* The next line of what the monitor says, or NULL. */
static char *read_line(QmpClient *qmp, Error **errp)
{
    for (;;) {
        char *end = memchr(qmp->received->str, '\n', qmp->received->len);
        GPollFD poll_fd = { .fd = qmp->fd, .events = G_IO_IN };
        char buffer[4096];
        ssize_t n;
        int ready;

        if (end) {
            gsize length = end - qmp->received->str;
            char *line = g_strndup(qmp->received->str, length);

            g_string_erase(qmp->received, 0, length + 1);
            return line;
        }
        ready = RETRY_ON_EINTR(g_poll(&poll_fd, 1, SILENCE_MS));
        if (ready == 0) {
            qmp->dead = true;
            error_setg(errp, "the monitor at %s has said nothing for %d s; is "
                       "somebody else connected to it?", qmp->path,
                       SILENCE_MS / 1000);
            return NULL;
        }
        n = ready < 0 ? -1
                      : RETRY_ON_EINTR(read(qmp->fd, buffer, sizeof(buffer)));
        if (n <= 0) {
            qmp->dead = true;
            error_setg(errp, "the QEMU of the monitor at %s is gone",
                       qmp->path);
            return NULL;
        }
        g_string_append_len(qmp->received, buffer, n);
    }
}

static QDict *read_object(QmpClient *qmp, Error **errp)
{
    g_autofree char *line = read_line(qmp, errp);
    QObject *object = line ? qobject_from_json(line, errp) : NULL;
    QDict *dict = qobject_to(QDict, object);

    if (object && !dict) {
        error_setg(errp, "what listens at %s doesn't speak QMP", qmp->path);
        qobject_unref(object);
    }
    return dict;
}

bool qmp_client_is_dead(const QmpClient *qmp)
{
    return qmp->dead;
}

QObject *qmp_client_execute(QmpClient *qmp, const char *command,
                            QDict *arguments, Error **errp)
{
    g_autoptr(QDict) request = qdict_new();
    g_autoptr(GString) text = NULL;

    qdict_put_str(request, "execute", command);
    if (arguments) {
        qdict_put(request, "arguments", arguments);
    }
    text = qobject_to_json(QOBJECT(request));
    g_string_append_c(text, '\n');
    if (qemu_write_full(qmp->fd, text->str, text->len) != text->len) {
        qmp->dead = true;
        error_setg(errp, "the QEMU of the monitor at %s is gone", qmp->path);
        return NULL;
    }
    for (;;) {
        g_autoptr(QDict) answer = read_object(qmp, errp);
        QObject *result;
        QDict *error;

        if (!answer) {
            return NULL;
        }
        /* Anything else is an event. */
        error = qdict_get_qdict(answer, "error");
        if (error) {
            error_setg(errp, "%s: %s", command,
                       qdict_get_try_str(error, "desc"));
            return NULL;
        }
        result = qdict_get(answer, "return");
        if (result) {
            return qobject_ref(result);
        }
    }
}

QmpClient *qmp_client_new(const char *path, Error **errp)
{
    g_autoptr(QDict) greeting = NULL;
    QmpClient *qmp;
    QObject *none;
    int fd = unix_connect(path, errp);

    if (fd < 0) {
        return NULL;
    }
    qmp = g_new0(QmpClient, 1);
    qmp->path = g_strdup(path);
    qmp->fd = fd;
    qmp->received = g_string_new(NULL);
    greeting = read_object(qmp, errp);
    none = greeting ? qmp_client_execute(qmp, "qmp_capabilities", NULL, errp)
                    : NULL;
    if (!none) {
        qmp_client_free(qmp);
        return NULL;
    }
    qobject_unref(none);
    return qmp;
}

void qmp_client_free(QmpClient *qmp)
{
    if (qmp) {
        close(qmp->fd);
        g_string_free(qmp->received, true);
        g_free(qmp->path);
        g_free(qmp);
    }
}

pid_t qmp_client_peer(const QmpClient *qmp)
{
    struct ucred peer = { 0 };
    socklen_t length = sizeof(peer);

    getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    return peer.pid;
}
