# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 1 vCPU: stock KVM tuned as well as it goes
#: kernel  stock
#: cpus    2
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: loads   yes
#: timeout 2400
#: groups  workloads

# Whether it's better that CPU 0 is awake, for timers to move there, depends on the load.
VCPUS=1
MORE_LOADS=$ONE_VCPU_LOADS
PIN_CPU=1
ACCEL=kvm
set -- -accel $ACCEL -cpu "$LINUX_CPU,kvm-pv-ipi=off" -overcommit cpu-pm=on
measure_loads "" "$@"
keep_awake
measure_loads -awake "$@"
