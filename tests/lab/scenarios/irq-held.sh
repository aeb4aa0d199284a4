# shellcheck shell=sh
#: title   from an assigned device's raising an interrupt to the guest's handler: an hpvm VM that is held
#: kernel  hpvm
#: labs    svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: exact   yes
#: devices -device edu,addr=6
#: timeout 900
#: groups  irq

HOLD=yes
check "the device can be assigned" assign_device 0000:00:06.0
measure_irqs irq "irqs=3000 pause=100000" -S -accel kvm,hpvm=on,hpvm-cpus=1
