# shellcheck shell=sh
#: title   a host CPU whose core has another thread: said, or refused
#: kernel  hpvm
#: labs    vmx
#: cpus    4
#: threads 2
#: timeout 600
#: groups  check

# The svm lab's emulator doesn't tell the host of its threads (topoext).
core=$(cat /sys/devices/system/cpu/cpu3/topology/thread_siblings_list)
is "CPU 3 shares its core with CPU 2" "$core" 2-3
hpvm-status --check >/run/checked
cat /run/checked
check "hpvm-status says which do" grep -q "2-3" /run/checked

refused "hpvm-smt=strict refuses the CPU" \
    "CPU 3 shares its core with CPU 2, not this VM's" \
    -accel kvm,hpvm=on,hpvm-cpus=3,hpvm-smt=strict -cpu host

# run WORDS: a guest in direct mode with these, which is killed then.
run() {
    # shellcheck disable=SC2086  # several words
    start_guest -cpu host -kernel /guest/apic.elf -append "deadline count=100000000" $1
    check "$1: the guest is up" await_guest 30 hpvm:.ready
    check "$1: the guest is in direct mode" hpvm_direct
    kill -9 "$GUEST_PID"
    wait "$GUEST_PID"
    cat /run/qemu.log
}
run "-accel kvm,hpvm=on,hpvm-cpus=3"
check "otherwise it's a warning" \
    grep -q "warning: hpvm: CPU 3 shares its core with CPU 2" /run/qemu.log
run "-accel kvm,hpvm=on,hpvm-cpus=2-3,hpvm-smt=strict -smp 2"
check "no warning when the VM has both" not grep -q warning: /run/qemu.log
echo 0 >/sys/devices/system/cpu/cpu2/online
run "-accel kvm,hpvm=on,hpvm-cpus=3,hpvm-smt=strict"
check "none when the other one is offline" not grep -q warning: /run/qemu.log
