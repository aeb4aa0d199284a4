#!/bin/bash
# hpvm-verify on hosts of files: its options, what it refuses and what it says to do then, what it
# says before; and that completion and man page fit it. The scenario of the lab has it on a real
# kernel.
# shellcheck disable=SC2317,SC2016  # functions that check calls, and text for other shells
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch

. tests/build/tool.sh

verify=$TOP/scripts/hpvm-verify
export TMPDIR=$SCRATCH/tmp
mkdir -p "$SCRATCH/bin" "$TMPDIR"
PATH=$SCRATCH/bin:$PATH

program() { # NAME LINE...
    printf '%s\n' '#!/bin/sh' "${@:2}" >"$SCRATCH/bin/$1"
    chmod +x "$SCRATCH/bin/$1"
}

# An Intel host that is ready, with CPUs 0 to 5; 4 is another VM's, 5 is offline, and 2 shares its
# core with 3.
cpus=sys/devices/system/cpu
put sys/kernel/debug/hpvm/host $'supported 1\nx2apic 1\nfred 0\ndoorbell 1\nisolation 1\ndevice_irqs 1\napic_bus_khz 25000'
put sys/kernel/debug/hpvm/cpu4 $'pid 812\nvcpu 0\ndirect 1'
put proc/812/comm qemu-web
put proc/cpuinfo "$(printf 'processor : %s\nvendor_id : GenuineIntel\nflags : vmx ept vnmi preemption_timer tsc_deadline_timer arat\n\n' 0 1)"
put proc/uptime '10.00 10.00'
put proc/self/status $'Name: sh\nCpus_allowed_list: 0-1'
put proc/mounts 'cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate,memory_recursiveprot 0 0'
put sys/fs/cgroup/cgroup.subtree_control 'cpu memory'
put $cpus/online 0-4
put $cpus/present 0-5
put $cpus/isolated ''
put $cpus/nohz_full '(null)'
for cpu in 0 1 2 3 4 5; do
    put $cpus/cpu$cpu/topology/thread_siblings_list $cpu
done
put $cpus/cpu2/topology/thread_siblings_list 2-3
put $cpus/cpu3/topology/thread_siblings_list 2-3
put sys/devices/system/clocksource/clocksource0/current_clocksource tsc
put sys/module/kvm_intel/parameters/ept Y
put sys/class/iommu/dmar0 ''
put dev/kvm ''
put sys/module/kvm/parameters/hpvm auto
put sys/kernel/tracing/events/kvm/kvm_exit/filter none
mkdir -p "$host/sys/kernel/tracing/instances"
device=sys/bus/pci/devices/0000:03:00.0
mkdir -p "$host/$device/iommu_group" "$host/sys/bus/pci/drivers/vfio-pci" "$host/sys/bus/pci/drivers/nvme"
program id 'echo 0'
program qemu 'exit 0'
real_taskset=$(command -v taskset)
program taskset 'exit 0'
touch "$SCRATCH/bench.elf"
verify() { "$verify" --qemu qemu --guest "$SCRATCH/bench.elf" "$@"; }
tells() { # STATUS TEXT ARGUMENT...
    ended "$1" verify "${@:3}" && said "$2"
}
# no TEXT ARGUMENT...: refused, with this sentence.
no() { tells 2 "$1" "${@:2}"; }
with() { # FILE TEXT COMMAND...: when the host's file has this text
    local got=0
    cp "$host/$1" "$SCRATCH/was"
    put "$1" "$2"
    "${@:3}" || got=$?
    cp "$SCRATCH/was" "$host/$1"
    return "$got"
}

# Options.
documented hpvm-verify 11
check "an unknown option" no "no option '--fast'" --fast
check "no value" no "--cpus needs a value" --cpus
check "no CPUs" no "name the CPUs"
for list in a 1- 3-2 1,,2 -1 1-30000000; do
    check "CPUs that aren't: $list" no "give CPUs such as" --cpus "$list"
done
check "too many CPUs" no "name 16 at most" --cpus 1-17
check "seconds that aren't" no "--seconds 1.5: give a number" --cpus 1 --seconds 1.5
check "too long a soak" no "from 2 to 300" --cpus 1 --seconds 301
check "seconds that look octal" no "--seconds 08: give a number" --cpus 1 --seconds 08
check "rounds that do" no "--rounds 0100: give a number" --cpus 1 --rounds 0100
check "too few rounds" no "from 20 to 10000" --cpus 1 --rounds 19
check "an unknown step" no "no step 'all'" --cpus 1 --steps bench,all

