/*
 * Unit tests for the command line that hpvm-upgrade starts a new QEMU with
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "contrib/hpvm-upgrade/successor.h"

#define PID 42
#define MONITOR "/run/web.monitor"

/* What each old command line here has, and what becomes of it. */
#define OLD "qemu -qmp unix:" MONITOR ",server=on,wait=off "
#define NEW "new -qmp unix:" MONITOR ".upgrade-42,server=on,wait=off "

/* What each new command line ends with. */
#define ADDED \
    "-machine suppress-vmdesc=on " \
    "-incoming {\"channel-type\":\"main\",\"addr\":{\"transport\":" \
    "\"socket\",\"type\":\"unix\",\"path\":\"" MONITOR ".migration\"}} " \
    "-incoming {\"channel-type\":\"cpr\",\"addr\":{\"transport\":" \
    "\"socket\",\"type\":\"unix\",\"path\":\"" MONITOR ".cpr\"}}"

static Successor *make(const char *old, Change *changes, unsigned int n,
                       Error **errp)
{
    g_auto(GStrv) argv = g_strsplit(old, " ", -1);
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    for (unsigned int i = 0; i < n; i++) {
        g_ptr_array_add(list, &changes[i]);
    }
    return successor_new(argv, PID, "new", MONITOR, list, errp);
}

/* Arguments have no blanks here. */
static void becomes_changed(const char *old, Change *changes, unsigned int n,
                            const char *expect)
{
    Successor *successor = make(old, changes, n, &error_abort);
    g_autofree char *line =
        g_strjoinv(" ", (char **)successor->argv->pdata);

    g_assert_cmpstr(line, ==, expect);
    successor_free(successor);
}

static void becomes(const char *old, const char *expect)
{
    becomes_changed(old, NULL, 0, expect);
}

static void refused_changed(const char *old, Change *changes, unsigned int n,
                            const char *expect)
{
    Error *err = NULL;

    g_assert_null(make(old, changes, n, &err));
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(error_get_pretty(err), expect));
    error_free(err);
}

static void refused(const char *old, const char *expect)
{
    refused_changed(old, NULL, 0, expect);
}

static void test_same(void)
{
    becomes(OLD "-smp 2 -accel kvm,hpvm=on,hpvm-cpus=2-3",
            NEW "-smp 2 -accel kvm,hpvm=on,hpvm-cpus=2-3 " ADDED);
}

/* What was so at the old one's start, and isn't any more. */
static void test_left_out(void)
{
    becomes(OLD "-S -m 192 -daemonize --S --daemonize -smp 2",
            NEW "-m 192 -smp 2 " ADDED);
    becomes(OLD "-incoming defer -smp 2 --incoming unix:/run/other",
            NEW "-smp 2 " ADDED);
    becomes(OLD "-smp 2 -incoming", NEW "-smp 2 " ADDED);
    /* No options of these names. */
    becomes(OLD "-name S -append daemonize -Sx",
            NEW "-name S -append daemonize -Sx " ADDED);
}

static void test_monitor(void)
{
    becomes("qemu -chardev socket,id=m,path=" MONITOR ",server=on -mon m",
            "new -chardev socket,id=m,path=" MONITOR ".upgrade-42,server=on "
            "-mon m " ADDED);
    becomes("qemu -chardev socket,id=m,server=on,path=" MONITOR,
            "new -chardev socket,id=m,server=on,path=" MONITOR ".upgrade-42 "
            ADDED);
    becomes("qemu -chardev {\"path\":\"" MONITOR "\",\"server\":true}",
            "new -chardev {\"path\":\"" MONITOR ".upgrade-42\","
            "\"server\":true} " ADDED);
    /* Other paths that begin or end so. */
    becomes(OLD "-D " MONITOR ".log -D " MONITOR "2 -D /x" MONITOR,
            NEW "-D " MONITOR ".log -D " MONITOR "2 -D /x" MONITOR " " ADDED);
    refused("qemu -smp 2", "doesn't have '" MONITOR "'");
    refused("qemu -qmp unix:" MONITOR "2,server=off", "doesn't have");
    /* Of a regular expression, "." is any character. */
    refused("qemu -qmp unix:/run/webXmonitor,server=off", "doesn't have");
}

static void test_again(void)
{
    becomes("new -qmp unix:" MONITOR ".upgrade-7,server=on,wait=off "
            "-pidfile /run/pid.upgrade-7 -smp 2 " ADDED,
            NEW "-pidfile /run/pid.upgrade-42 -smp 2 " ADDED);
}

