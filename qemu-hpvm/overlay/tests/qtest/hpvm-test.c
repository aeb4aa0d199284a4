/*
 * Tests of the KVM direct mode that need no host with it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"

#include <sys/ioctl.h>
#include <linux/kvm.h>

#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

/* A start of QEMU that has to end with one error, which @expect is part of. */
typedef struct Refusal {
    const char *name;
    const char *args;
    const char *expect;
} Refusal;

/* These never get as far as KVM. */
static const Refusal refusals[] = {
    {
        "accel-tcg", "-accel tcg,hpvm=on",
        "hpvm=on works with the KVM accelerator only; "
        "use -accel kvm,hpvm=on",
    }, {
        "machine-tcg", "-accel tcg -machine hpvm=on,hpvm-cpus=0",
        "hpvm=on works with the KVM accelerator only, and tcg is in use; "
        "make -accel kvm the only accelerator",
    }, {
        "machine-accel-tcg", "-machine accel=tcg,hpvm=on,hpvm-cpus=0",
        "hpvm=on works with the KVM accelerator only, and tcg is in use; "
        "make -accel kvm the only accelerator",
    }, {
        "second-accel", "-accel tcg -accel kvm,hpvm=on,hpvm-cpus=0",
        "hpvm=on works with the KVM accelerator only, and tcg is in use; "
        "make -accel kvm the only accelerator",
    }, {
        "no-fallback", "-accel kvm,device=/nonexistent,hpvm=on,hpvm-cpus=0 "
        "-accel tcg",
        "hpvm=on works with the KVM accelerator only, and tcg is in use; "
        "make -accel kvm the only accelerator",
    }, {
        "no-fallback-machine", "-machine hpvm=on,hpvm-cpus=0 "
        "-accel kvm,device=/nonexistent -accel tcg",
        "hpvm=on works with the KVM accelerator only, and tcg is in use; "
        "make -accel kvm the only accelerator",
    }, {
        "options-tcg", "-accel tcg -machine hpvm-cpus=0,hpvm-smt=strict",
        "-machine hpvm-smt= has no effect without hpvm=on; add it or leave it "
        "out",
    }, {
        "no-kvm", "-accel kvm,device=/nonexistent,hpvm=on,hpvm-cpus=0",
        "Could not access KVM kernel module: No such file or directory",
    }, {
        "bool", "-accel kvm,hpvm=maybe",
        "Parameter 'hpvm' expects 'on' or 'off'",
    }, {
        "bool-machine", "-machine hpvm=maybe",
        "Parameter 'hpvm' expects 'on' or 'off'",
    }, {
        "timer", "-accel kvm,hpvm=on,hpvm-timer=fast",
        "Parameter 'hpvm-timer' does not accept value 'fast'",
    }, {
        "smt", "-accel kvm,hpvm=on,hpvm-smt=off",
        "Parameter 'hpvm-smt' does not accept value 'off'",
    }, {
        "smt-machine", "-accel kvm -machine hpvm=on,hpvm-smt=off",
        "Parameter 'hpvm-smt' does not accept value 'off'",
    }, {
        "leave", "-accel kvm,hpvm=on,hpvm-leave=ignore",
        "Parameter 'hpvm-leave' does not accept value 'ignore'",
    }, {
        "irq", "-accel kvm,hpvm=on,hpvm-irq=direct",
        "Parameter 'hpvm-irq' does not accept value 'direct'",
    }, {
        "apic-rate", "-accel kvm,apic-bus-cycle-ns=0",
        "apic-bus-cycle-ns=0 is no rate",
    }, {
        "cpus-incoming", "-accel kvm,hpvm=on,hpvm-cpus=2- -incoming defer",
        "hpvm-cpus=2- is not a list of host CPUs",
    }, {
        "cpus-syntax", "-accel kvm,hpvm=on,hpvm-cpus=2-",
        "hpvm-cpus=2- is not a list of host CPUs; write CPU numbers and "
        "ascending ranges, such as 2-5+8",
    }, {
        "cpus-pinned-typo", "-accel kvm,hpvm=on,hpvm-cpus=pin",
        "hpvm-cpus=pin is not a list of host CPUs; write CPU numbers and "
        "ascending ranges, such as 2-5+8",
    }, {
        "cpus-duplicate", "-accel kvm,hpvm=on,hpvm-cpus=2-5+3",
        "hpvm-cpus=2-5+3 names CPU 3 twice; each vCPU needs a CPU of its own",
    }, {
        "cpus-duplicate-comma", "-accel kvm,hpvm=on,hpvm-cpus=2-5,,3",
        "hpvm-cpus=2-5,3 names CPU 3 twice; each vCPU needs a CPU of its own",
    }, {
        "cpus-duplicate-machine",
        "-accel kvm -machine hpvm=on,hpvm-cpus=2-5,,3",
        "hpvm-cpus=2-5,3 names CPU 3 twice; each vCPU needs a CPU of its own",
    },
};