for list in "bench soak" "," "*" "bench," ",bench" "bench,,soak"; do
    check "steps that aren't: $list" no "give steps such as" --cpus 1 --steps "$list"
done

# What is refused, and the way out. It ends before it changes anything.
program id 'echo 1000'
check "not root" no "only root can do this; use sudo" --cpus 1
program id 'echo 0'
check "a kernel without the patches" without sys/kernel/debug/hpvm no "the kernel hasn't the hpvm patches" --cpus 1
check "no such CPU" no "there is no CPU 6; the host has 0-5" --cpus 1,6
check "CPU 0" no "CPU 0 stays the host's" --cpus 0-1
check "one that is offline" no "CPU 5 is offline; write 1 to" --cpus 1,5
check "another VM's" no "CPU 4 is dedicated to qemu-web (pid 812); end that VM" --cpus 3-4
check "none is left" with $cpus/online 1-4 no "no CPU is left for the host" --cpus 1-3
check "or only isolated ones" with $cpus/isolated 0,3 no "no CPU is left for the host" --cpus 1-2
check "or such in nohz_full" with $cpus/nohz_full 0,3 no "no CPU is left for the host" --cpus 1-2
program taskset '[ "$2" != 2 ]'
check "one that this shell may not use" no "may not use CPU 2, but 0-1:" --cpus 1-2
program taskset 'exit 0'
check "guests are held" with sys/module/kvm/parameters/hpvm hold no "write 'auto' to" --cpus 1
check "the host isn't ready" without dev/kvm no "missing  KVM is loaded" --cpus 1
check "and what to do" said "modprobe kvm_intel"
put usr/sbin/libvirtd ''
chmod +x "$host/usr/sbin/libvirtd"
check "what only libvirt lacks is no reason" tells 0 "On CPUs 1 of this host" --cpus 1 --dry-run
rm "$host/usr/sbin/libvirtd"
check "no tracer" without sys/kernel/tracing/events no "mount -t tracefs" --cpus 1
mkdir "$host/sys/kernel/tracing/instances/hpvm-verify"
check "another one runs" no "another hpvm-verify runs" --cpus 1
rmdir "$host/sys/kernel/tracing/instances/hpvm-verify"
check "no guest" no "isn't there; install hpvm-tools" --cpus 1 --guest "$SCRATCH/nothing"
check "no QEMU" no "there is no QEMU 'qemu-nowhere'" --cpus 1 --qemu qemu-nowhere
program stock "echo \"qemu: -accel kvm,hpvm=on: Property 'kvm-accel.hpvm' not found\" >&2" 'exit 1'
check "a QEMU without the patches" no "without the hpvm patches" --cpus 1 --qemu stock
program broken 'echo "qemu: hpvm: this is why" >&2' 'exit 1'
check "a QEMU that says why it doesn't start" no "hpvm: this is why" --cpus 1 --qemu broken
check "no directory for the JSON" no "there is no directory $SCRATCH/nowhere" --cpus 1 --output "$SCRATCH/nowhere/it.json"
check "a directory for it" no "is a directory; name a file" \
    --cpus 1 --dry-run --output "$SCRATCH/bin"
check "a file that can't be" no "can't be written; name another" \
    --cpus 1 --dry-run --output /proc/nothing.json
check "an address that isn't one" no "give a PCI address" --cpus 1 --device eth0
check "no such device" no "no PCI device 0000:09:00.0" --cpus 1 --device 09:00.0
check "a device without an IOMMU" without $device/iommu_group no "boot with intel_iommu=on" --cpus 1 --device 03:00.0
check "no vfio-pci" without sys/bus/pci/drivers/vfio-pci no "modprobe vfio-pci" --cpus 1 --device 03:00.0
ln -s ../../drivers/nvme "$host/$device/driver"
check "a device that the host uses" no "in use by the host, with the driver nvme" --cpus 1 --device 03:00.0
rm "$host/$device/driver"

# What it says before.
everything() { (cd "$host" && find . -type f -exec sha256sum {} + && find . | sort); }
everything >"$SCRATCH/before"
# This one may have a taskset of its own, which asks the real kernel.
usable=1
"$real_taskset" -c 1 true 2>/dev/null || usable=''
for shell in "busybox sh" dash; do
    [ "$shell" = dash ] && list=1-2 names=1,2 || list=1 names=1
    if [ "$shell$usable" = "busybox sh" ]; then
        skip "$shell: a dry run" "CPU 1 can't be used"
        continue
    fi
    in_shell() {
        # shellcheck disable=SC2086  # words
        $shell "$verify" --qemu qemu --guest "$SCRATCH/bench.elf" "$@" >"$SCRATCH/said" 2>&1
    }
    check "$shell: a dry run" in_shell --cpus "$list" --device 03:00.0 --dry-run
    check "$shell: names the CPUs" said "On CPUs $names of this host"
