/*
 * Replaces the QEMU of a running guest by another one
 *
 * The new QEMU gets the guest's memory and, of a guest with hpvm=on, its CPUs
 * from the old one, which runs the guest until the new one is ready; see
 * docs/system/i386/hpvm.rst.  Until the guest runs there, whatever fails leaves
 * it in the old one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <glib/gstdio.h>
#include <glib-unix.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "qapi/error.h"
#include "qobject/qbool.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "qmp-client.h"
#include "successor.h"

/* Between two looks at what another process does. */
#define LOOK_US 20000

/* For vCPUs to become direct, and for the old QEMU to end. */
#define AFTERWARDS_US (10 * G_USEC_PER_SEC)

/* What of a guest with hpvm=on is direct. */
typedef struct Direct {
    unsigned int all_vcpus;
    unsigned int vcpus;
    unsigned int irqs;      /* of assigned devices */
} Direct;

typedef struct Upgrade {
    const char *monitor;    /* path */
    const char *program;
    gint timeout;           /* s, for the new QEMU to be ready, and for the rest */
    gboolean dry_run;
    GPtrArray *changes;
    QmpClient *old;
    pid_t old_pid;
    int old_pidfd;
    bool running;           /* the guest does */
    bool has_mode;          /* it has hpvm=on */
    Direct direct;          /* in the old QEMU */
    char *mode;             /* the old QEMU's migration mode, and what else we */
    bool return_path;       /* set */
    bool described;
    bool configured;
    bool sent;              /* the old QEMU was told to hand the guest over */
    Successor *successor;
    pid_t pid;              /* the new QEMU, 0: none */
    char *log;              /* what it says */
} Upgrade;

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    interrupted = true;
}

static void G_GNUC_PRINTF(1, 2) say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* Executes a command whose result is an object, or nothing. */
static QDict *execute(QmpClient *qmp, const char *command, QDict *arguments,
                      Error **errp)
{
    return qobject_to(QDict,
                      qmp_client_execute(qmp, command, arguments, errp));
}

static bool command(QmpClient *qmp, const char *name, QDict *arguments,
                    Error **errp)
{
    QObject *result = qmp_client_execute(qmp, name, arguments, errp);

    qobject_unref(result);
    return result;
}

static char *query_string(QmpClient *qmp, const char *name, const char *key,
                          Error **errp)
{
    g_autoptr(QDict) result = execute(qmp, name, NULL, errp);

    return result ? g_strdup(qdict_get_try_str(result, key) ?: "") : NULL;
}

/* How many of the objects have "direct" there. */
static unsigned int count_direct(const QList *list, const char *key)
{
    const QListEntry *entry;
    unsigned int n = 0;

    QLIST_FOREACH_ENTRY(list, entry) {
        QDict *object = qobject_to(QDict, qlist_entry_obj(entry));

        n += !g_strcmp0(qdict_get_try_str(object, key), "direct");
    }
    return n;
}

/* What of the guest is direct; false: no hpvm=on. */
static bool query_direct(QmpClient *qmp, Direct *direct)
{
    g_autoptr(QDict) info = execute(qmp, "query-hpvm", NULL, NULL);

    *direct = (Direct) { };
    if (!info || !qdict_get_try_bool(info, "enabled", false)) {
        return false;
    }
    direct->all_vcpus = qlist_size(qdict_get_qlist(info, "vcpus"));
    direct->vcpus = count_direct(qdict_get_qlist(info, "vcpus"), "state");
    direct->irqs = count_direct(qdict_get_qlist(info, "interrupts"), "way");
    return true;
}

static void say_direct(const Direct *direct)
{
    say("%u of its %u vCPUs are direct", direct->vcpus, direct->all_vcpus);
    if (direct->irqs) {
        say("interrupts of devices that go straight to them: %u", direct->irqs);
    }
}

/*
 * Whether the stream is to end with a description of itself, for people, which
 * takes half of the time that the guest stands still.
 */
static bool describe_stream(QmpClient *qmp, bool on, Error **errp)
{
    QDict *arguments = qdict_new();

    qdict_put_str(arguments, "path", "/machine");
    qdict_put_str(arguments, "property", "suppress-vmdesc");
    qdict_put_bool(arguments, "value", !on);
    return command(qmp, "qom-set", arguments, errp);
}

