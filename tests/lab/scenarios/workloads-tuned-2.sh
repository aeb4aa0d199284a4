# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 2 vCPUs: stock KVM tuned as well as it goes
#: kernel  stock
#: cpus    3
#: cmdline isolcpus=domain,managed_irq,1-2 nohz_full=1-2 rcu_nocbs=1-2 irqaffinity=0
#: loads   yes
#: timeout 1800
#: groups  workloads

# IPIs are ICR writes, as in messages-stock.
VCPUS=2
PIN_CPU=1
ACCEL=kvm
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU,kvm-pv-ipi=off" -overcommit cpu-pm=on
