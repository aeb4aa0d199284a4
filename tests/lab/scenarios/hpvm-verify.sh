# shellcheck shell=sh
#: title   hpvm-verify, as on a real host: what it finds, what it refuses, and that it puts all back
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: memory  1024
#: devices -device edu,addr=6
#: timeout 1200
#: groups  check
#: groups.svm svm
#: files.vmx {build}/selftests-hpvm/x86_64/hpvm_hostile_test
#: files.svm {build}/selftests-hpvm/x86_64/hpvm_abi_test
# The other one has limits in real time, which a busy machine exceeds.

# The lab's QEMU wants to be told where its firmware is.
printf '#!/bin/sh\nexec qemu -L /share "$@"\n' >/run/qemu-hpvm
chmod +x /run/qemu-hpvm
verify() { hpvm-verify --qemu /run/qemu-hpvm --guest /guest/bench.elf --selftests /files "$@"; }

# relay: its TAP, each check as one of ours.
relay() {
    while read -r line; do
        echo "$line"
        case $line in
        "ok "*" # SKIP "*) skip "hpvm-verify: ${line#*- }" ;;
        "ok "*) ok "hpvm-verify: ${line#*- }" ;;
        "not ok "*) not_ok "hpvm-verify: ${line#*- }" ;;
        esac
        case $line in
        *"ok "*) stage "$line" ;;
        "# "*exits:* | "# Verdict"*) note "${line#\# }" ;;
        esac
    done
}

# everything: what is to be the same afterwards, by few processes.
everything() {
    hpvm-status
    for file in /sys/devices/system/cpu/online /sys/devices/system/cpu/isolated \
        /sys/devices/system/cpu/nohz_full /sys/devices/virtual/workqueue/cpumask \
        /sys/module/kvm/parameters/hpvm* /proc/irq/*/smp_affinity \
        /sys/bus/pci/devices/*/driver_override /proc/[0-9]*/cmdline; do
        line=
        { read -r line <"$file"; } 2>/dev/null
        case $file in
        /proc/*/cmdline) [ -z "$line" ] || echo "a program: $line" ;;
        *) echo "$file: $line" ;;
        esac
    done
    echo /sys/bus/pci/devices/*/driver /sys/kernel/tracing/instances/*
    find / -xdev
    find /tmp /run -xdev
}
# is_as_before TEXT
is_as_before() {
    # QEMU's end is the kernel's work, too.
    wait_for 10 same_as_before
    check "$1: all is as it was" [ ! -s /run/differs ]
    cat /run/differs
}
same_as_before() {
    everything >/run/after
    diff /run/before /run/after >/run/differs
}

for file in said status verify.json pid differs after direct; do : >/run/$file; done
everything >/run/before
cat /run/before

stage "what it refuses"
# refuses TEXT ARGUMENT...
refuses() {
    text=$1
    shift
    verify "$@" >/run/said 2>&1
    is "refused: status" $? 2
    cat /run/said
    check "refused: $text" grep -q "$text" /run/said
}
refuses "CPU 0 stays the host's" --cpus 0,2
refuses "there is no CPU 3" --cpus 3
refuses "there is no QEMU" --cpus 1 --qemu /nowhere
echo 0 >/sys/devices/system/cpu/cpu2/online
refuses "CPU 2 is offline" --cpus 1,2
echo 1 >/sys/devices/system/cpu/cpu2/online
echo hold >/sys/module/kvm/parameters/hpvm
refuses "write 'auto' to" --cpus 1
echo auto >/sys/module/kvm/parameters/hpvm
is_as_before refused

stage "all of it"
device=
[ "$LAB" = vmx ] || device="--device 00:06.0"
# shellcheck disable=SC2086  # words
{ verify --cpus 1-2 $device --rounds "${ROUNDS:-20}" --seconds "${SOAK:-2}" \
    --output /run/verify.json 2>&1; echo $? >/run/status; } | tee /run/said | relay
is "it finds that all is well" "$(cat /run/status)" 0
check "and says so" grep -q "^# Verdict: direct mode does here what it does in the lab" /run/said
is_as_before "at the end"
is_json "and writes JSON" /run/verify.json
cat /run/verify.json
# Each event in direct mode, beside what the program has of the lab. An NMI is the host's.
awk -F'"exits": |, "lab": |, "reasons"' '/"exits_per_event", "mode": "direct"/ && !/nmi|NMI/ {
        n++
        if ($2 != $3)
            print "differs: " $0
    }
    END { print (n >= 12 ? "enough" : n + 0), "events" }' /run/verify.json >/run/direct
is "its exits in direct mode are those that it expects" "$(cat /run/direct)" "enough events"

# interrupted SIGNAL STATUS FILE ARGUMENT...: as soon as there is the file.
interrupted() {
    signal=$1 wanted=$2 file=$3
    shift 3
    : >/run/pid
    (
        wait_for 100 test -e "$file"
        sleep 1
        verify --cpus 1 --steps soak >/run/direct 2>&1
        kill -"$signal" "$(cat /run/pid)"
    ) &
    # shellcheck disable=SC2016  # that's for the other shell
    sh -c 'echo $$ >/run/pid; exec hpvm-verify "$@"' sh --qemu /run/qemu-hpvm \
        --guest /guest/bench.elf --selftests /files "$@" >/run/said 2>&1
    is "$signal: status" $? "$wanted"
    wait $!
    cat /run/said /run/direct
    check "$signal: it says that it was interrupted" grep -q "^Bail out! Interrupted ($signal)" /run/said
    check "$signal: and that all is as it was" grep -q "all is as it was" /run/said
    check "$signal: until then it was alone" grep -q "^hpvm-verify: " /run/direct
    is_as_before "$signal"
}
stage "interrupted"
interrupted INT 130 /sys/kernel/debug/hpvm/cpu1 --cpus 1-2 --steps soak --seconds 60
check "another one was told of its CPU" grep -q "CPU 1 is dedicated to" /run/direct
interrupted TERM 143 /sys/kernel/debug/hpvm/cpu2 --cpus 1-2 --steps selftests
interrupted QUIT 131 /sys/kernel/tracing/instances/hpvm-verify --cpus 1-2 --steps bench
# Nobody reads on.
verify --cpus 1-2 --steps soak --seconds 2 2>/run/said | head -n 9
cat /run/said
check "PIPE: it says so" grep -q "^Bail out! Interrupted (PIPE); all is as it was" /run/said
is_as_before PIPE
