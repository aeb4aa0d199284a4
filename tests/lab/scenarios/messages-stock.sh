# shellcheck shell=sh
#: title   a guest of 8 vCPUs passes messages like hackbench: stock KVM, tuned
#: kernel  stock
#: cpus    9
#: cmdline isolcpus=domain,managed_irq,1-8 nohz_full=1-8 rcu_nocbs=1-8 irqaffinity=0
#: timeout 1500
#: groups  bench long

# IPIs by ICR: x2APIC's clusters reach all eight CPUs with one write, as the hypercall
# does, and are counted alike.
PIN_CPU=1
: "${LOOPS:=100}"
measure_hackbench messages 8 -accel kvm -cpu "$LINUX_CPU,kvm-pv-ipi=off" \
    -overcommit cpu-pm=on -smp 8
check "IPIs are exits" [ "$ICR_WRITES" -gt 0 ]
