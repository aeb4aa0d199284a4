# shellcheck shell=sh
#: title   an assigned device's MSI goes straight to the guest, by AMD's IOMMU
#: kernel  hpvm
#: labs    svm
#: iommu   amd
#: cpus    3
#: devices -device edu,addr=6
#: timeout 900
#: groups  svm

: "${PATIENCE:=300}"
check "the host remaps interrupts to x2APIC IDs" grep -q '^device_irqs 1' /sys/kernel/debug/hpvm/host
check "the device can be assigned" assign_device 0000:00:06.0
measure_irqs one "irqs=2000" -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-irq=on
check "at most 2 exits" hardly_any_exits 2
measure_irqs moving "cpus=2 irqs=2000 move=20" -accel kvm,hpvm=on,hpvm-cpus=1-2,hpvm-irq=on -smp 2
is "it moved" "$(figure moves)" 100
