# shellcheck shell=sh
#: title   from "cont" to the guest's first instruction: direct mode
#: kernel  hpvm
#: memory  1800
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: groups  bench

measure_cont -accel kvm,hpvm=on,hpvm-cpus=1
