# shellcheck shell=sh
#: title   a CPU whose QEMU was killed is an ordinary CPU again
#: kernel  hpvm
#: labs    vmx svm
#: timeout 600
#: groups  check svm

# How many local timer interrupts CPU 1 has had.
loc() { awk '$1 == "LOC:" { print $3 }' /proc/interrupts; }

linux_guest "idle=poll hpvm.timers=100000000" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
check "the guest is up" await_guest 60 hpvm:.ready
sleep 1
hmp info hpvm
check "the guest is in direct mode" hpvm_direct
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 5 guest_ended

before=$(loc)
check "sleeping works on its CPU" taskset -c 1 timeout 10 sleep 1
check "computing works on its CPU" taskset -c 1 timeout 10 sha256sum /bin/busybox
check "its timer interrupts the host again" [ "$(loc)" -gt "$before" ]

# An ordinary VM there.
export PIN_CPU=1
export TIMERS=200
measure_timers ordinary "idle=poll" -accel kvm -cpu host,-monitor

# And one in direct mode again.
export TIMERS=200
unset PIN_CPU
measure_timers again "idle=poll" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