static bool set_mode(QmpClient *qmp, const char *mode, Error **errp)
{
    QDict *parameters = qdict_new();

    qdict_put_str(parameters, "mode", mode);
    return command(qmp, "migrate-set-parameters", parameters, errp);
}

static bool set_return_path(QmpClient *qmp, bool on, Error **errp)
{
    QDict *capabilities = qdict_new(), *capability = qdict_new();
    QList *list = qlist_new();

    qdict_put_str(capability, "capability", "return-path");
    qdict_put_bool(capability, "state", on);
    qlist_append(list, capability);
    qdict_put(capabilities, "capabilities", list);
    return command(qmp, "migrate-set-capabilities", capabilities, errp);
}

/* The old QEMU is to hand the guest over, and to wait for its arrival. */
static bool configure(Upgrade *u, Error **errp)
{
    g_autoptr(QList) capabilities = NULL;
    g_autoptr(QBool) suppressed = NULL;
    QDict *property = qdict_new();
    const QListEntry *entry;

    qdict_put_str(property, "path", "/machine");
    qdict_put_str(property, "property", "suppress-vmdesc");
    suppressed = qobject_to(QBool, qmp_client_execute(u->old, "qom-get",
                                                      property, errp));
    if (!suppressed) {
        return false;
    }
    u->described = !qbool_get_bool(suppressed);
    u->mode = query_string(u->old, "query-migrate-parameters", "mode", errp);
    if (!u->mode) {
        return false;
    }
    capabilities = qobject_to(QList,
                              qmp_client_execute(u->old,
                                                 "query-migrate-capabilities",
                                                 NULL, errp));
    if (!capabilities) {
        return false;
    }
    QLIST_FOREACH_ENTRY(capabilities, entry) {
        QDict *one = qobject_to(QDict, qlist_entry_obj(entry));

        if (!g_strcmp0(qdict_get_try_str(one, "capability"), "return-path")) {
            u->return_path = qdict_get_try_bool(one, "state", false);
        }
    }
    u->configured = true;
    return set_mode(u->old, "cpr-transfer", errp) &&
           set_return_path(u->old, true, errp) &&
           describe_stream(u->old, false, errp);
}

/* Puts back what configure() has changed, each for itself; says what it can't. */
static void restore(Upgrade *u)
{
    Error *err = NULL;

    if (!u->configured) {
        return;
    }
    set_mode(u->old, u->mode, &err);
    set_return_path(u->old, u->return_path, err ? NULL : &err);
    describe_stream(u->old, u->described, err ? NULL : &err);
    if (err) {
        fprintf(stderr, "The old QEMU's settings for migrations aren't what "
                "they were (%s);\nset the parameter mode to %s before the next "
                "one.\n", error_get_pretty(err), u->mode);
        error_free(err);
    }
}

static bool check_memory(Upgrade *u, Error **errp)
{
    g_autoptr(QList) backends = NULL;
    const QListEntry *entry;

    backends = qobject_to(QList, qmp_client_execute(u->old, "query-memdev",
                                                    NULL, errp));
    if (!backends) {
        return false;
    }
    QLIST_FOREACH_ENTRY(backends, entry) {
        QDict *backend = qobject_to(QDict, qlist_entry_obj(entry));

        if (!qdict_get_try_bool(backend, "share", false)) {
            error_setg(errp, "the guest's memory '%s' is its QEMU's alone; "
                       "guests that are to be upgraded need -object "
                       "memory-backend-memfd,share=on,..., and -machine "
                       "memory-backend=...,aux-ram-share=on, from their start",
                       qdict_get_try_str(backend, "id") ?: "?");
            return false;
        }
    }
    return true;
}

/* Before the mode is set, with which a migration under way would go wrong. */
static bool check_not_migrating(Upgrade *u, Error **errp)
{
    g_autoptr(QDict) info = execute(u->old, "query-migrate", NULL, errp);
    static const char *const over[] = {
        "", "none", "completed", "failed", "cancelled", NULL
    };
    const char *status = info ? qdict_get_try_str(info, "status") ?: "" : NULL;

    if (!info) {
        return false;
    }
    if (!g_strv_contains(over, status)) {
        error_setg(errp, "the guest is being migrated already (%s); wait for "
                   "that, or cancel it with migrate_cancel", status);
        return false;
    }
    return true;
}

