# shellcheck shell=sh
#: title   a CPU whose QEMU ends, is killed or crashes is an ordinary CPU again
#: kernel  hpvm
#: labs    vmx svm
#: timeout 600
#: groups.vmx long
#: groups.svm check svm

# check_given_back HOW
check_given_back() {
    check "$1: QEMU is gone" wait_for 5 guest_ended
    # The process counts as gone before its last thread is.
    check "$1: no CPU is dedicated" wait_for 5 none_dedicated
    before=$(loc)
    check "$1: sleeping works on its CPU" taskset -c 1 timeout 10 sleep 1
    check "$1: computing works on its CPU" taskset -c 1 timeout 10 sha256sum /bin/busybox
    check "$1: its timer interrupts the host again" [ "$(loc)" -gt "$before" ]
}

linux_guest "idle=poll hpvm.timers=100000000" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU"
check "the guest is up" await_guest 60 hpvm:.ready
sleep 1
hmp info hpvm
check "the guest is in direct mode" hpvm_direct
kill -9 "$GUEST_PID"
check_given_back KILL

# An ordinary VM there.
export PIN_CPU=1
export TIMERS=200
measure_timers ordinary "idle=poll" -accel kvm -cpu "$LINUX_CPU"

# And in direct mode again: as the host's shutdown ends it, and crashes.
case $LAB in
vmx) signals="SEGV" ;;
svm) signals="TERM SEGV ABRT" ;;
esac
for signal in $signals; do
    start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host \
        -kernel /guest/apic.elf -append "deadline count=100000000"
    check "$signal: the guest is up" await_guest 20 hpvm:.ready
    check "$signal: the guest is in direct mode" hpvm_direct
    kill -"$signal" "$GUEST_PID"
    check_given_back "$signal"
done
