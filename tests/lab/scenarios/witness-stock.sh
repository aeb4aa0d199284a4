# shellcheck shell=sh
#: title   the emulator's own count of VM exits agrees with the tracer's: stock KVM
#: kernel  stock
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: witness 1
#: groups  long

export PIN_CPU=1
measure_apic deadline "deadline count=200" -accel kvm -cpu host -overcommit cpu-pm=on
is "all interrupts arrived" "$(figure timers_fired)" 200
