# shellcheck shell=sh
#: title   QEMU is replaced under a direct guest at work, and one that has migrated, but not during that
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: timeout 900
#: groups  check svm

UPGRADES=${UPGRADES:-3}
VCPUS=2

# one CPUS QEMU-ARGUMENT...
one() {
    cpus=$1
    shift
    # shellcheck disable=SC2086  # several words
    endless_guest 2 -smp $VCPUS -accel "kvm,hpvm=on,hpvm-cpus=$cpus" -cpu "$LINUX_CPU" \
        $SHARED_MEMORY "$@"
}

# dedicated_since: in hundredths of seconds after the host's start, CPU 1 is dedicated.
dedicated_since() {
    for_long=$(sed -n 's/^nanoseconds //p' /sys/kernel/debug/hpvm/cpu1)
    echo $(($(hundredths) - for_long / 10000000))
}
# still_dedicated NAME: it is for as long as ever, but for what the two questions are apart.
still_dedicated() {
    moved=$(($(dedicated_since) - since))
    note "$1: CPU 1 is dedicated since then, and $moved hundredths of a second"
    check "$1: CPU 1 is dedicated since the guest's start" [ "${moved#-}" -lt 100 ]
}

# record: which tasks the guest's CPUs run, and the host's timer interrupts there, from now on.
RECORD=/sys/kernel/tracing/instances/host
record() {
    if [ ! -d $RECORD ]; then
        mkdir $RECORD
        echo 6 >$RECORD/tracing_cpumask
        echo 1 >$RECORD/events/irq_vectors/local_timer_entry/enable
        echo 1 >$RECORD/events/sched/sched_switch/enable
    fi
    echo >$RECORD/trace
}
# undisturbed NAME: vCPUs' threads alone, or the kernel's that belong there; and none.
undisturbed() {
    cat $RECORD/trace >/run/record
    sed -n 's/^.* next_comm=\(.*\) next_pid=.*/\1/p' /run/record >/run/tasks
    sort /run/tasks | uniq -c
    check "$1: the record has the new QEMU's vCPUs" grep -q "^CPU 1/KVM" /run/tasks
    is "$1: no task but vCPUs ran on the guest's CPUs" \
        "$(grep -v -e "^CPU ./KVM" -e ^swapper -e "^[a-z]*/[12]\(:\|$\)" /run/tasks | sort -u)" ""
    is "$1: nor a timer of the host's" "$(grep -c local_timer_entry: /run/record)" 0
}

one 1-2
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
since=$(dedicated_since)
is "its TSC is the host's" "$(tsc_offsets)" 0

for n in $(seq "$UPGRADES"); do
    stage "upgrade $n"
    record
    successor one 1-2
    upgrades "$n"
    undisturbed "$n"
    second runs_well "$n"
    swap
    still_dedicated "$n"
    is "$n: its TSC is the host's still" "$(tsc_offsets)" 0
    free -m
done

# Memory that is missing would end the guest, which compares what it has written.
stage "an upgrade while the guest migrates, to a file"
qmp migrate-set-parameters '{"max-bandwidth":2000000}'
qmp migrate '{"uri":"file:/run/state"}'
check "file: the guest is on its way" wait_for 20 migration_is active
qmp migrate-set-parameters '{"mode":"cpr-transfer"}' | tee /run/answer
check "file: QEMU refuses to prepare an upgrade" grep -q "mode can't be changed" /run/answer
pass_on ""
check "file: and the upgrade itself" grep -q "migration process in progress" /run/answer
check "file: the migration goes on" migration_is active
check "file: and the guest runs" guest_is running
qmp migrate-set-parameters '{"max-bandwidth":1000000000}'
check "file: the guest has gone" wait_for 120 migration_is completed
qmp quit
check "file: QEMU ends" wait_for 20 guest_ended

stage "from the file, and an upgrade with a TSC that isn't the host's"
sleep 2
one 1-2 -incoming file:/run/state
runs_well back
rm /run/state
offset=$(tsc_offsets)
note "back: the offset of the guest's TSC is $offset"
is "back: all vCPUs have one TSC" "$(echo "$offset" | wc -l)" 1
check "back: which isn't the host's" [ "$offset" != 0 ]
for n in offset again; do
    successor one 1-2
    upgrades $n
    second runs_well $n
    swap
    is "$n: its TSC's offset is what it was" "$(tsc_offsets)" "$offset"
done

ends_when_told 100
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
