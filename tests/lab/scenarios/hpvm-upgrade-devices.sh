# shellcheck shell=sh
#: title   QEMU is replaced under guests with assigned devices, whose interrupts and DMA go on
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: devices -device edu,addr=6
#: devices -drive if=none,id=disk,driver=null-co,size=64M,read-zeroes=on,snapshot=on
#: devices -device nvme,drive=disk,serial=lab,max_ioqpairs=3,addr=5
#: timeout 1800
#: groups  svm

: "${UPGRADES:=3}" "${DEVICES:=edu disk masked both}"
VCPUS=2
EDU=0000:00:06.0 DISK=0000:00:05.0
SERIAL_INPUT=/run/input
mkfifo $SERIAL_INPUT
exec 8<>$SERIAL_INPUT

# upgrade NAME INTERRUPTS WORD...: of the guest that the word starts.
upgrade() {
    name=$1 interrupts=$2
    shift 2
    successor "$@"
    upgrades "$name"
    swap
    goes_straight "$name" "$interrupts"
}

# fails NAME INTERRUPTS: the guest goes on in the old QEMU.
fails() {
    check "$1: the new QEMU is gone" second wait_for 20 guest_ended
    second wait_guest 10
    rm -f "$SOCKET" "$CPR_SOCKET"
    goes_straight "$@"
}

kill_successor() { second eval "kill -9 \"\$GUEST_PID\""; }
# has_devices: the successor has got the old QEMU's.
# shellcheck disable=SC2010  # the names are numbers
has_devices() { ls -l /proc/"$SECOND_PID"/fd | grep -q ' /dev/vfio/'; }

# A log that is a pipe with room for one line: whoever writes a second one waits.
FULL_LOG=/run/full
fill_log() {
    mkfifo $FULL_LOG
    sleep 1000 <>$FULL_LOG &
    LOG_HOLDER=$!
    dd if=/dev/zero of=$FULL_LOG bs=4096 count=15
    head -c 3956 /dev/zero >$FULL_LOG
}
# writes: the successor's main thread is in write().
writes() {
    read -r call _ </proc/"$SECOND_PID"/syscall
    [ "$call" = 1 ]
}
log_lines() {
    timeout 1 cat $FULL_LOG | tr -d '\0' | grep -c vfio_cpr_take_mapping
    kill "$LOG_HOLDER"
    rm $FULL_LOG
}

# upgrade_all DEVICE INTERRUPTS WORD...: so often, paused, and each way that it fails.
upgrade_all() {
    device=$1 interrupts=$2
    shift 2
    for n in $(seq "$UPGRADES"); do
        stage "$device: upgrade $n"
        upgrade "$n" "$interrupts" "$@"
    done

    stage "$device: the new QEMU is killed before it has the device"
    successor "$@"
    check "unborn: the new QEMU waits" wait_for 20 successor_waits
    kill_successor
    pass_on_to_nobody
    fails unborn "$interrupts"

    stage "$device: the new QEMU is killed when it has the device"
    successor "$@"
    passes_on killed
    check "killed: the new QEMU has the device" wait_for 20 has_devices
    kill_successor
    check "killed: the upgrade fails" wait_for 60 migration_is failed
    fails killed "$interrupts"

    stage "$device: the new QEMU is killed before it starts the guest"
    successor "$@" -S
    passes_on late
    check "late: the guest has been handed over" wait_for 60 migration_is completed
    check "late: the guest stands still there" second wait_for 20 guest_is paused
    kill_successor
    check "late: the new QEMU ends" second wait_for 20 guest_ended
    qmp cont
    fails late "$interrupts"

    stage "$device: the new QEMU is killed when it has taken mappings of memory"
    fill_log
    successor "$@" -trace vfio_cpr_take_mapping -D $FULL_LOG
    passes_on mapped
    check "mapped: the guest has been handed over" wait_for 60 migration_is completed
    check "mapped: the new QEMU takes the mappings" wait_for 20 writes
    kill_successor
    check "mapped: the new QEMU is gone" second wait_for 20 guest_ended
    is "mapped: it had taken the first" "$(log_lines)" 1
    qmp cont
    fails mapped "$interrupts"

    stage "$device: a paused guest, whose new QEMU is killed"
    qmp stop
    successor "$@"
    passes_on paused
    check "paused: the guest has been handed over" wait_for 60 migration_is completed
    check "paused: it is paused there" second wait_for 20 guest_is paused
    kill_successor
    check "paused: the new QEMU ends" second wait_for 20 guest_ended
    qmp cont
    fails paused "$interrupts"

    stage "$device: a paused guest"
    qmp stop
    successor "$@"
    upgrades stopped
    swap
    sleep 1
    check "stopped: the guest is paused there" guest_is paused
    qmp cont
    goes_straight stopped "$interrupts"

    stage "$device: upgrade after that"
    upgrade again "$interrupts" "$@"
}
pass_on_to_nobody() {
    parameters '"mode":"cpr-transfer"'
    qmp migrate "{\"channels\":[$(socket_channel main "$SOCKET"),$(socket_channel cpr "$CPR_SOCKET")]}"
}

edu_guest() {
    words=$1
    shift
    # shellcheck disable=SC2086  # several words
    start_guest -kernel /guest/irq.elf -append "cpus=2 irqs=4000000000 until_input $words" \
        -cpu host -smp $VCPUS -accel kvm,hpvm=on,hpvm-cpus=1-2 $SHARED_MEMORY $ASSIGNED "$@"
}

