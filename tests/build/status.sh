#!/bin/bash
# hpvm-status on hosts of files: its options, what it checks for libvirt, what it tells
# Prometheus; and that completion, man page and examples fit it. The scenarios of the lab have
# it on a real kernel.
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch

. tests/build/tool.sh

status=$TOP/scripts/hpvm-status

# An Intel host that has all, with two VMs; the name of one is as bad as names may be.
debugfs=sys/kernel/debug
put $debugfs/hpvm/host $'supported 1\nx2apic 1\nfred 0\ndoorbell 1\nisolation 1\ndevice_irqs 1\napic_bus_khz 25000'
cpu() { # PID VCPU DIRECT TIMER REASONS NMIS
    printf 'pid %s\nvcpu %s\ndirect %s\ntimer %s\nreasons %s\ntimer_reasons 0\nnanoseconds 1500000000\n' "${@:1:5}"
    printf '%s 7\n' device_interrupts timer_events context_switches doorbells
    printf 'nmis %s\n' "$6"
    printf 'nmi_%s 1\n' reschedule call_function call_function_single irq_work timer reboot
    printf 'nmis_sent 9\nnmis_claimed 8\nnanoseconds_since_exit 65432000000\nnanoseconds_since_timer 0\n'
}
put $debugfs/hpvm/cpu2 "$(cpu 812 0 1 3 0 12)"
put $debugfs/hpvm/cpu3 "$(cpu 812 1 0 0 0xa 0)"
put $debugfs/hpvm/cpu10 "$(cpu 900 0 1 2 0 5)"
for pid in 812 900; do
    mkdir -p "$host/proc/$pid"
done
printf '%s\0' qemu -name 'guest=web1,debug-threads=on' -m 64 >"$host/proc/812/cmdline"
printf '%s\0' qemu -name 'a "b" \c' >"$host/proc/900/cmdline"
put $debugfs/kvm/812-10/exits 41
put proc/interrupts '  9: 1 0 IO-APIC acpi'
put proc/timer_list 'Timer List Version: v0.10'
put proc/cpuinfo "$(printf 'processor : %s\nvendor_id : GenuineIntel\nflags : vmx ept vnmi preemption_timer tsc_deadline_timer arat\n\n' 0 1)"
put sys/devices/system/clocksource/clocksource0/current_clocksource tsc
put sys/module/kvm_intel/parameters/ept Y
put sys/class/iommu/dmar0 ''
put dev/kvm ''
put sys/module/kvm/parameters/hpvm_cpus ''

tells() { # STATUS TEXT COMMAND...
    ended "$1" "${@:3}" && said "$2"
}
none() { # PATTERN FILE: no line of it has the pattern
    ! grep -e "$1" "$2"
}

# Both shells that run it.
for shell in dash "busybox sh"; do
    # shellcheck disable=SC2086  # words
    check "$shell: CPUs are shown" tells 0 "CPU 2: VM 'web1' (pid 812), vCPU 0: direct, timer deadline, for 1.5 s" $shell "$status"
    check "$shell: with reasons" said "not direct because of: held, not-x2apic"
    check "$shell: and what its guest does" said "9 sent, 8 came; 65.4 s since the guest was left, ? s since its timer"
    # shellcheck disable=SC2086  # words
    check "$shell: metrics" tells 0 'hpvm_dedicated_cpus 3' $shell "$status" --prometheus
done

# Options.
documented hpvm-status 7
check "an unknown option" tells 2 "no option '--fast'" "$status" --fast
check "seconds that aren't" tells 2 "give a number of seconds" "$status" --watch soon
check "no file for a report" tells 2 "--report needs a file" "$status" --report
check "no file but an option" tells 2 "--report needs a file" "$status" --report --json
check "two things at a time" tells 2 "one at a time" "$status" --check --prometheus
check "watching what isn't shown" tells 2 "one at a time" "$status" --watch --check
check "JSON of metrics" tells 2 "--json goes with" "$status" --prometheus --json
check "no hpvm: status 1" without $debugfs/hpvm tells 1 "can't be read" "$status"
check "no hpvm: no metrics" without $debugfs/hpvm tells 1 "can't be read" "$status" --prometheus

