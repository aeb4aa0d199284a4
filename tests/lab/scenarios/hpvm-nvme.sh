# shellcheck shell=sh
#: title   interrupts that the kernel manages, a queue of a disk for each CPU, leave a guest's CPU
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1024
#: devices -drive if=none,id=disk,driver=null-co,size=64M,read-zeroes=on
#: devices -device nvme,drive=disk,serial=lab,max_ioqpairs=3,addr=5
#: timeout 600
#: groups  check svm

QUEUE=
# The queue that only CPU 1 uses; a queue's number changes with the driver's binding.
find_queue() {
    for name in /proc/irq/*/nvme0q[1-9]; do
        irq=${name%/*}
        [ "$(cat "$irq/smp_affinity_list")" != 1 ] || QUEUE=$irq
    done
    [ -n "$QUEUE" ]
}
is_on() { [ "$(cat "$QUEUE/effective_affinity_list")" = "$1" ]; }
# How many of its interrupts there were, on CPU 1 and elsewhere.
raised() {
    awk -v irq="${QUEUE##*/}:" -v on="$1" '$1 == irq { print on ? $3 : $2 + $4 }' /proc/interrupts
}
read_disk() { taskset -c 1 timeout 10 dd if=/dev/nvme0n1 of=/dev/null bs=4k count=50 iflag=direct; }
rebind() {
    echo 0000:00:05.0 >/sys/bus/pci/drivers/nvme/unbind &&
        echo 0000:00:05.0 >/sys/bus/pci/drivers/nvme/bind &&
        wait_for 10 test -b /dev/nvme0n1 && find_queue
}

check "CPU 1 has a queue of its own" find_queue
check "before: its interrupt is there" is_on 1
n=$(raised 1)
check "before: the disk can be read from there" read_disk
check "before: that interrupts CPU 1" [ "$(raised 1)" -gt "$n" ]

direct_guest 120 ,-tsc-adjust
check "the interrupt has left" not is_on 1
is "its affinity is what it was" "$(cat "$QUEUE/smp_affinity_list")" 1
here=$(raised 1) there=$(raised)
check "the disk can still be read from CPU 1" read_disk
is "that doesn't interrupt CPU 1" "$(raised 1)" "$here"
check "but another one" [ "$(raised)" -gt "$there" ]
check "the driver can be bound anew" rebind
check "the new interrupt is elsewhere" not is_on 1
check "the disk can be read" read_disk
check "the guest is still in direct mode" hpvm_direct

kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 10 guest_ended
check "the interrupt is back" wait_for 5 is_on 1
n=$(raised 1)
check "the disk can be read afterwards" read_disk
check "that interrupts CPU 1" [ "$(raised 1)" -gt "$n" ]
check "the driver can be bound anew afterwards" rebind
check "the interrupt is on CPU 1 then" is_on 1
