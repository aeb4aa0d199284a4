# shellcheck shell=sh
#: title   the emulator's own count of VM exits agrees with the tracer's: direct mode
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: witness 1
#: groups  long

measure_apic deadline "deadline count=200" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
is "all interrupts arrived" "$(figure timers_fired)" 200
check "at most 2 exits" [ "$(exits_total)" -le 2 ]
