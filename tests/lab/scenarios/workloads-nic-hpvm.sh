# shellcheck shell=sh
#: title   servers in a guest, by an assigned network card and QEMU's: direct mode
#: kernel  hpvm
#: labs    svm
#: memory  1024
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: devices -netdev hubport,id=guest,hubid=0 -netdev hubport,id=host,hubid=0
#: devices -device virtio-net-pci,netdev=guest,addr=7,iommu_platform=on,disable-legacy=on,romfile=
#: devices -device virtio-net-pci,netdev=host,addr=8,romfile=
#: loads   yes
#: timeout 1800
#: groups  workloads

VCPUS=1
ACCEL=kvm,hpvm=on,hpvm-cpus=1
served_by_cards -accel $ACCEL -cpu "$LINUX_CPU"