/* What QEMU itself has against it, with the mode set. */
static bool check_migration(Upgrade *u, Error **errp)
{
    g_autoptr(QDict) info = execute(u->old, "query-migrate", NULL, errp);
    QList *reasons;

    if (!info) {
        return false;
    }
    reasons = qdict_get_qlist(info, "blocked-reasons");
    if (reasons && !qlist_empty(reasons)) {
        error_setg(errp, "%s",
                   qstring_get_str(qobject_to(QString, qlist_peek(reasons))));
        return false;
    }
    return true;
}

/* The command line of the old QEMU. */
static char **read_command_line(pid_t pid, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autoptr(GError) gerr = NULL;
    g_autofree char *text = NULL;
    GPtrArray *arguments;
    gsize length;

    if (!g_file_get_contents(path, &text, &length, &gerr) || !length) {
        error_setg(errp, "can't read how the old QEMU was started: %s",
                   gerr ? gerr->message : "the process is gone");
        return NULL;
    }
    arguments = g_ptr_array_new();
    for (char *next = text; next < text + length; next += strlen(next) + 1) {
        g_ptr_array_add(arguments, g_strdup(next));
    }
    g_ptr_array_add(arguments, NULL);
    return (char **)g_ptr_array_free(arguments, false);
}

/* The first line of what the new QEMU says of its version. */
static char *read_version(Upgrade *u, Error **errp)
{
    const char *argv[] = { u->program, "--version", NULL };
    g_autoptr(GError) gerr = NULL;
    char *text = NULL;
    int status;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL,
                      NULL, NULL, &text, NULL, &status, &gerr)) {
        error_setg(errp, "%s", gerr->message);
        return NULL;
    }
    if (status || !g_str_has_prefix(text, "QEMU")) {
        error_setg(errp, "%s doesn't look like a QEMU", u->program);
        g_free(text);
        return NULL;
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void say_plan(const Upgrade *u)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (unsigned int i = 0; u->successor->argv->pdata[i]; i++) {
        g_autofree char *quoted = g_shell_quote(u->successor->argv->pdata[i]);

        g_string_append_printf(line, "%s%s", i ? " " : "", quoted);
    }
    say("The new QEMU would be started as\n\n  %s\n", line->str);
    say("It would wait at %s for the guest's memory%s,\nand be told the "
        "guest's state at %s. When the\nguest runs there, the old QEMU would "
        "be ended, and these paths would be the\nnew one's:",
        u->successor->cpr_path, u->has_mode ? " and CPUs" : "",
        u->successor->main_path);
    for (unsigned int i = 0; i < u->successor->paths->len; i++) {
        say("  %s", (char *)u->successor->paths->pdata[i]);
    }
    say("\nNothing was changed. Nothing is known that stands in the way.");
}

/* Whether the new QEMU would be who and where the old one is. */
static bool is_at_home(const Upgrade *u, Error **errp)
{
    static const char *const namespaces[] = { "mnt", "net", "pid" };
    g_autofree char *process = g_strdup_printf("/proc/%d", u->old_pid);
    struct stat theirs, ours;

    if (stat(process, &theirs) < 0) {
        error_setg(errp, "the QEMU of the monitor isn't visible here");
        return false;
    }
    if (theirs.st_uid != geteuid()) {
        error_setg(errp, "the old QEMU is user %d's; run this as that user",
                   theirs.st_uid);
        return false;
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(namespaces); i++) {
        g_autofree char *their = g_strdup_printf("%s/ns/%s", process,
                                                 namespaces[i]);
        g_autofree char *our = g_strdup_printf("/proc/self/ns/%s",
                                               namespaces[i]);

        if (stat(their, &theirs) < 0 || stat(our, &ours) < 0 ||
            theirs.st_ino != ours.st_ino) {
            error_setg(errp, "the old QEMU is in another %s namespace; run "
                       "this there (nsenter -t %d)", namespaces[i],
                       u->old_pid);
            return false;
        }
    }
    return true;
}

