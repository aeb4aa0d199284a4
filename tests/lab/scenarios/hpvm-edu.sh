# shellcheck shell=sh
#: title   an assigned device's MSI goes straight to the guest, wherever the guest moves it
#: kernel  hpvm
#: labs    svm
#: cpus    4
#: devices -device edu,addr=6
#: timeout 1800
#: groups  svm

# 'make check-long' raises 100,000.
: "${IRQS:=5000}" "${MOVE:=20}" "${PATIENCE:=300}"
check "the device can be assigned" assign_device 0000:00:06.0

measure_irqs one "irqs=2000" -accel kvm,hpvm=on,hpvm-cpus=1
check "at most 2 exits" hardly_any_exits 2
is "the host handled none" "$(host_irqs)" 0

# Three vCPUs, among which it moves while it fires.
measure_irqs moving "cpus=3 irqs=$IRQS move=$MOVE" -accel kvm,hpvm=on,hpvm-cpus=1-3 -smp 3
is "it moved" "$(figure moves)" $((IRQS / MOVE))
is "the host handled none" "$(host_irqs)" 0

# One that is raised while the vector is in service, and the guest left and entered.
run_irqs twice "cpus=2 irqs=1000 twice" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2

# Through the host, for comparison.
measure_irqs off "irqs=500" -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-irq=off
check "the host handled all" [ "$(host_irqs)" -ge 500 ]

# Not remapped to a guest any more, the device is the host's.
return_device 0000:00:06.0
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
