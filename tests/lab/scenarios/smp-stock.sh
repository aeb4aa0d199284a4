# shellcheck shell=sh
#: title   the same 4 vCPUs and messages under stock KVM, tuned as well as it goes
#: kernel  stock
#: cpus    5
#: cmdline isolcpus=domain,managed_irq,1-4 nohz_full=1-4 rcu_nocbs=1-4 irqaffinity=0
#: timeout 900
#: groups  long

# With HLT exits off, the firmware's HLT with interrupts off would never end on the
# other vCPUs: Bochs 2.7 forgets that a host interrupt is an exit there, too. The
# guest idles by polling, so there is no HLT in the interval anyway.
PIN_CPU=1
measure_messages messages 4 -accel kvm -cpu "$LINUX_CPU,kvm-pv-ipi=off"
check "IPIs are exits" [ "$ICR_WRITES" -gt 0 ]
