# shellcheck shell=sh
#: title   an assigned disk's interrupts, one for each vCPU, go straight to a Linux guest
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1024
#: devices -drive if=none,id=disk,driver=null-co,size=64M,read-zeroes=on
#: devices -device nvme,drive=disk,serial=lab,max_ioqpairs=3,addr=5
#: timeout 900
#: groups  svm

DISK=0000:00:05.0
: "${READS:=500}"

read_disk() { timeout 10 dd if=/dev/nvme0n1 of=/dev/null bs=4k count=50 iflag=direct; }
irqs() { awk '/nvme0q/ { n += $2 + $3 + $4 } END { print n + 0 }' /proc/interrupts; }

# guest WORDS QEMU-ARGUMENT...: two vCPUs in direct mode.
guest() {
    words=$1
    shift
    linux_guest "idle=poll $words" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2 \
        -cpu "$LINUX_CPU" "$@"
}

# all_read: the guest has read what it should, an interrupt for each.
all_read() {
    check "$1: the guest read all" await_guest 200 "hpvm:.disk_irqs="
    is "$1: with an interrupt each" "$(figure disk_irqs)" "$(figure disk_reads)"
}

# The disk's entries in the interrupt-remapping table: the half that says what source is
# checked, and the other's lowest 16 bits, which say how the interrupt is delivered.
entries() { awk '$2 == "00:05.0" { print $5, substr($6, 13) }' "$REMAPPING_TABLE" | sort -u; }
sources() { entries | cut -d' ' -f1 | sort -u; }

check "the host's driver can use the disk" read_disk
host_entries=$(entries) host_sources=$(sources)
check "its interrupts are remapped" [ -n "$host_entries" ]
check "the disk can be assigned" assign_device $DISK

# Exits, after the driver was bound anew with resets in between, and after a queue's CPU was
# off, which masks its vector.
count_start
# shellcheck disable=SC2086  # several words
guest "hpvm.disk=$READS hpvm.disk_cycles=3 hpvm.cpu_cycles=2 hpvm.stay=1" $ASSIGNED
all_read quiet
is "the driver was bound anew" "$(figure disk_cycles)" 3
hmp info hpvm
check "its interrupts go straight to the vCPUs" [ "$(ways direct)" -ge 2 ]
check "the IOMMU's table says so" in_table $DISK
is "the source is checked as before" "$(sources)" "$host_sources"
hpvm-status
qmp quit
wait_guest 20
check "exits were counted" count_report disk
note "$(figure disk_irqs) interrupts of the disk, $(exits_said)"
check "at most 10 exits" hardly_any_exits 10

# While they fire: direct mode is left and entered, the guest stopped.
# shellcheck disable=SC2086  # several words
guest "hpvm.disk=$((READS * 5)) hpvm.stay=1" $ASSIGNED
check "the guest is up" await_guest 120 hpvm:.ready
for _ in $(seq 8); do
    qmp hpvm-set-mode '{"mode":"ordinary"}' >/dev/null
    nap
    held=$(ways direct)
    qmp hpvm-set-mode '{"mode":"auto"}' >/dev/null
    qmp stop >/dev/null
    nap
    qmp cont >/dev/null
done
is "held in ordinary mode, all interrupts go through the host" "$held" 0
all_read disturbed
check "afterwards they go straight again" [ "$(ways direct)" -ge 2 ]
qmp quit
wait_guest 20

# Plugged in while the guest runs, out, and in.
guest "hpvm.disk=$READS hpvm.stay=1"
check "a guest without the disk is up" await_guest 120 hpvm:.ready
add_disk() {
    qmp device_add "{\"driver\":\"vfio-pci\",\"id\":\"assigned\",\"host\":\"$DISK\"}" |
        grep -q '"return"'
}
no_disk() { ! qmp query-hpvm | grep -q '"way"'; }
has_disk() { [ "$(ways direct)" -ge 2 ]; }
add_disk
all_read plugged
qmp device_del '{"id":"assigned"}'
check "the disk can be unplugged" wait_for 20 no_disk
# Its name is free when the guest has let it go.
check "and plugged in again" wait_for 20 add_disk
check "its interrupts go straight again" wait_for 20 has_disk

# Killed while interrupts are there.
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 20 guest_ended
check "no CPU is dedicated" wait_for 20 none_dedicated
return_device $DISK
check "the disk is the host's again" wait_for 10 test -b /dev/nvme0n1
before=$(irqs)
check "which can read it" read_disk
is "the IOMMU's entries are as they were" "$(entries)" "$host_entries"
check "by interrupts" [ "$(irqs)" -ge $((before + 50)) ]
