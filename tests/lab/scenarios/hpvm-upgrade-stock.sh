# shellcheck shell=sh
#: title   hot upgrades from a QEMU without the stack to this one, and to one without it
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: devices -device edu,addr=6
#: files   {build}/qemu-stock/qemu-system-x86_64
#: timeout 900
#: groups  long

VCPUS=2
MONITOR=/run/monitor.socket
STOCK_QEMU=/files/qemu-system-x86_64
# The same in both modes.
ORDINARY_CPU=$LINUX_CPU,kvm-pv-eoi=off,kvm-pv-ipi=off,kvm-asyncpf=off,kvm-asyncpf-int=off
ORDINARY_CPU=$ORDINARY_CPU,kvm-poll-control=off

# one ACCEL-OPTIONS QEMU-ARGUMENT...
one() {
    accel=$1
    shift
    # shellcheck disable=SC2086  # several words
    endless_guest 2 -smp $VCPUS -accel "kvm$accel" -cpu "$ORDINARY_CPU" $SHARED_MEMORY \
        -qmp unix:$MONITOR,server=on,wait=off "$@"
}
DIRECT=,hpvm=on,hpvm-cpus=1-2
# goes_on NAME: the guest, in the old QEMU.
goes_on() {
    check "$1: the upgrade fails" wait_for 30 migration_is failed
    check "$1: the new QEMU ends" wait_for 30 second guest_ended
    sed 's/^/new| /' /run/qemu2.log
    rm -f "$CPR_SOCKET" "$SOCKET"
    check "$1: the guest runs" wait_for 20 guest_is running
}
# ends_well NAME: the guest, which has lost nothing.
ends_well() {
    echo >&8
    check "$1: the guest came to its end" await_guest 60 hpvm:.elapsed_us
    is "$1: each timer came" $(($(figure timers_fired) + $(figure timers_missed))) "$(figure timers)"
    check "$1: QEMU ends" wait_for 20 guest_ended
}

stage "from this QEMU to one without the stack"
one $DIRECT
check "to: the guest is up" await_guest 120 hpvm:.ready
runs_well to
pipes
tool to 1 $MONITOR $STOCK_QEMU
check "to: the new QEMU says why" said "kvm-accel.hpvm' not found"
runs_well to
return_path
QEMU=$STOCK_QEMU MONITOR=/run/monitor2.socket
successor one ""
passes_on unaware
goes_on unaware
check "unaware: the new QEMU says why" grep "Unknown savevm section or instance 'hpvm-cpr'" /run/qemu2.log
runs_well unaware
ends_well unaware

stage "from a QEMU without the stack"
MONITOR=/run/monitor.socket
one ""
check "from: the guest is up" await_guest 120 hpvm:.ready
pipes
tool direct 1 --change aux-ram-share=hpvm=on,hpvm-cpus=1-2,aux-ram-share $MONITOR /bin/qemu
check "direct: the new QEMU says why" said "has no CPUs of its own; leave hpvm=on out"
check "direct: the guest goes on" guest_is running
tool from 0 $MONITOR /bin/qemu
second_of_tool
swap
check "from: the guest runs" wait_for 20 guest_is running
is "from: in this QEMU" "$(qmp query-hpvm | grep -c '"enabled": false')" 1
ends_well from

stage "a device of a QEMU without the stack"
check "edu can be assigned" assign_device 0000:00:06.0
# shellcheck disable=SC2120  # 'successor' has some
edu_guest() {
    # shellcheck disable=SC2086  # several words
    start_guest -kernel /guest/irq.elf -append "cpus=2 irqs=4000000000 until_input" -cpu host -smp 2 \
        -accel kvm $SHARED_MEMORY $ASSIGNED "$@"
}
QEMU=$STOCK_QEMU
# shellcheck disable=SC2119
edu_guest
check "edu: the guest is up" await_guest 60 hpvm:.ready
QEMU=
successor edu_guest
passes_on edu
goes_on edu
check "edu: the new QEMU says why" grep "the old QEMU doesn't hand this device over" /run/qemu2.log
echo >&8
check "edu: the guest did all" await_guest 60 hpvm:.done
wait_guest 20
is "edu: none was lost" "$(figure irqs_lost)" 0