done
check "it says what the device's driver will be" said "the driver of 0000:03:00.0: vfio-pci"
check "why there are no selftests" said "no selftests: there are none in /usr/lib/hpvm/selftests"
check "whose figures vary" said "CPUs 3 share a core with these"
check "and that named ones share one" tells 0 "CPUs 2 3 share their cores" --cpus 2-3 --dry-run
check "and that all is put back" said "put back at the end, also when it's interrupted"
mkdir "$SCRATCH/selftests"
cp "$SCRATCH/bin/qemu" "$SCRATCH/selftests/hpvm_abi_test"
check "no selftests beside another VM" tells 0 "no selftests: they hold all guests" --cpus 1 --dry-run --selftests "$SCRATCH/selftests"
check "but without one" without sys/kernel/debug/hpvm/cpu4 tells 0 "on CPU 1: abi" --cpus 1 --dry-run --selftests "$SCRATCH/selftests"
check "and what they change" said "hpvm_cpus"
check "a step alone" tells 0 "10000 times" --cpus 1 --dry-run --steps bench
check "is alone" [ "$(grep -c '^#  - ' "$SCRATCH/said")" = 4 ]
everything >"$SCRATCH/after"
check "nothing is changed" cmp "$SCRATCH/before" "$SCRATCH/after"
is_empty() { [ -z "$(ls -A "$1")" ]; }
check "and no file is left" is_empty "$TMPDIR"

