# shellcheck shell=sh
#: title   a busy direct guest of two vCPUs migrates to another host, and back
#: kernel  hpvm
#: labs    svm
#: hosts   2
#: cpus    3
#: memory  768
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: timeout 400
#: groups  svm

meet
travelling_guest
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
start_pings
travels there b
travels back a
end_pings
comes_to_its_end
