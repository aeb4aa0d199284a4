# shellcheck shell=sh
#: title   the same 4 vCPUs and messages under stock KVM, tuned as well as it goes
#: kernel  stock
#: cpus    5
#: cmdline isolcpus=domain,managed_irq,1-4 nohz_full=1-4 rcu_nocbs=1-4 irqaffinity=0
#: timeout 900
#: groups  long

PIN_CPU=1
measure_messages messages 4 -accel kvm -cpu "$LINUX_CPU,kvm-pv-ipi=off" -overcommit cpu-pm=on
check "IPIs are exits" [ "$ICR_WRITES" -gt 0 ]