disk_guest() {
    words=$1
    shift
    # shellcheck disable=SC2086  # several words
    linux_guest "idle=poll hpvm.until_input=1 $words" -smp $VCPUS \
        -accel kvm,hpvm=on,hpvm-cpus=1-2 -cpu "$LINUX_CPU" $SHARED_MEMORY $ASSIGNED "$@"
}

edu() {
    check "edu can be assigned" assign_device $EDU
    edu_guest intx
    check "intx: the guest is up" await_guest 60 hpvm:.ready
    sleep 1
    pass_on_to_nobody | tee /run/answer
    check "intx: the upgrade is refused" grep -q 'uses the device.s INTx' /run/answer
    echo >&8
    check "intx: the guest did all" await_guest 60 hpvm:.done
    wait_guest 20
    is "intx: none was lost" "$(figure irqs_lost)" 0

    edu_guest move=50
    check "edu: the guest is up" await_guest 60 hpvm:.ready
    goes_straight edu 1
    upgrade_all edu 1 edu_guest move=50
    echo >&8
    check "edu: the guest did all" await_guest 60 hpvm:.done
    wait_guest 20
    is "edu: QEMU ended well" $? 0
    note "$(figure irqs_raised) interrupts raised"
    check "edu: it raised interrupts" [ "$(figure irqs_raised)" -gt 10000 ]
    is "edu: every interrupt was handled, once" "$(figure irqs_handled)" "$(figure irqs_raised)"
    is "edu: none was lost" "$(figure irqs_lost)" 0
    is "edu: no interrupt but the expected" "$(figure unexpected)" 0
    is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
    data "edu.upgrades $UPGRADES"
    data "edu.irqs_raised $(figure irqs_raised)"
    data "edu.irqs_handled $(figure irqs_handled)"
    return_device $EDU
}

assign_disk() {
    # Each block begins with its number.
    seq 0 1023 | awk '{ printf "%-4096d", $1 }' | dd of=/dev/nvme0n1 bs=1M iflag=fullblock conv=fsync
    check "the disk can be assigned" assign_device $DISK
}
return_disk() {
    is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
    return_device $DISK
    check "the disk is the host's again" wait_for 10 test -b /dev/nvme0n1
    check "which can read it" read_disk
}
read_disk() { timeout 10 dd if=/dev/nvme0n1 of=/dev/null bs=4k count=50 iflag=direct; }

disk() {
    assign_disk
    disk_guest hpvm.disk=500
    check "disk: the guest is up" await_guest 120 hpvm:.ready
    sleep 2
    queues=$(ways direct)
    check "disk: its queues' interrupts go straight" [ "$queues" -ge 2 ]
    goes_straight disk "$queues"
    check "disk: the IOMMU's table says so" in_table $DISK
    upgrade_all disk "$queues" disk_guest hpvm.disk=500
    check "disk: the IOMMU's table says so" in_table $DISK
    echo >&8
    check "disk: the guest read all" await_guest 120 "hpvm:.disk_irqs="
    wait_guest 60
    is "disk: QEMU ended well" $? 0
    note "$(figure disk_reads) blocks read"
    is "disk: with an interrupt each" "$(figure disk_irqs)" "$(figure disk_reads)"
    is "disk: each block was right" "$(figure disk_known)" "$(figure disk_reads)"
    return_disk
}

# A queue's vector is masked while its CPU is off.
masked() {
    assign_disk
    RESTS="hpvm.disk=500 hpvm.cpus_off=1"
    disk_guest "$RESTS"
    check "masked: the guest's second CPU is off" await_guest 120 hpvm:.cpus_off=1
    sleep 1
    left=$(ways direct)
    check "masked: an interrupt is, and others go straight" [ "$left" -ge 1 ]
    successor disk_guest "$RESTS"
    upgrades masked
    swap
    check "masked: the guest runs" wait_for 30 guest_is running
    # The other vCPU has never run there.
    check "masked: its first vCPU is direct" hpvm_direct
    is "masked: the interrupts left go straight" "$(ways direct) direct, $(ways host) host" \
        "$left direct, 0 host"
    echo >&8
    check "unmasked: the CPU is on again" await_guest 30 hpvm:.cpus_off=0
    sleep 2
    goes_straight unmasked $((left + 1))
    check "unmasked: the IOMMU's table says so" in_table $DISK
    echo >&8
    check "unmasked: the guest read all" await_guest 120 "hpvm:.disk_irqs="
    wait_guest 60
    is "unmasked: with an interrupt each" "$(figure disk_irqs)" "$(figure disk_reads)"
    is "unmasked: each block was right" "$(figure disk_known)" "$(figure disk_reads)"
    return_disk
}

both() {
    assign_disk
    disk_guest hpvm.disk=500
    check "both: the guest is up" await_guest 120 hpvm:.ready
    sleep 2
    successor disk_guest hpvm.disk=500
    passes_on both
    check "both: the new QEMU has the device" wait_for 20 has_devices
    kill_successor
    kill -9 "$GUEST_PID"
    check "both: the new QEMU is gone" wait_for 20 second guest_ended
    check "both: so is the old one" wait_for 20 guest_ended
    rm -f "$SOCKET" "$CPR_SOCKET"
    check "both: the CPUs are the host's" wait_for 20 none_dedicated
    return_disk
}

for part in $DEVICES; do
    $part
done
