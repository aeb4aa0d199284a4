# shellcheck shell=sh
#: title   a busy direct guest of 4 vCPUs migrates 20 times between two hosts
#: kernel  hpvm
#: labs    svm
#: hosts   2
#: cpus    5
#: memory  768
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: timeout 3000
#: groups  long

VCPUS=4
meet
travelling_guest
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
start_pings
for n in $(seq "${TRIPS:-10}"); do
    stage "$n"
    travels "there $n" b
    travels "back $n" a
done
end_pings
comes_to_its_end
