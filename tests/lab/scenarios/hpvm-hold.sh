# shellcheck shell=sh
#: title   an administrator holds all guests of the host in ordinary mode, and lets them go, many times
#: kernel  hpvm
#: labs    vmx svm
#: cpus    4
#: memory  1024
#: cmdline irqaffinity=0 log_buf_len=4M
#: devices -device edu,addr=6
#: timeout 7200
#: groups  check
#: groups.svm svm

# 'make check-long' does it 1,000 times.
: "${HOLDS:=20}"
MODE=/sys/module/kvm/parameters/hpvm

# states STATE: of how many vCPUs it's the one, by query-hpvm.
states() { qmp query-hpvm | grep -o "\"state\": \"$1\"" | wc -l; }
# direct_now: as the kernel says, which asks no vCPU.
direct_now() { cat /sys/kernel/debug/hpvm/cpu* | grep -c '^direct 1'; }
directs() { [ "$(direct_now)" = "$1" ]; }
goes_straight() { [ "$(ways direct)" = 1 ]; }
# knows_where N: of so many vCPUs. One that the emulator gives no CPU within 100 ms is asked again.
knows_where() {
    for _ in 1 2 3 4 5; do
        hpvm-status --where >/run/where
        [ "$(grep -c ' direct .* 0x[0-9a-f]*  ' /run/where)" != "$1" ] || return 0
    done
    return 1
}
# said MODE: how many lines of the kernel's log say so.
said() { dmesg | grep -c "kvm.hpvm=$1:"; }

# breathe: a short while, in which the guest's timer fires at least once in either mode.
breathe() { nap 0.03; }
# soon COMMAND...: until it succeeds, in $took hundredths of a second; the svm lab may get no CPU
# for seconds.
soon() {
    from=$(hundredths)
    until "$@"; do
        breathe
        took=$(($(hundredths) - from))
        [ $took -ge 2000 ] || continue
        head -n 100 $MODE /sys/kernel/debug/hpvm/cpu*
        hmp info hpvm
        return 1
    done
    took=$(($(hundredths) - from))
}
# holds TIMES VCPUS: all of them are ordinary within a second, and direct again by themselves.
holds() {
    good=0 worst=0 slowest=0 time=0
    while [ $time -lt "$1" ]; do
        echo hold >$MODE
        soon directs 0 && good=$((good + 1))
        [ $took -le $worst ] || worst=$took
        breathe
        echo auto >$MODE
        soon directs "$2" && good=$((good + 1))
        [ $took -le $slowest ] || slowest=$took
        breathe
        time=$((time + 1))
        [ $((time % 100)) != 0 ] || stage "held $time times"
    done
    is "each time all vCPUs were ordinary, and direct again" $good $(($1 * 2))
    # In real time, all CPUs of the host may have to wait for the machine's.
    [ "$LAB" = svm ] || check "ordinary within a second" [ $worst -le 100 ]
    note "$1 times held and let go; all were ordinary within $worst hundredths of a second, and" \
        "direct again within $slowest"
    data "holds $1"
}

is "by itself it's auto" "$(cat $MODE)" auto
check "nonsense is refused" not sh -c "echo nonsense 2>/dev/null >$MODE"
is "and changes nothing" "$(cat $MODE)" auto

stage "timers, and IPIs between two vCPUs; beside them another VM"
other_guest 3 oneshot
endless_guest 4 -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2 -cpu "$LINUX_CPU"
check "the guest is up" await_guest 120 hpvm:.ready
check "all vCPUs of both VMs are direct" wait_for 20 directs 3
check "hpvm-status knows where each is" knows_where 3
cat /run/where
echo hold >$MODE
check "QEMU tells that it's held, and why" event '"reasons": ["host-held"]'
check "all vCPUs of both are ordinary" wait_for 1 directs 0
is "query-hpvm says why" "$(qmp query-hpvm | grep -o '"reasons": \["host-held"\]' | wc -l)" 2
check "hpvm-status, too" sh -c "hpvm-status | grep -q host-held"
is "a line in the kernel's log" "$(said hold)" 1
echo auto >$MODE
check "QEMU tells that it's direct again" event '"state": "direct"'
check "all of them are" wait_for 5 directs 3
is "and the log" "$(said auto)" 1

# Both may hold it.
qmp hpvm-set-mode '{"mode":"ordinary"}' >/dev/null
check "held by QMP" wait_for 5 directs 1
echo hold >$MODE
check "and by the host" wait_for 5 directs 0
echo auto >$MODE
check "let go by the host, it's still held by QMP" wait_for 5 directs 1
nap
is "and stays so" "$(states ordinary)" 2
qmp hpvm-set-mode '{"mode":"auto"}' >/dev/null
check "let go by both" wait_for 5 directs 3

holds "$HOLDS" 3
is "the kernel's log has a line for each" "$(said hold) $(said auto)" "$((HOLDS + 2)) $((HOLDS + 2))"
ends_when_told 10
check "the other VM runs" directs 1

stage "nobody else gets the mode"
echo off >$MODE
check "the other VM is held" wait_for 1 directs 0
refused "a new one is refused, and told the way out" \
    "this host's administrator has switched direct mode off; write 'auto'" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
echo hold >$MODE
start_guest -S -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf \
    -append "oneshot count=2000000000"
check "one that waits for 'cont'" wait_for 20 guest_is prelaunch
echo off >$MODE
qmp cont | tee /run/answer
check "is refused then" grep -q "switched direct mode off" /run/answer
echo hold >$MODE
qmp cont
check "and starts, held" wait_for 5 hpvm_state ordinary
nap
is "none is direct" "$(direct_now)" 0
echo auto >$MODE
check "until it's let go" wait_for 5 directs 2
qmp quit
wait_guest 10
kill -9 "$OTHER_PID"
check "no CPU is left behind" wait_for 20 none_dedicated

if [ "$LAB" = svm ]; then
    stage "a device's interrupts, which move between two vCPUs, about 2 ms apart"
    check "the device can be assigned" assign_device 0000:00:06.0
    : "${PATIENCE:=$((120 + HOLDS))}"
    start_irqs device "cpus=2 irqs=$((HOLDS * 400)) move=20 pause=10000000" \
        -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2
    check "all vCPUs are direct" wait_for 20 directs 2
    is "the interrupt goes straight" "$(ways direct) direct, $(ways host) host" "1 direct, 0 host"
    echo hold >$MODE
    is "held, it goes through the host" "$(ways direct) direct, $(ways host) host" "0 direct, 1 host"
    echo auto >$MODE
    check "let go, it goes straight again" wait_for 5 goes_straight
    holds "$HOLDS" 2
    check "the guest was at it all along" not guest_said "hpvm:.done"
    end_irqs
    check "the host handled those of a held guest" [ "$(host_irqs)" -gt "$HOLDS" ]
    return_device 0000:00:06.0
    check "no CPU is left behind" wait_for 20 none_dedicated
fi
untripped