/* Looks at the guest and what is to become of it; changes nothing for good. */
static bool prepare(Upgrade *u, Error **errp)
{
    g_autofree char *name = query_string(u->old, "query-name", "name", errp);
    g_autofree char *status = NULL;
    g_autofree char *version = NULL;
    g_auto(GStrv) line = NULL;

    status = name ? query_string(u->old, "query-status", "status", errp) : NULL;
    if (!status) {
        return false;
    }
    u->running = g_str_equal(status, "running");
    if (!u->running && !g_str_equal(status, "paused")) {
        error_setg(errp, "the guest is neither running nor paused, but in "
                   "state '%s'", status);
        return false;
    }
    if (!is_at_home(u, errp)) {
        return false;
    }
    version = read_version(u, errp);
    line = version ? read_command_line(u->old_pid, errp) : NULL;
    if (!line) {
        return false;
    }
    u->has_mode = query_direct(u->old, &u->direct);
    say("guest '%s', %s, in QEMU with pid %d", name, status, u->old_pid);
    if (u->has_mode) {
        say_direct(&u->direct);
    }
    say("to go on in %s (%s)", u->program, version);
    u->successor = successor_new(line, u->old_pid, u->program, u->monitor,
                                 u->changes, errp);
    return u->successor && check_memory(u, errp) &&
           check_not_migrating(u, errp) && configure(u, errp) &&
           check_migration(u, errp);
}

/* The new QEMU is a child, that nobody else waits for. */
static bool has_ended(Upgrade *u)
{
    if (u->pid && waitpid(u->pid, NULL, WNOHANG) == u->pid) {
        u->pid = 0;
    }
    return !u->pid;
}

static void child_setup(gpointer data)
{
    setsid();
}