/* These need some KVM, but are refused before its kernel is asked. */
static const Refusal kvm_refusals[] = {
    {
        "cpus-length", "-accel kvm,hpvm=on,hpvm-cpus=0-1 -smp 1",
        "hpvm-cpus= names 2 host CPUs, but -smp has 1 vCPU; name exactly one "
        "host CPU per vCPU",
    }, {
        "cpus-length-incoming",
        "-accel kvm,hpvm=on,hpvm-cpus=0+1 -smp 1 -incoming defer",
        "hpvm-cpus= names 2 host CPUs, but -smp has 1 vCPU",
    }, {
        "apic-rate-overflow", "-accel kvm,apic-bus-cycle-ns=4294967295",
        "apic-bus-cycle-ns=4294967295: Invalid argument; it needs Linux 6.10",
    }, {
        "cpus-absent", "-accel kvm,hpvm=on,hpvm-cpus=8191",
        "hpvm-cpus= names CPU 8191, which this host doesn't have",
    }, {
        "maxcpus", "-accel kvm,hpvm=on,hpvm-cpus=0 -smp 1,maxcpus=2",
        "hpvm=on can't have vCPUs plugged in later",
    }, {
        "irqchip", "-accel kvm,kernel-irqchip=off,hpvm=on,hpvm-cpus=0",
        "hpvm=on needs the local APIC in the kernel; use kernel-irqchip=on "
        "or kernel-irqchip=split",
    }, {
        "off", "-accel kvm,hpvm-cpus=0",
        "hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and hpvm-irq= have "
        "no effect without hpvm=on",
    }, {
        "off-smt", "-accel kvm,hpvm-smt=strict",
        "hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and hpvm-irq= have "
        "no effect without hpvm=on",
    }, {
        "off-smt-machine", "-accel kvm -machine hpvm-smt=strict",
        "hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and hpvm-irq= have "
        "no effect without hpvm=on",
    }, {
        "off-leave-machine", "-accel kvm -machine hpvm-leave=stop",
        "hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and hpvm-irq= have "
        "no effect without hpvm=on",
    }, {
        "off-irq", "-accel kvm,hpvm-irq=off",
        "hpvm-cpus=, hpvm-timer=, hpvm-smt=, hpvm-leave= and hpvm-irq= have "
        "no effect without hpvm=on",
    }, {
        "second-kvm", "-accel kvm -accel kvm,hpvm=on,hpvm-cpus=0",
        "hpvm=on is set on an -accel option that is not in use; set it on "
        "the first one, or use -machine hpvm=on",
    },
};

/* Options that the mode overrules; the refusal comes after the warning. */
#define REFUSED "-smp 1 -accel kvm,hpvm=on,hpvm-cpus=0-1 "

