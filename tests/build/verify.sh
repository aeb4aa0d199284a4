#!/bin/bash
# hpvm-verify on hosts of files: its options, what it refuses and what it says to do then, what it
# says before; on fakes, what it does if a part never ends, and when it's interrupted in any; and that
# completion and man page fit it. The scenario of the lab has it on a real kernel.
# shellcheck disable=SC2317,SC2016  # functions that check calls, and text for other shells
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch

. tests/build/tool.sh

verify=$TOP/scripts/hpvm-verify
nl=$'\n'
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
    { cat "$SCRATCH/parts"; echo "work=$SCRATCH/work mode=direct online='0 1 2 3'"
        printf '%s\n' "$2"; } >"$SCRATCH/some"
    # That of files has some more, which rmdir minds.
    rm -rf "$SCRATCH/work" "$host/sys/kernel/tracing/instances/hpvm-verify"
    mkdir "$SCRATCH/work"
    touch "$SCRATCH/work/"{checks,figures,undos,stuck}
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
        "# SKIP the ten minutes are over; try --steps soak alone" "$shell" 'begun=$((begun - 70000)); step_soak || true'
    check "$shell: an event that the guest didn't mark" part 0 "use the bench.elf of this version" \
        "$shell" 'echo "eoi 20 - - 0" >"$work/exits.direct"
        no_exits x timer_arm any
        no_exits y eoi any'
    check "$shell: and one that it did" said "ok 2 - y"
    check "$shell: steps that weren't asked for are no success" part 0 \
        "as far as it was tried: without selftests, device; checks left out: 2" "$shell" \
        'steps=bench,soak
        result ok a; result skipped b c; result skipped d e; tally; say "$verdict"'
    check "$shell: and neither are skipped checks" part 0 "tried: checks left out: 1" "$shell" \
        'result skipped a b; tally; say "$verdict"'
    check "$shell: what was cut off is no verdict of the mode" part 0 \
        'it was cut off, so that it is' "$shell" 'result failed "a \"b\"" "cut off after 9 s"; tally
        say "$verdict" | sed "s/isn.t/is/"; say "$first"'
    check "$shell: what of it" said 'a \"b\"'
    check "$shell: and another failure is one" part 0 "2 of 2 checks failed, the first: a" "$shell" \
        'result failed a "cut off after 9 s"; result failed c "why"; tally; say "$verdict"'
    check "$shell: the host without what is said of libvirt" part 0 '"ready": true,' "$shell" \
        'status=ready siblings=""; host_json'
    check "$shell: of which nothing is in it" test "$(grep -c libvirt "$SCRATCH/said")" = 0
    check "$shell: an override that was none" part 0 "now: <>" "$shell" '
        device_driver="" device_dir=$work device=x sys=$work
        mkdir -p "$work/bus/pci"
        echo "(null)" >"$work/driver_override"
        step_device >"$work/it" 2>&1
        undo_to 0
        echo "now: <$(cat "$work/driver_override")>"'
    check "$shell: the tracer's refusal" part 2 "50 MB of memory" "$shell" 'trace_on || no_tracer'
    check "$shell: what is put back meanwhile" part 0 "2 1 . 0" "$shell" '
        undo "printf \"0\n\""
        mark=$(undo_mark)
        undo "printf \"1 \""
        undo "printf \"2 \""
        undo_to "$mark"; printf ". "; undo_to 0'
    check "$shell: and one that never ends keeps nothing from it" part 0 "0 didn't end: sleep 77" "$shell" '
        grace=9
        undo "printf \"0 \""
        undo "sleep 77"
        undo_to 0; sed "s/.*this //" "$work/stuck"'
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
        setsid bash -c "set -m; sleep 55 & echo \$! >$work/pid; wait" &
        tester=$!
        until [ -s "$work/pid" ]; do sleep 0.1; done
        end_test
        sleep 0.2
        case $(sed -n "s/^State:[^A-Z]*//p" "/proc/$(cat "$work/pid")/status" 2>/dev/null) in
        "" | Z*) echo "all ended" ;;
        esac'
done