static bool start(Upgrade *u, Error **errp)
{
    g_autofree char *directory = g_strdup_printf("/proc/%d/cwd", u->old_pid);
    g_autoptr(GError) gerr = NULL;
    g_autofree char *where = g_file_read_link(directory, &gerr);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log;

    if (!where) {
        error_setg(errp, "can't read where the old QEMU runs: %s",
                   gerr->message);
        return false;
    }
    unlink(u->successor->cpr_path);
    unlink(u->successor->main_path);
    u->log = g_strdup_printf("%s.log", u->monitor);
    unlink(u->log);
    log = open(u->log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (log < 0 || null < 0) {
        error_setg_errno(errp, errno, "can't write %s", u->log);
        return false;
    }
    if (!g_spawn_async_with_fds(where, (char **)u->successor->argv->pdata, NULL,
                                G_SPAWN_DO_NOT_REAP_CHILD, child_setup, NULL,
                                &u->pid, null, log, log, &gerr)) {
        error_setg(errp, "%s", gerr->message);
        return false;
    }
    close(log);
    close(null);
    return true;
}

/* False with @errp set if it's no use to wait any longer. */
static bool goes_on(Upgrade *u, gint64 until, const char *what, Error **errp)
{
    if (interrupted) {
        error_setg(errp, "interrupted");
    } else if (has_ended(u)) {
        error_setg(errp, "the new QEMU has ended");
    } else if (g_get_monotonic_time() > until) {
        error_setg(errp, "%s within %d s", what, u->timeout);
    } else {
        g_usleep(LOOK_US);
        return true;
    }
    return false;
}

static QDict *unix_channel(const char *type, const char *path)
{
    QDict *channel = qdict_new(), *address = qdict_new();

    qdict_put_str(address, "transport", "socket");
    qdict_put_str(address, "type", "unix");
    qdict_put_str(address, "path", path);
    qdict_put_str(channel, "channel-type", type);
    qdict_put(channel, "addr", address);
    return channel;
}

static bool send_guest(Upgrade *u, Error **errp)
{
    QDict *arguments = qdict_new();
    QList *channels = qlist_new();

    qlist_append(channels, unix_channel("main", u->successor->main_path));
    qlist_append(channels, unix_channel("cpr", u->successor->cpr_path));
    qdict_put(arguments, "channels", channels);
    u->sent = true;
    return command(u->old, "migrate", arguments, errp);
}

typedef enum Arrival { ON_ITS_WAY, ARRIVED, NOT_ARRIVED } Arrival;

/* What the old QEMU says of the guest, with @errp set if it hasn't arrived. */
static Arrival query_arrival(Upgrade *u, const char **status, Error **errp)
{
    static const char *const not_arrived[] = {
        "none", "failed", "cancelled", NULL
    };
    g_autoptr(QDict) info = execute(u->old, "query-migrate", NULL, errp);

    if (!info) {
        return NOT_ARRIVED;
    }
    *status = g_intern_string(qdict_get_try_str(info, "status") ?: "none");
    if (g_str_equal(*status, "completed")) {
        say("4/5 it has arrived; it stood still for %" PRId64 " ms",
            qdict_get_try_int(info, "downtime", -1));
        return ARRIVED;
    }
    if (g_strv_contains(not_arrived, *status)) {
        error_setg(errp, "the guest couldn't be handed over: %s",
                   qdict_get_try_str(info, "error-desc") ?: *status);
        return NOT_ARRIVED;
    }
    return ON_ITS_WAY;
}

/* Where the new QEMU has one of the paths; the first is the monitor's. */
static char *new_path(const Upgrade *u, unsigned int i)
{
    return g_strconcat(u->successor->paths->pdata[i], u->successor->suffix,
                       NULL);
}

/*
 * Nobody waits any longer.  Has the old QEMU give up, unless it's too late for
 * that: returns whether the guest runs in the new one.
 */
static bool runs_nevertheless(Upgrade *u)
{
    gint64 until = g_get_monotonic_time() + AFTERWARDS_US;
    g_autofree char *path = new_path(u, 0);
    g_autofree char *running = NULL;
    const char *status;
    QmpClient *new;

    if (!u->sent) {
        return false;
    }
    command(u->old, "migrate_cancel", NULL, NULL);
    while (!qmp_client_is_dead(u->old)) {
        Arrival arrival = query_arrival(u, &status, NULL);

        if (arrival != ON_ITS_WAY || g_get_monotonic_time() > until) {
            return arrival == ARRIVED && !has_ended(u);
        }
        g_usleep(LOOK_US);
    }
    /* The old QEMU is gone: the guest is in the new one, or nowhere. */
    new = access(path, F_OK) == 0 ? qmp_client_new(path, NULL) : NULL;
    if (new) {
        running = query_string(new, "query-status", "status", NULL);
        qmp_client_free(new);
    }
    return running && g_str_equal(running, "running");
}

static bool await_arrival(Upgrade *u, gint64 until, Error **errp)
{
    const char *status;
    bool moving = false;

    for (;;) {
        Arrival arrival = query_arrival(u, &status, errp);

        if (arrival != ON_ITS_WAY) {
            return arrival == ARRIVED;
        }
        if (!moving && g_str_equal(status, "active")) {
            moving = true;
            say("3/5 the guest moves");
        }
        if (!goes_on(u, until, "the guest hasn't arrived", errp)) {
            return false;
        }
    }
}

/* Moves the guest; when this returns false, it isn't in the new QEMU. */
static bool move(Upgrade *u, Error **errp)
{
    gint64 until = g_get_monotonic_time() + u->timeout * G_USEC_PER_SEC;
    Error *err = NULL;

    if (!start(u, errp)) {
        return false;
    }
    say("1/5 the new QEMU starts, with pid %d", u->pid);
    while (access(u->successor->cpr_path, F_OK) < 0) {
        if (!goes_on(u, until, "the new QEMU wasn't ready", errp)) {
            return false;
        }
    }
    /* From bind() to listen(). */
    g_usleep(LOOK_US);
    say("2/5 it gets the guest's memory%s", u->has_mode ? " and CPUs" : "");
    if (send_guest(u, &err) && await_arrival(u, until, &err)) {
        return true;
    }
    if (runs_nevertheless(u)) {
        error_free(err);
        return true;
    }
    error_propagate(errp, err);
    return false;
}

static void say_log(const Upgrade *u)
{
    g_autofree char *text = NULL;

    if (u->log && g_file_get_contents(u->log, &text, NULL, NULL) && *text) {
        fprintf(stderr, "The new QEMU said:\n%s", text);
    }
}

static void remove_sockets(const Upgrade *u)
{
    unlink(u->successor->cpr_path);
    unlink(u->successor->main_path);
}

/* Ends the new QEMU and leaves the old one as it was. */
static void go_back(Upgrade *u)
{
    gint64 until = g_get_monotonic_time() + AFTERWARDS_US;
    g_autofree char *status = NULL;

    if (u->pid) {
        kill(u->pid, SIGKILL);
        waitpid(u->pid, NULL, 0);
        u->pid = 0;
    }
    if (u->log) {
        say_log(u);
        unlink(u->log);
    }
    if (u->successor) {
        for (unsigned int i = 0; u->log && i < u->successor->paths->len; i++) {
            g_autofree char *path = new_path(u, i);

            unlink(path);
        }
        remove_sockets(u);
    }
    /* The migration fails as soon as QEMU hears of it, and the guest goes on. */
    do {
        g_free(status);
        status = query_string(u->old, "query-status", "status", NULL);
        if (!status || !u->running || g_str_equal(status, "running")) {
            break;
        }
        if (g_str_equal(status, "postmigrate")) {
            command(u->old, "cont", NULL, NULL);
        }
        g_usleep(LOOK_US);
    } while (g_get_monotonic_time() < until);

    if (status) {
        restore(u);
    }
    if (!status) {
        fprintf(stderr, "The old QEMU is gone, too.\n");
    } else if (u->running && !g_str_equal(status, "running")) {
        fprintf(stderr, "The guest is in the old QEMU (pid %d), in state "
                "'%s'; 'cont' may have it go on.\n", u->old_pid, status);
    } else {
        fprintf(stderr, "The guest %s in the old QEMU (pid %d).\n",
                u->running ? "goes on" : "is, paused,", u->old_pid);
    }
}

/* Waits until the old QEMU has ended, and sees to it. */
static void end_old(Upgrade *u)
{
    GPollFD event = { .fd = u->old_pidfd, .events = G_IO_IN };

    command(u->old, "quit", NULL, NULL);
    if (g_poll(&event, 1, AFTERWARDS_US / 1000) == 0) {
        pidfd_send_signal(u->old_pidfd, SIGKILL, NULL, 0);
        g_poll(&event, 1, AFTERWARDS_US / 1000);
    }
}

/* The new QEMU's paths become the old one's. */
static bool rename_paths(Upgrade *u)
{
    bool renamed = true;

    for (unsigned int i = 0; i < u->successor->paths->len; i++) {
        const char *to = u->successor->paths->pdata[i];
        g_autofree char *from = new_path(u, i);

        if (rename(from, to) < 0) {
            fprintf(stderr, "hpvm-upgrade: %s can't become %s: %s\n", from, to,
                    strerror(errno));
            renamed = false;
        }
    }
    return renamed;
}

/*
 * The guest has arrived.  Returns the exit status; 1: it doesn't run in the new
 * QEMU, and is in the old one.
 */
static int finish(Upgrade *u, Error **errp)
{
    gint64 until = g_get_monotonic_time() + AFTERWARDS_US;
    const char *wanted = u->running ? "running" : "paused";
    g_autofree char *path = new_path(u, 0);
    QmpClient *new = qmp_client_new(path, errp);
    g_autofree char *status = NULL;
    Direct direct = { };
    int result = 0;

    if (!new) {
        return 3;
    }
    for (;;) {
        g_free(status);
        status = query_string(new, "query-status", "status", errp);
        if (!status) {
            qmp_client_free(new);
            return 3;
        }
        if (g_str_equal(status, wanted)) {
            break;
        }
        if (g_get_monotonic_time() > until) {
            error_setg(errp, "the guest is in state '%s' in the new QEMU, "
                       "instead of '%s'", status, wanted);
            qmp_client_free(new);
            return 1;
        }
        g_usleep(LOOK_US);
    }
    while (u->has_mode && u->running && query_direct(new, &direct) &&
           (direct.vcpus < direct.all_vcpus || direct.irqs < u->direct.irqs) &&
           g_get_monotonic_time() < until) {
        g_usleep(LOOK_US);
    }
    if (!describe_stream(new, u->described, errp)) {
        result = 3;
    }
    qmp_client_free(new);

    end_old(u);
    if (!rename_paths(u)) {
        result = 3;
    }
    remove_sockets(u);
    say("5/5 the guest is %s in the new QEMU, with pid %d; the old one has "
        "ended", status, u->pid);
    if (u->has_mode && u->running) {
        say_direct(&direct);
        if (direct.irqs < u->direct.irqs) {
            fprintf(stderr, "hpvm-upgrade: fewer interrupts of devices go "
                    "straight to vCPUs than before (%u, not %u);\nthe others "
                    "cost VM exits: query-hpvm or what the new QEMU said tells "
                    "why\n", direct.irqs, u->direct.irqs);
            result = 3;
        }
    }
    return result;
}

static gboolean add_change(const gchar *option, const gchar *value,
                           gpointer data, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(value, "=", 2);
    Upgrade *u = data;
    Change *change;

    if (!parts[0] || !*parts[0] || !parts[1]) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "%s has no FROM=TO", value);
        return false;
    }
    change = g_new0(Change, 1);
    change->from = g_strdup(parts[0]);
    change->to = g_strdup(parts[1]);
    g_ptr_array_add(u->changes, change);
    return true;
}

