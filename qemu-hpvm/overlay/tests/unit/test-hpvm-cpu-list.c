/*
 * Unit tests for the list of host CPUs of hpvm=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "target/i386/kvm/hpvm/cpu-list.h"

/* @expect: the CPUs in their order, or part of the error's sentence */
typedef struct ParseCase {
    const char *list;
    const char *expect;
} ParseCase;

static const ParseCase good[] = {
    { "0", "0 " },
    { "2-5", "2 3 4 5 " },
    { "2-5+8", "2 3 4 5 8 " },
    { "8+2-3", "8 2 3 " },
    { "2-5,8", "2 3 4 5 8 " },
    { "8,2-3", "8 2 3 " },
    { "1+3,5", "1 3 5 " },
    { "7-7", "7 " },
    { "8191", "8191 " },
    { "007", "7 " },
};

static const ParseCase bad[] = {
    { "", "not a list of host CPUs" },
    { ",", "not a list of host CPUs" },
    { "2,", "not a list of host CPUs" },
    { ",2", "not a list of host CPUs" },
    { "2,,3", "not a list of host CPUs" },
    { "2+", "not a list of host CPUs" },
    { "2++3", "not a list of host CPUs" },
    { "2,+3", "not a list of host CPUs" },
    { "2-", "not a list of host CPUs" },
    { "-2", "not a list of host CPUs" },
    { "5-2", "not a list of host CPUs" },
    { "2-3-4", "not a list of host CPUs" },
    { "2 3", "not a list of host CPUs" },
    { " 2", "not a list of host CPUs" },
    { "2 ", "not a list of host CPUs" },
    { "+2", "not a list of host CPUs" },
    { "0x2", "not a list of host CPUs" },
    { "2-5:2", "not a list of host CPUs" },
    { "all", "not a list of host CPUs" },
    { "8192", "not a list of host CPUs" },
    { "0-4294967295", "not a list of host CPUs" },
    { "99999999999999999999", "not a list of host CPUs" },
    { "2,2", "names CPU 2 twice" },
    { "2-5,4", "names CPU 4 twice" },
    { "4,2-5", "names CPU 4 twice" },
    { "4+2-5", "names CPU 4 twice" },
};

static void assert_error(Error *err, const char *expect)
{
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(error_get_pretty(err), expect));
    error_free(err);
}

static void test_good(void)
{
    for (int i = 0; i < ARRAY_SIZE(good); i++) {
        g_autoptr(GArray) cpus = hpvm_cpu_list_parse(good[i].list,
                                                     &error_abort);
        g_autoptr(GString) s = g_string_new(NULL);

        for (int j = 0; j < cpus->len; j++) {
            g_string_append_printf(s, "%u ",
                                   g_array_index(cpus, unsigned int, j));
        }
        g_assert_cmpstr(s->str, ==, good[i].expect);
    }
}

static void test_bad(void)
{
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        g_assert_null(hpvm_cpu_list_parse(bad[i].list, &err));
        assert_error(err, bad[i].expect);
    }
}

static void test_contains(void)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse("2-3,8", &error_abort);

    g_assert_true(hpvm_cpu_list_contains(cpus, 2));
    g_assert_true(hpvm_cpu_list_contains(cpus, 8));
    g_assert_false(hpvm_cpu_list_contains(cpus, 0));
    g_assert_false(hpvm_cpu_list_contains(cpus, 4));
}

/* @expect: part of the sentence, or NULL if it's all right */
static void length(const char *list, unsigned int vcpus, const char *expect)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse(list, &error_abort);
    Error *err = NULL;

    if (!expect) {
        g_assert_true(hpvm_cpu_list_check_length(cpus, vcpus, &error_abort));
    } else {
        g_assert_false(hpvm_cpu_list_check_length(cpus, vcpus, &err));
        assert_error(err, expect);
    }
}

static void test_length(void)
{
    length("2-5", 4, NULL);
    length("1", 1, NULL);
    length("2-5", 3, "names 4 host CPUs, but -smp has 3 vCPUs");
    length("2-5", 5, "names 4 host CPUs, but -smp has 5 vCPUs");
    length("2", 2, "names 1 host CPU, but -smp has 2 vCPUs");
    length("2-3", 1, "names 2 host CPUs, but -smp has 1 vCPU;");
}

static void host(const char *list, const char *possible, const char *online,
                 const char *expect)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse(list, &error_abort);
    Error *err = NULL;

    if (!expect) {
        g_assert_true(hpvm_cpu_list_check_host(cpus, possible, online,
                                               &error_abort));
    } else {
        g_assert_false(hpvm_cpu_list_check_host(cpus, possible, online, &err));
        assert_error(err, expect);
    }
}