# From its begin to its end on fakes, each run in the background, on a host of its own. What the fakes
# of selftests and QEMU do in the part HANG has no end; the others fail at once, but for a QEMU whose
# FAKE is soak. (Time is real.)
rm "$host/sys/kernel/debug/hpvm/cpu4"
sed -i -E 's/^(trace_on|soak_once)\(\) \{/kernel_&/' "$SCRATCH/parts"
cat >"$SCRATCH/fakes" <<'END'
# What the kernel would have in the instance, and a directory with files goes.
trace_on() {
    undo "rm -rf '$instance'"
    for file in trace events/kvm/kvm_exit/enable events/kvm/kvm_pio/enable; do
        mkdir -p "$(dirname "$instance/$file")"
        : >"$instance/$file"
    done
    tracer_is
}
tracer_is() { :; }
soak_once() { kernel_soak_once; }
direct_now() { now=$(cat "$root/direct"); }
status=well
END
program well 'echo "ok  all"'
program unshare 'shift 7' 'exec "$@"'
for test in abi state hostile isolation ipi; do
    cat >"$SCRATCH/selftests/hpvm_${test}_test" <<'END'
#!/bin/sh
file=$HPVM_STATUS_ROOT/sys/module/kvm/parameters/hpvm_late_ms
echo 9 >"$file"
[ "$(cat "$TMPDIR"/hpvm-verify.*/part)" != "$HANG" ] || {
    [ "$FAKE" != blocks ] || { rm "$file"; mkfifo "$file"; }
    setsid sleep 4321 &
    sleep 4322
}
echo "# Totals: pass:3 fail:0"
END
    chmod +x "$SCRATCH/selftests/hpvm_${test}_test"
done
cat >"$SCRATCH/bin/qemu" <<'END'
#!/usr/bin/python3
"""A QEMU that says what hpvm-verify wants to hear, as far as it is to."""
import json, os, sys, threading, time
if "-monitor" in sys.argv or "--version" in sys.argv:
    sys.exit(0)
work = next(word for word in sys.argv if word.startswith("pipe,id=qmp,path="))[17:-4]
with open(work + "/part", encoding="ascii") as part:
    if part.read().strip() == os.environ["HANG"]:
        time.sleep(4321)
fake, host = os.environ["FAKE"], os.environ["HPVM_STATUS_ROOT"]
if not fake.startswith("soak"):
    sys.exit(1)
serial = open(work + "/serial.out", "w", buffering=1)
def direct(number):
    with open(host + "/direct", "w", encoding="ascii") as file:
        print(number, file=file)
def guest():
    lines = open(work + "/serial.in")
    lines.readline()
    print("hpvm: soaking=1", file=serial)
    lines.readline()
    print("hpvm: soak_timers=7\nhpvm: soak_ipis=0\nhpvm: unexpected=0", file=serial)
    print("hpvm: failed=1" if fake == "soak-loses" else "hpvm: done=1", file=serial)
threading.Thread(target=guest, daemon=True).start()
with open(work + "/qmp.out", "w", buffering=1) as out:
    for line in open(work + "/qmp.in"):
        command = json.loads(line)
        name, answer = command["execute"], {}
        if name == "query-cpus-fast":
            answer = [{"thread-id": os.getpid()}]
        elif name == "query-hpvm":
            answer = {"unmapped": 0, "ipis": 0}
        elif name == "cont":
            direct(1)
            print("hpvm: ready=1", file=serial)
        elif name == "hpvm-set-mode":
            direct(0 if command["arguments"]["mode"] == "ordinary" else 1)
        if "id" in command:
            print(json.dumps({"return": answer, "id": command["id"]}), file=out)
END