static const Refusal kvm_overruled[] = {
    {
        "mem-merge", REFUSED "-machine mem-merge=on",
        "mem-merge=on has no effect with hpvm=on",
    }, {
        "cpu-pm", REFUSED "-overcommit cpu-pm=off",
        "-overcommit cpu-pm=off has no effect with hpvm=on",
    }, {
        "mem-lock", REFUSED "-overcommit mem-lock=off",
        "-overcommit mem-lock=off has no effect with hpvm=on",
    }, {
        "mem-lock-on-fault", REFUSED "-overcommit mem-lock=on-fault",
        "-overcommit mem-lock=on-fault has no effect with hpvm=on",
    }, {
        "second-overcommit", REFUSED "-overcommit mem-lock=on "
        "-overcommit cpu-pm=off",
        "-overcommit cpu-pm=off has no effect with hpvm=on",
    },
};

static void test_refusal(const void *data)
{
    const Refusal *test = data;
    g_autofree char *cmdline = g_strdup_printf(
        "%s -M q35 -nodefaults -display none -S %s",
        getenv("QTEST_QEMU_BINARY"), test->args);
    g_autofree char *output = NULL;
    g_autofree char *errors = NULL;
    g_autoptr(GError) err = NULL;
    int status;

    g_test_message("%s", cmdline);
    g_spawn_command_line_sync(cmdline, &output, &errors, &status, &err);
    g_assert_no_error(err);
    g_test_message("%s", errors);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_nonnull(strstr(errors, test->expect));
}

/* What agrees with the mode isn't warned of. */
static void test_not_overruled(void)
{
    g_autofree char *cmdline = g_strdup_printf(
        "%s -M q35 -nodefaults -display none -S " REFUSED
        "-machine mem-merge=off -overcommit cpu-pm=on,mem-lock=on",
        getenv("QTEST_QEMU_BINARY"));
    g_autofree char *errors = NULL;
    g_autoptr(GError) err = NULL;
    int status;

    if (!qtest_has_accel("kvm")) {
        g_test_skip("no KVM on this host");
        return;
    }
    g_spawn_command_line_sync(cmdline, NULL, &errors, &status, &err);
    g_assert_no_error(err);
    g_assert_null(strstr(errors, "warning"));
    g_assert_nonnull(strstr(errors, "names 2 host CPUs"));
}

static void test_kvm_refusal(const void *data)
{
    if (!qtest_has_accel("kvm")) {
        g_test_skip("no KVM on this host");
        return;
    }
    test_refusal(data);
}

static void test_properties(void)
{
    QTestState *qts = qtest_init("-M none");
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'qom-list-properties',"
                           " 'arguments': { 'typename': 'kvm-accel' } }");
    const char *const expect[][2] = {
        { "hpvm", "bool" },
        { "hpvm-cpus", "string" },
        { "hpvm-timer", "HpvmTimerPolicy" },
        { "hpvm-smt", "HpvmSmtPolicy" },
        { "hpvm-leave", "HpvmLeavePolicy" },
        { "hpvm-irq", "OnOffAuto" },
        { "apic-bus-cycle-ns", "uint32" },
    };
    int found = 0;
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), e) {
        QDict *prop = qobject_to(QDict, qlist_entry_obj(e));

        for (int i = 0; i < ARRAY_SIZE(expect); i++) {
            if (g_str_equal(qdict_get_str(prop, "name"), expect[i][0])) {
                g_assert_cmpstr(qdict_get_str(prop, "type"), ==, expect[i][1]);
                g_assert_true(strlen(qdict_get_str(prop, "description")));
                found++;
            }
        }
    }
    g_assert_cmpint(found, ==, ARRAY_SIZE(expect));
    qobject_unref(rsp);
    qtest_quit(qts);
}

