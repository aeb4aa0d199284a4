# shellcheck shell=sh
#: title   servers in a guest, by an assigned network card and QEMU's: stock KVM, tuned
#: kernel  stock
#: labs    svm
#: memory  1024
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: devices -netdev hubport,id=guest,hubid=0 -netdev hubport,id=host,hubid=0
#: devices -device virtio-net-pci,netdev=guest,addr=7,iommu_platform=on,disable-legacy=on,romfile=
#: devices -device virtio-net-pci,netdev=host,addr=8,romfile=
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: loads   yes
#: timeout 1800
#: groups  workloads

VCPUS=1
PIN_CPU=1
ACCEL=kvm
served_by_cards -accel $ACCEL -cpu "$LINUX_CPU" -overcommit cpu-pm=on
