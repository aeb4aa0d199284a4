# shellcheck shell=sh
#: title   a guest's assigned network card answers pings: direct mode
#: kernel  hpvm
#: labs    svm
#: memory  1024
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: devices -netdev hubport,id=guest,hubid=0 -netdev hubport,id=host,hubid=0
#: devices -device virtio-net-pci,netdev=guest,addr=7,iommu_platform=on,disable-legacy=on,romfile=
#: devices -device virtio-net-pci,netdev=host,addr=8,romfile=
#: timeout 600
#: groups  svm irq

: "${PINGS:=1000}"
check "the card can be assigned" assign_device 0000:00:07.0
measure_network network -accel kvm,hpvm=on,hpvm-cpus=1
# Of these some are nested page faults, which come once.
check "at most 30 exits" hardly_any_exits 30