static bool parse(Upgrade *u, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &u->dry_run,
          "Say what would be done and what stands in the way", NULL },
        { "change", 'c', 0, G_OPTION_ARG_CALLBACK, add_change,
          "For what only one QEMU can have, such as a tap device: the new one "
          "has TO\n                            where the old one's command "
          "line has FROM (may be repeated)",
          "FROM=TO" },
        { "timeout", 't', 0, G_OPTION_ARG_INT, &u->timeout,
          "Give up after so long (default: 60)", "SECONDS" },
        { NULL }
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("QMP-SOCKET NEW-QEMU");
    GOptionGroup *group = g_option_group_new("", "", "", u, NULL);
    g_autoptr(GError) gerr = NULL;

    g_option_group_add_entries(group, entries);
    g_option_context_set_main_group(context, group);
    g_option_context_set_summary(
        context, "Replaces the QEMU of a running guest by another one, on the "
        "same host and\nwithout the guest's help. QMP-SOCKET is a monitor's of "
        "the guest, that nobody\nelse is connected to; NEW-QEMU the program. "
        "Whatever fails before the guest runs\nthere leaves it in the old one."
        "\n\nExit status: 0 done; 1 not done, the guest is in the old QEMU; 2 "
        "wrong usage;\n3 the guest is in the new QEMU, but something is "
        "left to do.");
    if (!g_option_context_parse(context, argc, argv, &gerr)) {
        fprintf(stderr, "hpvm-upgrade: %s\n", gerr->message);
        return false;
    }
    if (*argc != 3 || u->timeout <= 0) {
        g_autofree char *help = g_option_context_get_help(context, true, NULL);

        fputs(help, stderr);
        return false;
    }
    u->monitor = (*argv)[1];
    /* It's started in the old QEMU's directory; without a "/", by $PATH. */
    u->program = strchr((*argv)[2], '/') ?
                     g_canonicalize_filename((*argv)[2], NULL) : (*argv)[2];
    return true;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = interrupt };
    Upgrade u = { .timeout = 60, .changes = g_ptr_array_new() };
    Error *err = NULL;
    int status;

    if (!parse(&u, &argc, &argv)) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);

    u.old = qmp_client_new(u.monitor, &err);
    if (!u.old) {
        fprintf(stderr, "hpvm-upgrade: %s\n", error_get_pretty(err));
        return 1;
    }
    u.old_pid = qmp_client_peer(u.old);
    u.old_pidfd = pidfd_open(u.old_pid, 0);

    if (!prepare(&u, &err) || (!u.dry_run && !move(&u, &err))) {
        status = 1;
    } else if (u.dry_run) {
        restore(&u);
        say_plan(&u);
        return 0;
    } else {
        status = finish(&u, &err);
    }
    if (err) {
        fprintf(stderr, "hpvm-upgrade: %s\n", error_get_pretty(err));
    }
    if (status == 1) {
        go_back(&u);
    } else if (status) {
        fprintf(stderr, "The guest is in the new QEMU (pid %d).\n", u.pid);
        say_log(&u);
    }
    return status;
}
