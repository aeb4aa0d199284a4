/*
 * The command line of a QEMU that takes a guest over from another one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include "qapi/error.h"
#include "successor.h"

/* The stream doesn't end with a description of itself; see describe_stream(). */
#define NO_DESCRIPTION "suppress-vmdesc=on"

/* Whether @arg is the option, with one dash or two. */
static bool is_option(const char *arg, const char *name)
{
    if (*arg != '-') {
        return false;
    }
    arg += arg[1] == '-' ? 2 : 1;
    return g_str_equal(arg, name);
}

/* @text with each @from as @to; @count: how many there are more. */
static char *replace(const char *text, const char *from, const char *to,
                     unsigned int *count)
{
    g_auto(GStrv) parts = g_strsplit(text, from, -1);

    *count += g_strv_length(parts) - 1;
    /* An empty string has no parts, and nothing to replace. */
    return *text ? g_strjoinv(to, parts) : g_strdup(text);
}

/* What an upgrade before this one has appended to a path. */
#define SUFFIX "\\.upgrade-[0-9]+"

/* The path without what an upgrade has appended. */
static char *original_path(const char *path)
{
    g_autoptr(GRegex) regex = g_regex_new(SUFFIX "$", G_REGEX_RAW, 0, NULL);

    return g_regex_replace_literal(regex, path, -1, 0, "", 0, NULL);
}

/* A path in an option, which may be JSON; @count: how many there are more. */
static char *replace_path(const char *arg, const char *path, const char *suffix,
                          unsigned int *count)
{
    g_autofree char *quoted = g_regex_escape_string(path, -1);
    g_autofree char *pattern =
        g_strdup_printf("(^|[=:\"])%s(" SUFFIX ")?(?=[,\"]|$)", quoted);
    g_autofree char *changed = g_strdup_printf("\\g<1>%s%s", path, suffix);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_RAW, 0, NULL);

    *count += g_regex_match(regex, arg, 0, NULL);
    return g_regex_replace(regex, arg, -1, 0, changed, 0, NULL);
}

/* Where a socket option has QEMU listen, or NULL. */
static char *listening_path(const char *arg)
{
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GRegex) regex =
        g_regex_new("(?:\\bpath=|^unix:|\"path\": *\")([^,\"]+)", G_REGEX_RAW, 0,
                    NULL);

    if (!g_regex_match_simple("\\bserver\\b(?!=off|\": *false)", arg, G_REGEX_RAW,
                              0) ||
        !g_regex_match(regex, arg, 0, &match)) {
        return NULL;
    }
    return g_match_info_fetch(match, 1);
}

/* A descriptor of whoever has started the old QEMU; also in JSON. */
static bool names_descriptor(const char *arg)
{
    return g_regex_match_simple("(^|,)(vhost)?fds?=[0-9]|"
                                "\"(vhost)?fds?\": *\"?[0-9]|^fd:[0-9]",
                                arg, G_REGEX_RAW, 0);
}

static char *channel(const char *type, const char *path)
{
    return g_strdup_printf("{\"channel-type\":\"%s\",\"addr\":{\"transport\":"
                           "\"socket\",\"type\":\"unix\",\"path\":\"%s\"}}",
                           type, path);
}

Successor *successor_new(char **old, pid_t pid, const char *program,
                         const char *monitor, const GPtrArray *changes,
                         Error **errp)
{
    g_autofree unsigned int *counts = g_new0(unsigned int, changes->len + 1);
    Successor *successor = g_new0(Successor, 1);
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *pid_file = NULL;
    unsigned int monitors = 0;

    successor->argv = argv;
    /* Not what the old QEMU has, which it removes when it ends. */
    successor->suffix = g_strdup_printf(".upgrade-%d", pid);
    successor->paths = g_ptr_array_new_with_free_func(g_free);
    successor->cpr_path = g_strdup_printf("%s.cpr", monitor);
    successor->main_path = g_strdup_printf("%s.migration", monitor);
    g_ptr_array_add(successor->paths, g_strdup(monitor));

    g_ptr_array_add(argv, g_strdup(program));
    for (char **next = old + 1; *next; next++) {
        g_autofree char *listens = NULL;
        char *arg;

        /* What isn't so any more, and what this program does itself. */
        if (is_option(*next, "S") || is_option(*next, "daemonize")) {
            continue;
        }
        if (is_option(*next, "incoming")) {
            next += !!next[1];
            continue;
        }
        /* Of an upgrade before this one. */
        if (is_option(*next, "machine") && next[1] &&
            g_str_equal(next[1], NO_DESCRIPTION)) {
            next++;
            continue;
        }
        if (is_option(*next, "pidfile") && next[1]) {
            g_free(pid_file);
            pid_file = original_path(next[1]);
        }
        arg = replace_path(*next, monitor, successor->suffix, &monitors);
        listens = listening_path(*next);
        for (unsigned int i = 0; i < changes->len; i++) {
            const Change *change = g_ptr_array_index(changes, i);
            char *changed = replace(arg, change->from, change->to, &counts[i]);

            g_free(arg);
            arg = changed;
        }
        if (listens && g_str_equal(arg, *next)) {
            error_setg(errp, "only one QEMU can listen at '%s'; have the new "
                       "one listen elsewhere, with --change", listens);
            g_free(arg);
            successor_free(successor);
            return NULL;
        }
        if (names_descriptor(arg)) {
            error_setg(errp, "'%s' names a descriptor that the old QEMU was "
                       "started with; have the new one open it itself, with "
                       "--change", arg);
            g_free(arg);
            successor_free(successor);
            return NULL;
        }
        g_ptr_array_add(argv, arg);
    }
    if (!monitors) {
        error_setg(errp, "the old QEMU's command line doesn't have '%s', as "
                   "which its monitor must be called", monitor);
        successor_free(successor);
        return NULL;
    }
    for (unsigned int i = 0; i < changes->len; i++) {
        if (!counts[i]) {
            const Change *change = g_ptr_array_index(changes, i);

            error_setg(errp, "the old QEMU's command line doesn't have '%s'",
                       change->from);
            successor_free(successor);
            return NULL;
        }
    }
    if (pid_file) {
        g_ptr_array_add(successor->paths, g_strdup(pid_file));
        for (unsigned int i = 1; i < argv->len; i++) {
            if (is_option(argv->pdata[i - 1], "pidfile")) {
                char *arg = g_strconcat(pid_file, successor->suffix, NULL);

                g_free(argv->pdata[i]);
                argv->pdata[i] = arg;
            }
        }
    }
    g_ptr_array_add(argv, g_strdup("-machine"));
    g_ptr_array_add(argv, g_strdup(NO_DESCRIPTION));
    g_ptr_array_add(argv, g_strdup("-incoming"));
    g_ptr_array_add(argv, channel("main", successor->main_path));
    g_ptr_array_add(argv, g_strdup("-incoming"));
    g_ptr_array_add(argv, channel("cpr", successor->cpr_path));
    g_ptr_array_add(argv, NULL);
    return successor;
}

void successor_free(Successor *successor)
{
    g_ptr_array_unref(successor->argv);
    g_ptr_array_unref(successor->paths);
    g_free(successor->suffix);
    g_free(successor->cpr_path);
    g_free(successor->main_path);
    g_free(successor);
}