# Its parts, without a run.
program ready "echo '{\"ready\": false, \"items\": [
  {\"item\": \"a\", \"state\": \"ok\", \"fix\": \"\"},
  {\"item\": \"libvirt: b\", \"state\": \"missing\", \"fix\": \"\"}
]}'"
sed '/^preconditions$/,$d' "$verify" >"$SCRATCH/parts"
parts() { # SHELL TEXT: in the shell, after all definitions
    { cat "$SCRATCH/parts"; echo "work=$SCRATCH/work begun=1000 mode=direct online='0 1 2 3'"
        printf '%s\n' "$2"; } >"$SCRATCH/some"
    # That of files has some more, which rmdir minds.
    rm -rf "$SCRATCH/work" "$host/sys/kernel/tracing/instances/hpvm-verify"
    mkdir "$SCRATCH/work"
    # shellcheck disable=SC2086  # words
    timeout 20 $1 "$SCRATCH/some" --cpus 1-2
}
part() { # STATUS TEXT SHELL SCRIPT
    ended "$1" parts "$3" "$4" && said "$2"
}
for shell in dash "busybox sh"; do
    check "$shell: a guest that ends within a line is told of" part 0 "ended" "$shell" '
        qemu=true
        mkfifo "$work/5" "$work/7"
        exec 5<>"$work/5" 7<>"$work/7" 4>/dev/null
        : >"$work/said"
        ended=""
        printf "hpvm: soak_ti" >&7
        printf "{\"event" >&5
        keep 5 2>/dev/null &
        says ready || qmp query-hpvm || echo "ended"'
    check "$shell: one that is ended has no more to say" part 0 "nothing more" "$shell" '
        qemu=sleep
        mkfifo "$work/5" "$work/7"
        exec 5<>"$work/5" 7<>"$work/7"
        keep 5 9 2>/dev/null &
        keeper=$!
        sleep 0.5
        kill $keeper
        outlived $keeper
        echo mine >&7
        read -r line <&7
        [ "$line" != mine ] || echo "nothing more"'
    check "$shell: foreign text stays as it is" part 0 'ok 1 - a\nb # SKIP c\td' "$shell" '
        result skipped "a\nb" "c\td"'
    check "$shell: the ten minutes" part 0 \
        "# SKIP the ten minutes are over; try --steps soak alone" "$shell" 'begun=-70000; step_soak || true'
    check "$shell: an event that the guest didn't mark" part 0 "use the bench.elf of this version" \
        "$shell" 'echo "eoi 20 - - 0" >"$work/exits.direct"
        no_exits x timer_arm any
        no_exits y eoi any'
    check "$shell: and one that it did" said "ok 2 - y"
    check "$shell: steps that weren't asked for are no success" part 0 \
        "as far as it was tried: without selftests, device; checks left out: 2" "$shell" \
        'steps=bench,soak passed=1 skipped=2; conclude; say "$verdict"'
    check "$shell: and neither are skipped checks" part 0 "tried: checks left out: 1" "$shell" \
        'skipped=1; conclude; say "$verdict"'
    check "$shell: the host without what is said of libvirt" part 0 '"ready": true,' "$shell" \
        'status=ready siblings=""; host_json'
    check "$shell: of which nothing is in it" test "$(grep -c libvirt "$SCRATCH/said")" = 0
    check "$shell: an override that was none" part 0 "now: <>" "$shell" '
        device_driver="" device_dir=$work device=x sys=$work
        mkdir -p "$work/bus/pci"
        echo "(null)" >"$work/driver_override"
        step_device >"$work/it" 2>&1
        undo_all
        echo "now: <$(cat "$work/driver_override")>"'
    check "$shell: the tracer's refusal" part 2 "50 MB of memory" "$shell" 'trace_on || no_tracer'
    check "$shell: what is put back meanwhile" part 0 "2 1 . 0" "$shell" '
        undo "printf \"0\n\""
        mark=$undos
        undo "printf \"1 \""
        undo "printf \"2 \""
        undo_to "$mark"; printf ". "; undo_all'
    for signal in INT:130 TERM:143 HUP:129 QUIT:131 PIPE:141; do
        check "$shell: ${signal%:*} between two commands" part ${signal#*:} "kept" "$shell" '
            before=$(state)
            exec 3>&1
            trap "on_signal '${signal%:*}'" '${signal%:*}'
            hold
            kill -'${signal%:*}' $$
            undo "echo kept"
            let_go
            echo "it went on"'
        check "and it says so" said "Interrupted (${signal%:*}); all is as it was"
    done
    check "$shell: control groups" part 0 "mount -o remount,rw,nsdelegate /sys/fs/cgroup" "$shell" '
        mount() { echo "mount $*"; }
        mkdir "$groups/hpvm_abi_test"
        groups_back rw,nsdelegate "cpu memory"
        [ ! -e "$groups/hpvm_abi_test" ]'
    put sys/fs/cgroup/cgroup.subtree_control 'cpu memory cpuset'
    control='groups_back "$(group_options)" "$was"; cat "$groups/cgroup.subtree_control"'
    check "$shell: cpuset stays if it was there" part 0 "cpu memory cpuset" "$shell" \
        "was=cpuset; $control"
    check "$shell: and not if it wasn't" part 0 "-cpuset" "$shell" "was=cpu; $control"
    put sys/fs/cgroup/cgroup.subtree_control 'cpu memory'
    # A task of the harness is in a group of its own.
    check "$shell: a selftest ends with all its tasks" part 0 "all ended" "$shell" '
        proc=/proc
        setsid bash -c "set -m; sleep 55 & echo \$! >$work/pid; wait" &
        tester=$!
        until [ -s "$work/pid" ]; do sleep 0.1; done
        end_test
        sleep 0.2
        case $(sed -n "s/^State:[^A-Z]*//p" "/proc/$(cat "$work/pid")/status" 2>/dev/null) in
        "" | Z*) echo "all ended" ;;
        esac'
done

# From its begin to its end, but for the tracer; no step has anything to do.
whole() { # SHELL OUTPUT [TEXT]
    { cat "$SCRATCH/parts"; echo "trace_on() { :; }; status=$TOP/scripts/hpvm-status"
        printf '%s\n' "${3:-}"; sed -n '/^preconditions$/,$p' "$verify"; } >"$SCRATCH/some"
    # shellcheck disable=SC2086  # words
    timeout 60 $1 "$SCRATCH/some" --qemu qemu --guest "$SCRATCH/bench.elf" --cpus 1 --steps device \
        --output "$2"
}
ends() { # STATUS TEXT ARGUMENT...
    ended "$1" whole "${@:3}" && said "$2"
}
for shell in dash "busybox sh"; do
    [ "$shell$usable" != "busybox sh" ] || { skip "$shell: a run" "CPU 1 can't be used"; continue; }
    check "$shell: a run" ends 0 "without selftests, bench, soak; checks left out: 1" \
        "$shell" "$SCRATCH/it.json"
    check "$shell: its JSON is JSON" python3 -m json.tool "$SCRATCH/it.json"
    check "$shell: and not lost if it can't be written" ends 1 '#   "schema": 1' "$shell" \
        /proc/nothing.json 'is_writable() { :; }'
    check "$shell: no file is left" is_empty "$TMPDIR"
done
finish