runs=$SCRATCH/runs
# start NAME SHELL STEPS HANG FAKE [TEXT]: with more for the tool, before it begins
start() {
    local run=$runs/$1
    mkdir -p "$run/tmp"
    cp -a "$host" "$run/host"
    (cd "$run/host" && find . -type p -o -type f -exec sha256sum {} + -o -print | sort) >"$run/before"
    { cat "$SCRATCH/parts" "$SCRATCH/fakes"
        printf '%s\n' "${6:-}"; sed -n '/^begun=/,$p' "$verify"; } >"$run/script"
    # shellcheck disable=SC2086  # words
    HPVM_STATUS_ROOT=$run/host TMPDIR=$run/tmp HANG=$4 FAKE=$5 \
        exec env --default-signal=INT,QUIT $2 "$run/script" --qemu qemu --guest "$SCRATCH/bench.elf" \
        --selftests "$SCRATCH/selftests" --cpus "${CPUS:-1}" --steps "$3" --seconds "${SOAK:-2}" \
        ${DEVICE:+--device 03:00.0} --output "${OUTPUT:-$run/json}" >"$run/said" 2>&1 </dev/null
}
# running NAME ...: start, and in the background
running() {
    mkdir -p "$runs/$1"
    (
        start "$@" &
        echo $! >"$runs/$1/pid"
        wait $!
        echo $? >"$runs/$1/status"
    ) &
}
# until_it SECONDS COMMAND...: it succeeds.
until_it() {
    local since=$SECONDS
    until "${@:2}" 2>/dev/null; do
        [ $((SECONDS - since)) -lt "$1" ] || return 1
        sleep 0.1
    done
}
# over NAME STATUS: it ends so.
over() {
    until_it 60 test -s "$runs/$1/status" || echo "it goes on"
    cp "$runs/$1/said" "$SCRATCH/said"
    [ "$(cat "$runs/$1/status")" = "$2" ] || { cat "$runs/$1/status" "$SCRATCH/said"; return 1; }
}
# is_back NAME: its host is as it was, and of its files and processes nothing is left.
is_back() {
    rm -f "$runs/$1/host/direct"
    (cd "$runs/$1/host" && find . -type p -o -type f -exec sha256sum {} + -o -print | sort) |
        diff "$runs/$1/before" - && is_empty "$runs/$1/tmp" && has_no_process "$1"
}
has_no_process() {
    local pids
    pids=$(grep -lzs "^TMPDIR=$runs/$1/tmp\$" /proc/[0-9]*/environ)
    [ -z "$pids" ] || { echo "still there: $pids"; return 1; }
}
is_whole() { # NAME: TAP with as many lines as it plans, and JSON with as many checks
    local told
    told=$(grep -cE '^(not )?ok [0-9]+ - ' "$runs/$1/said")
    [ "$(sed -n 's/^1\.\.//p' "$runs/$1/said")" = "$told" ] &&
        [ "$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["checks"]))' "$runs/$1/json")" = "$told" ]
}

# No step has anything to do.
for shell in dash "busybox sh"; do
    [ "$shell$usable" != "busybox sh" ] || { skip "$shell: a run" "CPU 1 can't be used"; continue; }
    running "run ${shell%% *}" "$shell" device "" "" "status=$TOP/scripts/hpvm-status"
    check "$shell: a run" over "run ${shell%% *}" 0
    check "$shell: what wasn't tried" said "without selftests, bench, soak; checks left out: 1"
    check "$shell: its TAP and JSON are whole" is_whole "run ${shell%% *}"
    OUTPUT=/proc/nothing.json running "no json ${shell%% *}" "$shell" device "" "" 'is_writable() { :; }'
    check "$shell: its JSON isn't lost if it can't be written" over "no json ${shell%% *}" 1
    check "$shell: it's said" said '#   "schema": 1'
    check "$shell: nothing is left" is_back "run ${shell%% *}"
done