static void test_host(void)
{
    host("2-5", "0-7", "0-7", NULL);
    host("1", "0-1", "0-1", NULL);
    host("7,0", "0-7", "0,7", NULL);
}

static void test_absent(void)
{
    host("8", "0-7", "0-3", "CPU 8, which this host doesn't have; "
         "choose among CPUs 0-3");
}

static void test_offline(void)
{
    host("3", "0-7", "0-2,4-7", "CPU 3, which is offline; write 1 to "
         "/sys/devices/system/cpu/cpu3/online, or choose among CPUs 0-2,4-7");
}

static void test_host_list(void)
{
    host("3", "", "0-7", "the host's own CPU list can't be read");
    host("3", "0-7", "?", "the host's own CPU list can't be read");
}

/* @expect: part of the sentence, or NULL if the core is the VM's alone */
static void siblings(const char *list, unsigned int cpu, const char *text,
                     const char *online, const char *expect)
{
    g_autoptr(GArray) cpus = hpvm_cpu_list_parse(list, &error_abort);
    g_autoptr(GArray) running = hpvm_cpu_list_parse(online, &error_abort);
    Error *err = NULL;

    if (!expect) {
        g_assert_true(hpvm_cpu_list_check_siblings(cpus, cpu, text, running,
                                                   &error_abort));
    } else {
        g_assert_false(hpvm_cpu_list_check_siblings(cpus, cpu, text, running,
                                                    &err));
        assert_error(err, expect);
    }
}

static void test_siblings_none(void)
{
    siblings("2-3", 2, "2", "0-7", NULL);
}

static void test_siblings_own(void)
{
    siblings("2,6", 2, "2,6", "0-7", NULL);
    siblings("2,6", 6, "2,6", "0-7", NULL);
    siblings("2-5", 3, "2-3", "0-7", NULL);
    siblings("2-5", 2, "2-5", "0-7", NULL);
}

static void test_siblings_offline(void)
{
    siblings("2", 2, "2,6", "0-5,7", NULL);
    siblings("2", 2, "2-3", "0-2,4-7", NULL);
}

static void test_siblings_foreign(void)
{
    siblings("2-3", 2, "2,6", "0-7",
             "CPU 2 shares its core with CPU 6, not this VM's, so that other "
             "work there can slow the vCPU down; give it to vCPUs of this VM "
             "too, take it offline with "
             "'echo 0 >/sys/devices/system/cpu/cpu6/online'");
    siblings("3", 3, "2-3", "0-3", "CPU 3 shares its core with CPU 2, ");
    siblings("2-3", 3, "3,7", "0-7", "CPU 3 shares its core with CPU 7, ");
}

static void test_siblings_several(void)
{
    siblings("2", 2, "2,66,130,194", "0-255",
             "CPU 2 shares its core with CPUs 66,130,194, not this VM's, so "
             "that other work there can slow the vCPU down; give them to vCPUs "
             "of this VM too, take each N of them offline with "
             "'echo 0 >/sys/devices/system/cpu/cpuN/online'");
    /* One of them is the VM's own, one is offline. */
    siblings("2,130", 2, "2,66,130,194", "0-193",
             "CPU 2 shares its core with CPU 66, ");
}

static void test_siblings_malformed(void)
{
    static const char *const texts[] = { "", "2-", "2,,6", "2 6", "none" };

    for (int i = 0; i < ARRAY_SIZE(texts); i++) {
        g_autofree char *expect = g_strdup_printf(
            "the CPUs that share the core of CPU 2 can't be read, as '%s' is "
            "not a list of CPUs; mount sysfs on /sys", texts[i]);

        siblings("2", 2, texts[i], "0-7", expect);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/hpvm/cpu-list/parse/good", test_good);
    g_test_add_func("/hpvm/cpu-list/parse/bad", test_bad);
    g_test_add_func("/hpvm/cpu-list/contains", test_contains);
    g_test_add_func("/hpvm/cpu-list/length", test_length);
    g_test_add_func("/hpvm/cpu-list/host/good", test_host);
    g_test_add_func("/hpvm/cpu-list/host/absent", test_absent);
    g_test_add_func("/hpvm/cpu-list/host/offline", test_offline);
    g_test_add_func("/hpvm/cpu-list/host/malformed", test_host_list);
    g_test_add_func("/hpvm/cpu-list/siblings/none", test_siblings_none);
    g_test_add_func("/hpvm/cpu-list/siblings/own", test_siblings_own);
    g_test_add_func("/hpvm/cpu-list/siblings/offline", test_siblings_offline);
    g_test_add_func("/hpvm/cpu-list/siblings/foreign", test_siblings_foreign);
    g_test_add_func("/hpvm/cpu-list/siblings/several", test_siblings_several);
    g_test_add_func("/hpvm/cpu-list/siblings/malformed",
                    test_siblings_malformed);

    return g_test_run();
}
