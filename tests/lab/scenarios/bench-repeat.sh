# shellcheck shell=sh
#: title    the microbenchmark in direct mode again: the same figures
#: kernel   hpvm
#: cmdline  isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: exact    yes
#: witness  1
#: timeout  400
#: groups   long
#: compare  bench-hpvm

VCPUS=1
ROUNDS=100
measure_bench -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