static void test_query_off(const void *data)
{
    QTestState *qts = qtest_init(data);
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'query-hpvm' }");
    QDict *info = qdict_get_qdict(rsp, "return");
    char *hmp;

    g_assert_nonnull(info);
    g_assert_false(qdict_get_bool(info, "enabled"));
    g_assert_false(qdict_haskey(info, "timer-policy"));
    g_assert_false(qdict_haskey(info, "direct-irqs"));
    g_assert_true(qlist_empty(qdict_get_qlist(info, "vcpus")));
    g_assert_true(qlist_empty(qdict_get_qlist(info, "interrupts")));
    qobject_unref(rsp);

    hmp = qtest_hmp(qts, "info hpvm");
    g_assert_cmpstr(hmp, ==, "hpvm: off\r\n");
    g_free(hmp);

    qtest_quit(qts);
}

static void test_set_mode_off(void)
{
    QTestState *qts = qtest_init("-M none");

    for (int i = 0; i < 2; i++) {
        QDict *rsp = qtest_qmp(qts, "{ 'execute': 'hpvm-set-mode',"
                               " 'arguments': { 'mode': %s } }",
                               i ? "auto" : "ordinary");

        g_assert_cmpstr(qdict_get_str(qdict_get_qdict(rsp, "error"), "desc"),
                        ==, "direct mode is not enabled; start QEMU with "
                        "-accel kvm,hpvm=on");
        qobject_unref(rsp);
    }
    qtest_quit(qts);
}

static void test_set_mode_wrong(void)
{
    QTestState *qts = qtest_init("-M none");
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'hpvm-set-mode',"
                           " 'arguments': { 'mode': 'direct' } }");

    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(rsp, "error"), "desc"),
                    ==, "Parameter 'mode' does not accept value 'direct'");
    qobject_unref(rsp);
    qtest_quit(qts);
}

/* Of machines that are migrated, and never run. */
#define MACHINE "-M q35 -nodefaults -m 16 -S"

/* @args: of a QEMU that writes its state to @file */
static void save(const char *args, const char *file)
{
    QTestState *qts = qtest_initf(MACHINE " %s", args);
    QDict *rsp;
    bool done;

    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate',"
                             " 'arguments': { 'uri': %s } }", file);
    do {
        g_usleep(10000);
        rsp = qtest_qmp_assert_success_ref(qts,
                                           "{ 'execute': 'query-migrate' }");
        g_assert_cmpstr(qdict_get_str(rsp, "status"), !=, "failed");
        done = g_str_equal(qdict_get_str(rsp, "status"), "completed");
        qobject_unref(rsp);
    } while (!done);
    qtest_quit(qts);
}

static void load(const char *args, const char *file)
{
    QTestState *qts = qtest_initf(MACHINE " %s -incoming %s", args, file);
    QDict *rsp;
    bool done;

    do {
        g_usleep(10000);
        rsp = qtest_qmp_assert_success_ref(qts,
                                           "{ 'execute': 'query-status' }");
        done = !g_str_equal(qdict_get_str(rsp, "status"), "inmigrate");
        qobject_unref(rsp);
    } while (!done);
    qtest_quit(qts);
}

static void refuse_load(const char *args, const char *file, const char *expect)
{
    g_autofree char *all = g_strdup_printf("-m 16 %s -incoming %s", args, file);
    Refusal refusal = { .args = all, .expect = expect };

    test_refusal(&refusal);
}

/* Copies of the stream @from that end after this name, and that garble it. */
static void damage(const char *from, const char *name, const char *cut,
                   const char *garbled)
{
    g_autofree char *data = NULL;
    gsize len;
    char *at;

    g_assert_true(g_file_get_contents(from, &data, &len, NULL));
    at = memmem(data, len, name, strlen(name));
    g_assert_nonnull(at);
    at += strlen(name);
    g_assert_true(g_file_set_contents(cut, data, at - data, NULL));
    at[-1]++;
    g_assert_true(g_file_set_contents(garbled, data, len, NULL));
}

