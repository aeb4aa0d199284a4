# shellcheck shell=sh
#: title   from "cont" to the guest's first instruction: stock KVM
#: kernel  stock
#: memory  1800
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: groups  bench

STOCK=yes
measure_cont -accel kvm -overcommit cpu-pm=on
