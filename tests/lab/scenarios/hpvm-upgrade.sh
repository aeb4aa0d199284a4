# shellcheck shell=sh
#: title   QEMU is replaced under a direct guest at work; and when that fails, the guest goes on
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

one 1-2
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
since=$(dedicated_since)
is "its TSC is the host's" "$(tsc_offsets)" 0

for n in $(seq "$UPGRADES"); do
    stage "upgrade $n"
    successor one 1-2
    upgrades "$n"
    second runs_well "$n"
    swap
    still_dedicated "$n"
    is "$n: its TSC is the host's still" "$(tsc_offsets)" 0
    free -m
done

ends_when_told 100
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