static bool kvm_sets_apic_rate(void)
{
    int fd = open("/dev/kvm", O_RDWR);
    int ret;

    if (fd < 0) {
        return false;
    }
    ret = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_APIC_BUS_CYCLES_NS);
    close(fd);
    return ret > 0;
}

/* The rate of the APIC timer goes with the guest, unless it's KVM's own. */
static void test_apic_rate(void)
{
    static const char firmware[64 * 1024];
    g_autofree char *dir = g_dir_make_tmp("hpvm-test-XXXXXX", NULL);
    g_autofree char *bios = g_strdup_printf("%s/bios", dir);
    g_autofree char *usual = g_strdup_printf("%s/usual", dir);
    g_autofree char *other = g_strdup_printf("%s/other", dir);
    g_autofree char *cut = g_strdup_printf("%s/cut", dir);
    g_autofree char *garbled = g_strdup_printf("%s/garbled", dir);
    g_autofree char *usual_uri = g_strdup_printf("file:%s", usual);
    g_autofree char *other_uri = g_strdup_printf("file:%s", other);
    g_autofree char *cut_uri = g_strdup_printf("file:%s", cut);
    g_autofree char *garbled_uri = g_strdup_printf("file:%s", garbled);
    g_autofree char *rate_1ns = g_strdup_printf("-accel kvm -bios %s", bios);
    g_autofree char *rate_40ns = g_strdup_printf(
        "-accel kvm,apic-bus-cycle-ns=40 -bios %s", bios);
    g_autofree char *machine_40ns = g_strdup_printf(
        "-accel kvm -machine apic-bus-cycle-ns=40 -bios %s", bios);

    if (!qtest_has_accel("kvm") || !kvm_sets_apic_rate()) {
        g_test_skip("no KVM on this host that can set the rate");
        rmdir(dir);
        return;
    }
    g_assert_true(g_file_set_contents(bios, firmware, sizeof(firmware), NULL));
    save(rate_1ns, usual_uri);
    save(rate_40ns, other_uri);

    load(rate_1ns, usual_uri);
    load(machine_40ns, other_uri);
    refuse_load(rate_1ns, other_uri, "the guest's APIC timer counts at "
                "25000000 Hz, and would at 1000000000 Hz here");
    refuse_load(rate_40ns, usual_uri, "the guest's APIC timer counts at "
                "1000000000 Hz, and would at 25000000 Hz here");

    damage(other, "cpu/apic_bus_freq", cut, garbled);
    refuse_load(rate_40ns, cut_uri, "load of migration failed");
    refuse_load(rate_40ns, garbled_uri, "load of migration failed");

    unlink(bios);
    unlink(usual);
    unlink(other);
    unlink(cut);
    unlink(garbled);
    rmdir(dir);
}

static void add_refusals(const char *group, const Refusal *tests, int n,
                         GTestDataFunc fn)
{
    for (int i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("hpvm/%s/%s", group,
                                                tests[i].name);

        qtest_add_data_func(path, &tests[i], fn);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("hpvm/properties", test_properties);
    qtest_add_data_func("hpvm/query/qtest", "-M none", test_query_off);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("hpvm/query/tcg", "-M none -accel tcg",
                            test_query_off);
    }
    qtest_add_func("hpvm/set-mode/off", test_set_mode_off);
    qtest_add_func("hpvm/set-mode/wrong", test_set_mode_wrong);
    qtest_add_func("hpvm/migrate/apic-rate", test_apic_rate);
    add_refusals("refuse", refusals, ARRAY_SIZE(refusals), test_refusal);
    add_refusals("refuse-kvm", kvm_refusals, ARRAY_SIZE(kvm_refusals),
                 test_kvm_refusal);
    add_refusals("overruled", kvm_overruled, ARRAY_SIZE(kvm_overruled),
                 test_kvm_refusal);
    qtest_add_func("hpvm/overruled/none", test_not_overruled);

    return g_test_run();
}
