# shellcheck shell=sh
#: title   a guest at work migrates to another CPU: stock KVM, tuned
#: kernel  stock
#: cpus    3
#: memory  1536
#: cmdline isolcpus=domain,managed_irq,1-2 nohz_full=1-2 rcu_nocbs=1-2 irqaffinity=0
#: timeout 900
#: groups  bench

STOCK=yes
measure_migration
