# shellcheck shell=sh
#: title   hot upgrades of a direct guest that fail: a wrong new QEMU, either one killed at each step, two at once
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: timeout 900
#: groups  check svm

VCPUS=2 WRAPPER=

# one SMP MACHINE ACCEL-OPTIONS QEMU-ARGUMENT...
one() {
    smp=$1 accel=$2
    shift 2
    # shellcheck disable=SC2086  # several words
    endless_guest 2 -smp "$smp" -accel "kvm$accel" -cpu "$LINUX_CPU" $SHARED_MEMORY "$@"
}
DIRECT=,hpvm=on,hpvm-cpus=1-2

# goes_on NAME: the migration has failed, the new QEMU has ended, and the guest is as it was.
goes_on() {
    check "$1: the migration fails" wait_for 30 migration_is failed
    cat /run/migration
    check "$1: the new QEMU ends" wait_for 30 second guest_ended
    sed 's/^/new| /' /run/qemu2.log
    rm -f "$CPR_SOCKET" "$SOCKET"
    runs_well "$1"
}
# refuses NAME SENTENCE: the new QEMU does, having read what it's to get.
refuses() {
    passes_on "$1"
    goes_on "$1"
    check "$1: the new QEMU says why" grep -q "$2" /run/qemu2.log
    is "$1: the guest wasn't stopped" "$(stops)" "$before_stops"
}
# stops: how often vCPU 0 was bound.
stops() { grep -c "^kvm_hpvm_bind vCPU 0" "$QEMU_LOG"; }

one 2 "$DIRECT" -trace kvm_hpvm_bind
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
capabilities
before_stops=$(stops)
is "vCPU 0 was bound once" "$before_stops" 1

stage "wrong new QEMUs"
successor one 2 ,hpvm=on,hpvm-cpus=2+1
refuses cpus "has CPU 1 for vCPU 0, which hpvm-cpus= doesn't say"
successor one 1 ,hpvm=on,hpvm-cpus=1
refuses smp "doesn't have 1 vCPUs"
successor one 2 ""
refuses ordinary "has CPUs of its own; add hpvm=on"
printf '#!/bin/sh\nulimit -v 150000\nexec "$@"\n' >/run/poor
chmod +x /run/poor
poor_one() {
    WRAPPER=/run/poor
    one "$@"
    WRAPPER=
}
successor poor_one 2 "$DIRECT"
refuses poor "annot"

stage "the new QEMU is killed before it has anything"
successor one 2 "$DIRECT"
check "early: the new QEMU waits" wait_for 20 successor_waits
kill -9 "$SECOND_PID"
check "early: it is gone" wait_for 20 second guest_ended
passes_on early
check "early: QEMU says so" grep -q '"error"' /run/answer
goes_on early

