# shellcheck shell=sh
#: title   servers in a guest, by an assigned network card and QEMU's: stock KVM as it comes
#: kernel  stock
#: hosts   2
#: labs    svm
#: memory  1024
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: devices.a -netdev stream,id=card,addr.type=unix,addr.path=../cable,server=on
#: devices.a -device virtio-net-pci,netdev=card,addr=7,iommu_platform=on,disable-legacy=on,romfile=
#: devices.b -netdev stream,id=card,addr.type=unix,addr.path=../cable,server=off,reconnect-ms=100
#: devices.b -device virtio-net-pci,netdev=card,addr=8,romfile=
#: loads   yes
#: timeout 1800
#: groups  workloads

VCPUS=1
ACCEL=kvm
served_by_cards -accel $ACCEL -cpu "$LINUX_CPU"