# What never ends, with a limit of 24 s, of which 10 s are kept: steps have their own end after 9 s,
# and are killed from outside after 14 s.
facts='host_json() { echo "\"vendor\": 1"; }'
short='limit=24 grace=10
in_time() { say "$3" >"$work/part"; rm -f "$work/cut"; }'
filter='tracer_is() { mkfifo "$instance/events/kvm/kvm_exit/filter"; }'
mkfifo "$host/sys/bus/pci/drivers_probe"
put $device/driver_override ''
for cpu in 1 2 3; do put $cpus/cpu$cpu/online 1; done
# Each is "NAME|STEP|HANG|FAKE|PART|WHAT IT SAYS|TEXT".
endless=(
    "a selftest|selftests|selftest hpvm_state_test||selftest hpvm_state_test|cut off after|"
    "a QEMU that never answers|bench|benchmark, held||benchmark, held: the guest starts in held mode|cut off after|"
    "a guest that says nothing|soak|none|soak|soak: the guest starts in direct mode|cut off after|says() { while read -r line <&7; do case \$line in *ended=*) ended=1; return 1 ;; esac; done; }"
    "a write to the tracer|soak|none|soak|soak: it comes to its end|s, of 24 s at most|$filter"
    "a write to the device|device|none||an assigned device: it comes to its end|s, of 24 s at most|"
    "what is asked of the host|soak|none|soak|what is said of the host: it comes to its end|s, of 24 s at most|host_json() { sleep 4321; }"
    "the write that puts back|selftests|selftest hpvm_state_test|blocks|selftest hpvm_state_test|this didn't end: echo '5'|"
)
put sys/module/kvm/parameters/hpvm_late_ms 5
shells=(dash)
[ -z "$usable" ] || shells+=("busybox sh")
end_less() { # SHELL ROW
    local DEVICE='' name step hang fake part text more
    IFS='|' read -r name step hang fake part text more <<<"$2"
    # Busybox has an unshare of its own, and opens no pipe while a child ends.
    case $1:$name in busybox*:*selftest | busybox*:*"puts back" | busybox*:*tracer) return 0 ;; esac
    [ "$step" != device ] || DEVICE=1
    running "$name ${1%% *}" "$1" "$step" "$hang" "$fake" "$short
$facts
$more"
}
ended_in_time() { # NAME: by the file's times
    local took=$(($(stat -c %Y "$runs/$1/status") - $(stat -c %Y "$runs/$1/script")))
    # The limit, and what a busy machine adds.
    [ "$took" -le 30 ] || { echo "it took $took s"; return 1; }
}
for shell in "${shells[@]}"; do
    for row in "${endless[@]}"; do end_less "$shell" "$row"; done
    for row in "${endless[@]}"; do
        IFS='|' read -r name step hang fake part text more <<<"$row"
        run="$name ${shell%% *}"
        [ -d "$runs/$run" ] || continue
        check "$shell: $name never ends" over "$run" 1
        check "$shell: $name: the rest ends in time" ended_in_time "$run"
        check "$shell: $name: it's said which" grep -q "^not ok [0-9]* - $part" "$SCRATCH/said"
        check "$shell: $name: and that" said "$text"
        check "$shell: $name: TAP and JSON are whole" is_whole "$run"
        if [ "$fake" = blocks ]; then
            check "$shell: $name: it's told what isn't as it was" grep -q "^not ok .* all that was changed is as it was" "$SCRATCH/said"
        else
            check "$shell: $name: all is put back" is_back "$run"
            check "$shell: $name: and that is said" said "- all that was changed is as it was"
        fi
    done
done

# A soak that is cut short is judged by what it saw; and filters that the kernel minds.
refuses_filter='tracer_is() { ln -s /dev/full "$instance/events/kvm/kvm_pio/filter"; }'
forgets_filter='tracer_is() { ln -s /dev/null "$instance/events/kvm/kvm_exit/filter"; }'
forgets_later='tracer_is() { ln -s /dev/full "$instance/tracing_on"; }
trace_set_up() { :; }'
# No time is left to the guest after the first time.
shorter='soak_once() { kernel_soak_once; guest_end=$(uptime); }'
for shell in "${shells[@]}"; do
    of="soak ${shell%% *}"
    running "$of" "$shell" soak none soak "$facts"
    SOAK=8 running "short $of" "$shell" soak none soak "$shorter$nl$facts"
    SOAK=8 running "short $of, with losses" "$shell" soak none soak-loses "$shorter$nl$facts"
    check "$shell: a soak" over "$of" 0
    check "$shell: to its end" said "soak: 2 times held and let go"
    check "$shell: is whole" is_whole "$of"
    check "$shell: one that is cut short" over "short $of" 0
    check "$shell: says so" grep -qE "SKIP cut short after [1-9][0-9]* of 8 seconds, and judged by these" "$SCRATCH/said"
    check "$shell: by what it saw" said "soak: 1 times held and let go"
    check "$shell: the verdict, too" said "as far as it was tried: without selftests, bench, device; checks left out: 1, the soak cut short"
    check "$shell: TAP and JSON are whole" is_whole "short $of"
    check "$shell: if it saw a loss" over "short $of, with losses" 1
    check "$shell: that counts" grep -q "^not ok [0-9]* - soak: no timer and no IPI is lost" "$SCRATCH/said"
    running "refused $of" "$shell" soak none soak "$refuses_filter$nl$facts"
    running "forgotten $of" "$shell" soak none soak "$forgets_filter$nl$facts"
    running "later $of" "$shell" soak none soak "$forgets_later$nl$facts"
    check "$shell: a filter that the tracer refuses" over "refused $of" 1
    check "$shell: it's said which" said "the kernel refuses: '(common_pid=="
    check "$shell: one that it takes and hasn't" over "forgotten $of" 1
    check "$shell: it's said which" said "|| info1<0x3f80000 || info1>0x3ffffff)' for events/kvm/kvm_exit/filter"
    check "$shell: a tracer that doesn't start" over "later $of" 1
    check "$shell: it's said" said "not ok 3 - soak: the tracer counts what it is told to"
    for run in "$of" "short $of" "refused $of" "forgotten $of" "later $of"; do
        check "$shell: $run: all is put back" is_back "$run"
    done
