# shellcheck shell=sh
#: title   a direct guest migrates: to other CPUs, cancelled, refused, to a file and back, to ordinary KVM and back, by postcopy
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1280
#: timeout 900
#: groups  check svm

# One guest all the time, whose timers are counted: each wakes it, or it says that it came too
# late for it. None may be early.
TIMERS=6000
PERIOD_US=20000
DIRECT_CPU=$LINUX_CPU
# What hpvm=on withholds, by hand.
ORDINARY_CPU=$LINUX_CPU,kvm-pv-eoi=off,kvm-pv-ipi=off,kvm-asyncpf=off,kvm-asyncpf-int=off
ORDINARY_CPU=$ORDINARY_CPU,kvm-poll-control=off,tsc-deadline=off

# direct_one CPU QEMU-ARGUMENT...
direct_one() {
    cpu=$1
    shift
    linux_guest "idle=poll hpvm.timers=$TIMERS hpvm.period_us=$PERIOD_US" \
        -accel kvm,hpvm=on,hpvm-cpus="$cpu" -cpu "$DIRECT_CPU" "$@"
}
ordinary_one() {
    linux_guest "idle=poll hpvm.timers=$TIMERS hpvm.period_us=$PERIOD_US" \
        -accel kvm -cpu "$ORDINARY_CPU" "$@"
}

# stores NAME: the guest in a file, and goes.
stores() {
    qmp migrate '{"uri":"file:/run/state"}'
    check "$1: the guest is in a file" wait_for 120 migration_is completed
    qmp quit
    check "$1: QEMU ends" wait_for 20 guest_ended
}

direct_one 1
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin

stage "to a CPU that is taken"
second direct_one 1 -incoming unix:/run/migration.socket
sets_out taken
check "taken: the migration fails" wait_for 60 migration_is failed
cat /run/migration
check "taken: the destination ends" wait_for 20 second guest_ended
cat /run/qemu2.log
check "taken: it says why" grep -q "CPU 1 is already dedicated to VM 'guest' (pid $GUEST_PID)" \
    /run/qemu2.log
rm -f /run/migration.socket
runs_well taken

stage "cancelled"
second direct_one 2 -incoming unix:/run/migration.socket
qmp migrate-set-parameters '{"max-bandwidth":2000000}'
sets_out cancelled
check "cancelled: it is under way" wait_for 20 migration_is active
sleep 3
check "cancelled: it still is" migration_is active
cat /run/migration
qmp migrate_cancel
check "cancelled: it is" wait_for 20 migration_is cancelled
check "cancelled: the destination ends" wait_for 20 second guest_ended
rm -f /run/migration.socket
runs_well cancelled
qmp migrate-set-parameters '{"max-bandwidth":1000000000}'

stage "to another CPU"
second direct_one 2 -incoming unix:/run/migration.socket
check "memory is mapped before the guest comes" wait_for 20 second memory_mapped
moves moved
second runs_well moved
check "the source's CPU is free" not test -e /sys/kernel/debug/hpvm/cpu1

stage "to a file, and back 3 s later"
second stores stored
sleep 3
direct_one 1 -incoming file:/run/state
runs_well stored

stage "to ordinary KVM, and back"
second ordinary_one -incoming unix:/run/migration.socket
moves ordinary
check "ordinary: the guest runs" wait_for 20 second guest_is running
sleep 2
second stores back
direct_one 1 -incoming file:/run/state
runs_well back

stage "postcopy"
second direct_one 2 -incoming defer
parameters '"max-bandwidth":4000000,"max-postcopy-bandwidth":0'
prepare postcopy-ram
sets_out postcopy
begins_postcopy postcopy
completes postcopy 60
second runs_well postcopy
swap

check "the guest came to its end" await_guest 240 hpvm:.elapsed_us
wait_guest 30
is "QEMU ended well" $? 0
is "no timer was lost" $(($(figure timers_fired) + $(figure timers_missed))) "$TIMERS"
note "$(figure timers_missed) of $TIMERS timers missed, $(figure worst_late_us) us late at most"
# In postcopy it waits for pages.
check "most were in time" [ $(($(figure timers_fired) * 10)) -gt $((TIMERS * 7)) ]