static void test_paths(void)
{
    Successor *successor = make(OLD "-pidfile /run/a -pidfile /run/b.upgrade-7",
                                NULL, 0, &error_abort);

    g_assert_cmpstr(successor->suffix, ==, ".upgrade-42");
    g_assert_cmpstr(successor->cpr_path, ==, MONITOR ".cpr");
    g_assert_cmpstr(successor->main_path, ==, MONITOR ".migration");
    g_assert_cmpuint(successor->paths->len, ==, 2);
    g_assert_cmpstr(successor->paths->pdata[0], ==, MONITOR);
    /* QEMU takes the last one. */
    g_assert_cmpstr(successor->paths->pdata[1], ==, "/run/b");
    successor_free(successor);

    becomes(OLD "--pidfile /run/a", NEW "--pidfile /run/a.upgrade-42 " ADDED);

    successor = make(OLD "-smp 2", NULL, 0, &error_abort);
    g_assert_cmpuint(successor->paths->len, ==, 1);
    successor_free(successor);
}

static void test_change(void)
{
    Change tap = { (char *)"tap0", (char *)"tap1" };
    Change both[] = { tap, { (char *)"tap1", (char *)"tap22" } };
    Change none = { (char *)",on", (char *)"" };

    becomes_changed(OLD "-netdev tap,ifname=tap0,id=tap0 -smp 2", &tap, 1,
                    NEW "-netdev tap,ifname=tap1,id=tap1 -smp 2 " ADDED);
    /* One after the other. */
    becomes_changed(OLD "-netdev tap,ifname=tap0", both, 2,
                    NEW "-netdev tap,ifname=tap22 " ADDED);
    becomes_changed(OLD "-x a,on,b", &none, 1, NEW "-x a,b " ADDED);
    refused_changed(OLD "-smp 2", &tap, 1, "doesn't have 'tap0'");
    refused_changed(OLD "-netdev tap,ifname=tap0", (Change[]) { tap, none }, 2,
                    "doesn't have ',on'");
    /* What is added isn't the old one's. */
    refused_changed(OLD "-smp 2",
                    &(Change) { (char *)"cpr", (char *)"x" }, 1,
                    "doesn't have 'cpr'");
}

static void test_listens(void)
{
    static const char *const servers[] = {
        "-chardev socket,id=s,path=/run/s,server=on,wait=off",
        "-chardev socket,id=s,server,path=/run/s",
        "-serial unix:/run/s,server=on",
        "-chardev {\"path\":\"/run/s\",\"server\":true}",
    };
    static const char *const clients[] = {
        "-chardev socket,id=s,path=/run/s",
        "-chardev socket,id=s,path=/run/s,server=off",
        "-chardev {\"path\":\"/run/s\",\"server\":false}",
    };
    Change change = { (char *)"/run/s", (char *)"/run/t" };

    for (int i = 0; i < ARRAY_SIZE(servers); i++) {
        g_autofree char *old = g_strconcat(OLD, servers[i], NULL);

        refused(old, "only one QEMU can listen at '/run/s'");
        successor_free(make(old, &change, 1, &error_abort));
    }
    for (int i = 0; i < ARRAY_SIZE(clients); i++) {
        g_autofree char *old = g_strconcat(OLD, clients[i], NULL);
        g_autofree char *new = g_strconcat(NEW, clients[i], " " ADDED, NULL);

        becomes(old, new);
    }
}

static void test_descriptors(void)
{
    static const char *const inherited[] = {
        "-netdev tap,id=n,fd=30",
        "-netdev tap,id=n,fds=30:31,vhost=on",
        "-netdev tap,vhostfd=30",
        "-netdev tap,vhostfds=30:31",
        "-netdev {\"type\":\"tap\",\"fd\":\"30\"}",
        "-netdev {\"type\":\"tap\",\"vhostfds\":\"30:31\"}",
        "-add-fd fd=3,set=1",
        "-incoming-fd fd:3",
    };

    for (int i = 0; i < ARRAY_SIZE(inherited); i++) {
        g_autofree char *old = g_strconcat(OLD, inherited[i], NULL);
        const char *value = strchr(inherited[i], ' ') + 1;
        g_autofree char *expect =
            g_strdup_printf("'%s' names a descriptor", value);
        Change change = { (char *)value, (char *)"user" };

        refused(old, expect);
        successor_free(make(old, &change, 1, &error_abort));
    }
    /* Names, and a program's words. */
    becomes(OLD "-append x=1,afd=3 -netdev tap,fd=name",
            NEW "-append x=1,afd=3 -netdev tap,fd=name " ADDED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/hpvm/successor/same", test_same);
    g_test_add_func("/hpvm/successor/left-out", test_left_out);
    g_test_add_func("/hpvm/successor/monitor", test_monitor);
    g_test_add_func("/hpvm/successor/again", test_again);
    g_test_add_func("/hpvm/successor/paths", test_paths);
    g_test_add_func("/hpvm/successor/change", test_change);
    g_test_add_func("/hpvm/successor/listens", test_listens);
    g_test_add_func("/hpvm/successor/descriptors", test_descriptors);

    return g_test_run();
}