stage "the new QEMU is killed when it has the CPUs"
mlocked() { sed -n 's/^Mlocked: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
locked=$(mlocked)
second one 2 "$DIRECT" -incoming defer -incoming "$(socket_channel cpr "$CPR_SOCKET")"
passes_on late
check "late: the new QEMU has its monitor" wait_for 30 second guest_is inmigrate
pass_on ""
check "twice: there can't be a second upgrade at once" grep -q "process in progress" /run/answer
check "late: the guest runs meanwhile" guest_is running
check "late: both have locked its memory" second wait_for 20 memory_locked
note "late: $locked kB were locked, and $(mlocked) kB are"
check "late: which takes no second copy" [ $(($(mlocked) - locked)) -lt 196608 ]
is "late: the CPUs' holder is still the old QEMU" \
    "$(sed -n 's/^pid //p' /sys/kernel/debug/hpvm/cpu1)" "$GUEST_PID"
kill -9 "$SECOND_PID"
goes_on late
is "late: the guest wasn't stopped" "$(stops)" "$before_stops"

# Somebody who takes the guest's state, and does nothing with it: the guest is between the two.
ifconfig lo up
BETWEEN='{"channel-type":"main","addr":{"transport":"socket","type":"inet","host":"127.0.0.1","port":"4001"}}'
port_waits() { grep -q ":$1 00000000:0000 0A" /proc/net/tcp; }
# stops_between NAME
stops_between() {
    nc -l -p 4001 -e sleep 1000 &
    TAKER=$!
    check "$1: somebody listens" wait_for 10 port_waits 0FA1
    successor one 2 "$DIRECT"
    passes_on "$1" "$BETWEEN"
    check "$1: the guest has stopped" wait_for 30 guest_is finish-migrate
    check "$1: its CPUs are dedicated" test -e /sys/kernel/debug/hpvm/cpu1
    is "$1: and nobody's" "$(sed -n 's/^direct //p' /sys/kernel/debug/hpvm/cpu1)" 0
}

stage "the new QEMU is killed while the guest is between the two"
return_path
stops_between between
kill -9 "$SECOND_PID" $TAKER
goes_on between
is "between: vCPU 0 was bound again" "$(stops)" 2

stage "held and paused, it stays so"
qmp hpvm-set-mode '{"mode":"ordinary"}'
qmp stop
successor one 2 "$DIRECT" -trace kvm_hpvm_bind
upgrades held
second wait_for 20 guest_is paused
swap
is "held: it is paused there" "$(qmp query-status | grep -c '"status": "paused"')" 1
qmp cont
check "held: it runs" wait_for 20 guest_is running
check "held: it is held there" hpvm_state ordinary
qmp hpvm-set-mode '{"mode":"auto"}'
runs_well held

stage "the new QEMU is killed when the guest runs there"
return_path
successor one 2 "$DIRECT"
passes_on after
check "after: the upgrade is complete" wait_for 60 migration_is completed
second runs_well after
qmp cont | tee /run/answer
check "after: the old QEMU can't have it go on" grep -q "has run in another QEMU" /run/answer
kill -9 "$SECOND_PID"
check "after: the new QEMU is gone" wait_for 20 second guest_ended
qmp cont | tee /run/answer
check "after: not even then" grep -q "has run in another QEMU" /run/answer
qmp quit
check "after: the old QEMU ends" wait_for 20 guest_ended
check "after: the CPUs are the host's" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu1
rm -f "$CPR_SOCKET" "$SOCKET"

stage "the old QEMU is killed while the guest is between the two"
one 2 "$DIRECT"
check "again: the guest is up" await_guest 120 hpvm:.ready
return_path
stops_between old
kill -9 "$GUEST_PID"
check "old: it is gone" wait_for 20 guest_ended
check "old: the new one has the CPUs" test -e /sys/kernel/debug/hpvm/cpu1
second qmp quit
kill -9 $TAKER
check "old: the new QEMU ends" wait_for 20 second guest_ended
check "old: the CPUs are the host's" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu1
rm -f "$CPR_SOCKET"

stage "the old QEMU is killed when the new one has a part of the guest's state"
# shellcheck disable=SC2120  # 'second' has some
short_guest() {
    # shellcheck disable=SC2086  # several words
    start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf \
        -append "count=1000000000" $SHARED_MEMORY "$@"
}
# Who takes the state passes on so much of it.
mkfifo /run/part
printf '#!/bin/sh\nhead -c 8000 >/run/part\nexec sleep 1000\n' >/run/taker
chmod +x /run/taker
# shellcheck disable=SC2119
short_guest
check "part: the guest is up" await_guest 20 hpvm:.ready
return_path
second short_guest -incoming tcp:127.0.0.1:4002 -incoming "$(socket_channel cpr "$CPR_SOCKET")"
nc -l -p 4001 -e /run/taker &
TAKER=$!
sleep 1000 <>/run/part &
HOLDER=$!
check "part: somebody listens" wait_for 10 port_waits 0FA1
passes_on part "$BETWEEN"
check "part: the new QEMU listens" wait_for 30 port_waits 0FA2
nc 127.0.0.1 4002 </run/part >/dev/null &
check "part: the guest has stopped" wait_for 30 guest_is finish-migrate
sleep 1
kill -9 "$GUEST_PID"
check "part: the old QEMU is gone" wait_for 20 guest_ended
check "part: the new one waits for more" second guest_alive
check "part: and has the CPU" test -e /sys/kernel/debug/hpvm/cpu1
kill -9 $HOLDER
check "part: nobody sends more, and it ends" wait_for 20 second guest_ended
cat /run/qemu2.log
check "part: it says why" grep -q "load of migration failed" /run/qemu2.log
check "part: the CPU is the host's" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu1
kill -9 $TAKER
rm -f "$CPR_SOCKET"

stage "the old QEMU is killed when the guest has arrived"
one 2 "$DIRECT"
check "arrived: the guest is up" await_guest 120 hpvm:.ready
return_path
successor one 2 "$DIRECT"
passes_on arrived
check "arrived: the upgrade is complete" wait_for 60 migration_is completed
kill -9 "$GUEST_PID"
check "arrived: the old QEMU is gone" wait_for 20 guest_ended
second runs_well arrived
rm -f "$CPR_SOCKET" "$SOCKET"
swap
ends_when_told 10
check "arrived: the CPUs are the host's" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu1

stage "a guest that has never run"
one 2 "$DIRECT" -S
check "new: it waits" wait_for 20 guest_is prelaunch
check "new: without CPUs" not test -e /sys/kernel/debug/hpvm/cpu1
return_path
successor one 2 "$DIRECT"
passes_on new
check "new: the upgrade is complete" wait_for 60 migration_is completed
check "new: it waits there" second wait_for 20 guest_is prelaunch
check "new: with CPUs" test -e /sys/kernel/debug/hpvm/cpu1
second qmp cont
check "new: it runs there" second wait_for 20 guest_is running
kill -9 "$SECOND_PID"
check "new: the new QEMU is gone" wait_for 20 second guest_ended
qmp cont | tee /run/answer
check "new: the old QEMU can't have it go on" grep -q "has run in another QEMU" /run/answer
qmp quit
wait_guest 20
rm -f "$CPR_SOCKET" "$SOCKET"

stage "an ordinary guest, to a new QEMU with direct mode"
one 2 "" -trace runstate_set
check "plain: the guest is up" await_guest 120 hpvm:.ready
successor one 2 "$DIRECT"
passes_on plain
check "plain: the migration fails" wait_for 30 migration_is failed
check "plain: the new QEMU ends" wait_for 30 second guest_ended
cat /run/qemu2.log
check "plain: the new QEMU says why" \
    grep -q "has no CPUs of its own; leave hpvm=on out" /run/qemu2.log
rm -f "$CPR_SOCKET" "$SOCKET"
check "plain: the guest runs" guest_is running
is "plain: it wasn't stopped" "$(grep -c finish-migrate "$QEMU_LOG")" 0
check "plain: no CPU is dedicated" not test -e /sys/kernel/debug/hpvm/cpu1
sleep 2
ends_when_told 10

stage "memory that can't be handed over"
start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf \
    -append "count=1000000000"
check "own: the guest is up" await_guest 20 hpvm:.ready
pass_on ""
check "own: QEMU says what it takes" grep -q "aux-ram-share=on is required" /run/answer
check "own: the guest runs on, direct" hpvm_direct
qmp quit
wait_guest 20
