# shellcheck shell=sh
#: title   from an assigned device's raising an interrupt to the guest's handler: direct mode
#: kernel  hpvm
#: labs    svm
#: exact   yes
#: devices -device edu,addr=6
#: timeout 900
#: groups  irq

check "the device can be assigned" assign_device 0000:00:06.0
measure_irqs irq "irqs=3000 pause=100000" -accel kvm,hpvm=on,hpvm-cpus=1
