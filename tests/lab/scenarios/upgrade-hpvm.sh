# shellcheck shell=sh
#: title   the QEMU of a guest at work is replaced: direct mode
#: kernel  hpvm
#: cpus    3
#: memory  1536
#: cmdline isolcpus=domain,managed_irq,1-2 nohz_full=1-2 rcu_nocbs=1-2 irqaffinity=0
#: timeout 900
#: groups  bench

measure_upgrade