# JSON.
json() { ended 0 "$status" "${@:2}" && /usr/bin/python3 -c "import json, sys
d = json.load(open(sys.argv[1]))
assert $1, d" "$SCRATCH/said"; }
check "JSON has the CPUs" json '[c["cpu"] for c in d] == [10, 2, 3] and d[1]["nmis"] == 12' --json
check "and each counter" json 'all(c[k] in (1, 7) for c in d for k in ("doorbells", "timer_events", "nmi_reboot"))' --json
check "and hard names" json 'd[0]["vm"] == "a \"b\" \\c"' --json
check "JSON of a host that is ready" json 'd["ready"] and len(d["items"]) > 15' --check --json

# Where they are, of two looks that find the same.
look() { # VCPU RIP INTERRUPTS HALTED [SINCE-TIMER]
    echo "vcpu $1 pcpu $(($1 + 2)) direct 1 nanoseconds_since_exit 2500000000 runs 1" \
        "nanoseconds_since_timer ${5:-400000000} rip $2 interrupts $3 cpl 0 halted $4"
}
put $debugfs/kvm/812-10/hpvm_vcpus "$(look 0 0xffffffff81c0a1d4 1 1; look 1 0xffffffff81c0a1d4 0 0 9900000000)"
put $debugfs/kvm/900-8/hpvm_vcpus "$(look 0 0x7f10 1 0; echo 'vcpu 1 pcpu 9 direct 0 nanoseconds_since_exit 0 runs 0')"
for shell in dash "busybox sh"; do
    # shellcheck disable=SC2086  # words
    check "$shell: where it sleeps" tells 0 "0xffffffff81c0a1d4  sleeps" $shell "$status" --where
    check "$shell: where it hangs" said "0xffffffff81c0a1d4  spins with interrupts off"
    check "$shell: where it works" said "0x7f10              works"
    check "$shell: where it isn't" said "is not in the guest"
    check "$shell: of which VM" said 'a "b" \c'
    check "$shell: and when its timer went on" said "       2.5        0.4"
done
check "JSON of where they are" json '[v["guest"] for v in d] == ["sleeps", "spins with interrupts off", "works", "is not in the guest"] and d[0]["seconds_since_timer"] == 0.4 and d[3]["seconds_since_exit"] is None' --where --json
put $debugfs/kvm/812-10/hpvm_vcpus "$(look 0 0xffffffff81c0a1d4 0 0)"
check "whose timer goes on works" tells 0 "  works" "$status" --where
put $debugfs/kvm/812-10/hpvm_vcpus "$(look 0 0xffffffff81c0a1d4 0 1)"
check "in MWAIT, with interrupts off, it sleeps" tells 0 "  sleeps" "$status" --where
rm "$host/$debugfs"/kvm/*/hpvm_vcpus
check "none is bound" tells 0 "No vCPU is bound" "$status" --where
check "two questions at a time" tells 2 "one at a time" "$status" --where --check

# Watching: until it is interrupted.
watched() { # TEXT OPTION...: it comes more than once
    set +o pipefail     # (check runs it in a shell of its own)
    timeout 60 "$status" --watch 0.1 "${@:2}" | awk -v text="$1" 'index($0, text) && ++n == 3 { exit } END { exit n != 3 }'
}
check "--watch shows it again and again" watched "CPU 2: VM"
check "--watch --json, too" watched '"cpu": 2' --json

# Metrics, as Prometheus' own parser reads them.
prom=$SCRATCH/hpvm.prom
echo old >"$prom"
ln "$prom" "$SCRATCH/old"
check "metrics are written to a file" ended 0 "$status" --prometheus "$prom"
check "which is another one" [ "$(cat "$SCRATCH/old")" = old ]
check "that anyone may read" [ "$(stat -c %a "$prom")" = 644 ]
check "and nothing else is there" [ "$(echo "$SCRATCH"/hpvm.prom*)" = "$prom" ]
check "no file can be written" tells 1 "can't be written" "$status" --prometheus "$SCRATCH/nowhere/hpvm.prom"
metrics() {
    /usr/bin/python3 - "$prom" <<END
import sys
from prometheus_client.parser import text_string_to_metric_families
text = open(sys.argv[1], encoding="utf-8").read()
families = {f.name: f for f in text_string_to_metric_families(text)}
def value(name, **labels):
    return [s.value for f in families.values() for s in f.samples
            if s.name == name and labels.items() <= s.labels.items()]
assert $1, text
END
}
check "each metric has a help and a type" metrics 'all(f.documentation and f.type in ("gauge", "counter") for f in families.values())'
check "their lines are together" metrics 'len(families) == text.count("# TYPE") == text.count("# HELP") > 12'
check "counters, and only these, end with _total" metrics \
    'all((f.type == "counter") == s.name.endswith("_total") for f in families.values() for s in f.samples)'
check "values are those of the CPUs" metrics 'value("hpvm_vcpu_nmis_total", cpu="2", vm="web1", vcpu="0") == [12] and value("hpvm_vcpu_direct", cpu="3") == [0]'
check "time is in seconds" metrics 'value("hpvm_vcpu_dedicated_seconds", cpu="2") == [1.5] and value("hpvm_vcpu_since_exit_seconds", cpu="2") == [65.432]'
check "never is none" metrics 'value("hpvm_vcpu_since_timer_seconds") == []'
check "reasons have names" metrics 'sorted(s.labels["reason"] for s in families["hpvm_vcpu_ordinary_reason"].samples) == ["held", "not-x2apic"]'
check "steps have names" metrics 'value("hpvm_vcpu_timer_step", cpu="10", step="oneshot") == [1]'
check "names of VMs are what they are" metrics 'len(value("hpvm_vcpu_direct", vm="a \"b\" \\c")) == 1'
promtool_takes() { promtool check metrics <"$1"; }
if command -v promtool >/dev/null; then
    check "promtool has nothing to say" promtool_takes "$prom"
    check "promtool takes the rules" promtool check rules "$tools/examples/alerts.yml"
else
    skip "promtool has nothing to say" "no promtool (package prometheus)"
fi
while read -r name; do
    case $name in
    *_) check "there are the alerts' metrics $name..." grep -q "^$name" "$prom" ;;
    *) check "there is the alerts' metric $name" grep -qE "^$name({| )" "$prom" ;;
    esac
done < <(grep -oE 'hpvm_[a-z_]+' "$tools/examples/alerts.yml" | sort -u)
empty=$SCRATCH/empty
mkdir "$empty" && mv "$host/$debugfs"/hpvm/cpu* "$empty"
check "no dedicated CPU: a metric that says so" \
    [ "$("$status" --prometheus | grep -v '^#')" = "hpvm_dedicated_cpus 0" ]
mv "$empty"/* "$host/$debugfs/hpvm"

# A report.
check "a report is written" tells 0 "Read $SCRATCH/report before" "$status" --report "$SCRATCH/report"
check "for its owner" [ "$(stat -c %a "$SCRATCH/report")" = 600 ]
for text in '/sys/module/kvm_intel/parameters/ept: Y' 'ok       KVM is loaded' "CPU 2: VM 'web1'" \
    'pid 812: qemu -name guest=web1' 'kvm/812-10/exits: 41' '/hpvm/host: x2apic 1' '=== kernel log'; do
    check "it has '$text'" grep -qF -- "$text" "$SCRATCH/report"
done
check "one is written where there is no hpvm" without $debugfs/hpvm ended 0 "$status" --report "$SCRATCH/report"
check "and says so" grep -q '^missing  the kernel has the hpvm patches' "$SCRATCH/report"

# Is the host ready? What libvirt needs is asked only where it is.
check "the host is ready" tells 0 "ok       KVM is loaded" "$status" --check
check "without hpvm it isn't" without $debugfs/hpvm tells 1 "missing  the kernel has the hpvm patches" "$status" --check
check "nothing about libvirt" none libvirt "$SCRATCH/said"
emulator=usr/bin/qemu-system-x86_64-hpvm abstraction=etc/apparmor.d/abstractions/libvirt-qemu
put usr/sbin/libvirtd ''
put $emulator ''
chmod +x "$host/usr/sbin/libvirtd" "$host/$emulator"
put sys/module/kvm/parameters/hpvm_cpus 2-3
put sys/fs/cgroup/cgroup.controllers 'cpuset cpu io memory'
put sys/module/apparmor/parameters/enabled Y
put "$abstraction" '  include if exists <abstractions/libvirt-qemu.d>'
mkdir -p "$host/$abstraction.d" "$host/etc/libvirt/qemu"
cp packaging/qemu-hpvm/debian/libvirt-qemu.apparmor "$host/$abstraction.d/hpvm"
cp "$tools/examples/domain.xml" "$host/etc/libvirt/qemu/web.xml"
put etc/libvirt/qemu/other.xml '<domain/>'
check "with libvirt, too, and the example" tells 0 "ok       libvirt: web pins its vCPUs" "$status" --check
check "another domain isn't looked at" none other "$SCRATCH/said"
lacks() { # ITEM FILE TEXT: with this text in the file, the item is missing
    cp "$host/$2" "$SCRATCH/was"
    put "$2" "$3"
    local got=0
    tells 1 "missing  libvirt: $1" "$status" --check || got=$?
    cp "$SCRATCH/was" "$host/$2"
    return "$got"
}
check "no emulator" without $emulator tells 1 "missing  libvirt: the emulator is there" "$status" --check
check "no CPUs for libvirt's QEMU" lacks "its QEMU may take CPUs" sys/module/kvm/parameters/hpvm_cpus ''
check "no cpusets" lacks "control groups have cpusets" sys/fs/cgroup/cgroup.controllers 'cpu io'
check "an old libvirt" lacks "AppArmor lets it start the emulator" $abstraction '  # include <local/abstractions/libvirt-qemu>'
old() {
    put "$abstraction" '  include <local/abstractions/libvirt-qemu>'
    put etc/apparmor.d/local/abstractions/libvirt-qemu '  include <abstractions/libvirt-qemu.d>'
    ended 0 "$status" --check
}
check "an old one, as the advice says" old
without_line() { # PATTERN: the domain without these lines
    sed "/$1/d" "$tools/examples/domain.xml"
}
check "a domain with another QEMU" lacks "web uses the emulator" etc/libvirt/qemu/web.xml "$(without_line '<emulator>')"
check "a domain that doesn't lock" lacks "web locks its memory" etc/libvirt/qemu/web.xml "$(without_line '<locked')"
check "a domain without pins" lacks "web pins its vCPUs" etc/libvirt/qemu/web.xml "$(without_line '<vcpupin')"

# The examples.
check "the domain is XML" /usr/bin/python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$tools/examples/domain.xml"
hook() { # STATUS OPERATION TEXT
    sed "s|/usr/sbin/hpvm-status|$status|" "$tools/examples/libvirt-hook" >"$SCRATCH/hook"
    ended "$1" sh "$SCRATCH/hook" web "$2" begin - <<<"$3"
}
rm "$host/$emulator"
check "the hook keeps a guest from a host that isn't ready" hook 1 prepare "hpvm=on"
check "and says why" said "libvirt: the emulator is there"
check "but no other guest" hook 0 prepare "<domain/>"
check "and only when it starts" hook 0 release "hpvm=on"
check "all parameters are commented out" none '^[^#]' "$tools/hpvm.conf"
finish