done

# Interrupted in each of its parts, all is put back. The part's file tells when.
declare -A step_of=(["the tracer"]=soak ["what is said of the host"]=soak [soak]=soak [soaking]=soak
    ["an assigned device"]=device [probe]=device ["the report"]=device)
for test in abi state hostile isolation ipi; do step_of["selftest hpvm_${test}_test"]=selftests; done
for mode in ordinary held direct; do step_of["benchmark, $mode"]=bench; done
is_in() { # RUN PART
    case $2 in
    soaking) compgen -G "$runs/$1/tmp/*/host.1" >/dev/null ;;
    probe) [ "$(cat "$runs/$1/host/$device/driver_override")" = vfio-pci ] ;;
    *) [ "$(cat "$runs/$1"/tmp/*/part)" = "$2" ] ;;
    esac
}
interrupts() { # SHELL SIGNAL PART
    local DEVICE='' CPUS=1 text=$facts fake=''
    case $3 in
    "selftest hpvm_ipi_test") CPUS=1-3 ;;
    "the tracer") text='tracer_is() { mkfifo "$instance/it"; echo 1 >"$instance/it"; }' ;;
    "what is said of the host") text='host_json() { cat "$work/qmp.never" /dev/zero >/dev/null; }' ;;
    soaking) fake=soak ;;
    "an assigned device") DEVICE=1 text="$facts$nl"'echo >/dev/null
        device_driver=vfio-pci; find_device() { device_dir=$sys/bus/pci/devices/0000:03:00.0; }' ;;
    probe) DEVICE=1 ;;
    "the report") text="$facts$nl"'report() { sleep 4321; }' ;;
    esac
    running "$4" "$1" "${step_of[$3]}" "$3" "$fake" "$text"
    until_it 40 is_in "$4" "$3" && sleep 0.7
    kill -"$2" "$(cat "$runs/$4/pid")"
}
status_of() { echo $((128 + $(kill -l "$1"))); }
batch=()
interrupted() { # those that were started
    local run
    for run in "${batch[@]}"; do
        check "$run" over "$run" "$(status_of "${run##* }")"
        check "$run: it's said" said "Bail out! Interrupted (${run##* }); all is as it was"
        check "$run: so it is" is_back "$run"
    done
    batch=()
}
# Each of them, and in the other shell one by turns.
signals=(INT TERM HUP)
for shell in "${shells[@]}"; do
    for part in "${!step_of[@]}"; do
        these=("${signals[@]}")
        if [ "$shell" != dash ]; then
            [ "${step_of[$part]}" != selftests ] || continue
            these=("${signals[0]}")
            signals=("${signals[@]:1}" "${signals[0]}")
        fi
        for signal in "${these[@]}"; do
            run="${shell%% *}: $part: $signal"
            interrupts "$shell" "$signal" "$part" "$run" &
            batch+=("$run")
        done
        interrupted
    done
done
finish
