# shellcheck shell=sh
#: title   IPIs by shorthand in a guest whose APIC IDs are of two clusters
#: kernel  hpvm
#: cpus    16
#: cmdline isolcpus=domain,managed_irq,1-15 nohz_full=1-15 rcu_nocbs=1-15 irqaffinity=0
#: timeout 900
#: groups  check
# Not in the svm lab: so many CPUs that spin are threads there, and don't get up in time; nor
# do 4 on a busy machine.

BROADCASTS=1000
# 3 cores take 2 bits of the ID: 0 to 2, 4 to 6, and so on.
measure_shorthands 15 18 -smp 15,sockets=5,cores=3
