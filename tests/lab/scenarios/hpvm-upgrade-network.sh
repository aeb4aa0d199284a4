# shellcheck shell=sh
#: title   QEMU is replaced under a guest whose assigned network card answers pings all the time
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: devices -netdev hubport,id=guest,hubid=0 -netdev hubport,id=host,hubid=0
#: devices -device virtio-net-pci,netdev=guest,addr=7,iommu_platform=on,disable-legacy=on,romfile=
#: devices -device virtio-net-pci,netdev=host,addr=8,romfile=
#: timeout 1800
#: groups  svm

: "${UPGRADES:=3}"
VCPUS=2
CARD=0000:00:07.0

# card_guest MIB QEMU-ARGUMENT...: its vCPUs write so much memory meanwhile.
card_guest() {
    busy=$1
    shift
    # shellcheck disable=SC2086  # several words
    linux_guest "idle=poll hpvm.timers=1000000 hpvm.period_us=20000 hpvm.busy=$busy hpvm.network=1" \
        -smp $VCPUS -accel kvm,hpvm=on,hpvm-cpus=1-2 -cpu "$LINUX_CPU" $SHARED_MEMORY $ASSIGNED \
        "$@"
}

# report_pings: each reply has its number. One that nothing came after was on its way when ping
# ended.
report_pings() {
    sed -n 's/^64 bytes .* seq=\([0-9]*\) .*/\1/p' /run/pings | sort -n -u >/run/replies
    sed -n '/statistics/,$p' /run/pings
    sent=$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' /run/pings)
    pings=$(($(tail -n 1 /run/replies) + 1))
    lost=$((pings - $(wc -l </run/replies)))
    note "$lost of $pings pings lost, the slowest took" \
        "$(sed -n 's/.* time=\([0-9]*\).*/\1/p' /run/pings | sort -n | tail -n 1) ms"
    data "pings $pings"
    data "pings_lost $lost"
    is "no ping was lost" "$lost" 0
    check "they were answered to the end" [ $((sent - pings)) -le 5 ]
}

check "the card can be assigned" assign_device $CARD
# The only one that is left.
for card in /sys/class/net/eth*; do
    ifconfig "${card##*/}" "$NET.1" netmask 255.255.255.0 up
done
card_guest 2
check "the guest is up" await_guest 120 hpvm:.ready
check "the guest answers" wait_for 20 ping -q -c 1 -W 1 "$NET.2"
ping -i 0.2 "$NET.2" >/run/pings &
PING_PID=$!
sleep 2
straight=$(ways direct)
check "its card's interrupts go straight" [ "$straight" -ge 2 ]
goes_straight begin "$straight"
check "the IOMMU's table says so" in_table $CARD

for n in $(seq "$UPGRADES"); do
    stage "upgrade $n"
    successor card_guest 2
    upgrades "$n"
    swap
    goes_straight "$n" "$straight"
    check "$n: the IOMMU's table says so" in_table $CARD
    check "$n: pings go on" kill -0 $PING_PID
done
data "upgrades $UPGRADES"

kill -INT $PING_PID
wait $PING_PID
report_pings
comes_to_its_end
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
return_device $CARD
