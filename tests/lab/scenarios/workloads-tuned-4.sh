# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 4 vCPUs: stock KVM tuned as well as it goes
#: kernel  stock
#: cpus    5
#: cmdline isolcpus=domain,managed_irq,1-4 nohz_full=1-4 rcu_nocbs=1-4 irqaffinity=0
#: loads   yes
#: timeout 3000
#: groups  workloads

# IPIs are ICR writes, as in messages-stock.
VCPUS=4
PIN_CPU=1
ACCEL=kvm
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU,kvm-pv-ipi=off" -overcommit cpu-pm=on
