# shellcheck shell=sh
#: title   IPIs by shorthand in a guest of 18 vCPUs; the kernel is one for many CPUs
#: kernel  hardened
#: cpus    20
#: cmdline isolcpus=domain,managed_irq,1-18 nohz_full=1-18 rcu_nocbs=1-18 irqaffinity=0
#: memory  1024
#: timeout 1800
#: groups  hardened
#: files   {build}/linux-hardened/arch/x86/kvm/kvm*.ko

check "KVM's modules load" eval "insmod /files/kvm.ko && insmod /files/kvm-intel.ko"

BROADCASTS=1000
measure_shorthands 18 17 -smp 18
