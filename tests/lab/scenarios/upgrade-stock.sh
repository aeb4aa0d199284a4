# shellcheck shell=sh
#: title   the QEMU of a guest at work is replaced: stock QEMU and KVM, tuned
#: kernel  stock
#: cpus    3
#: memory  1536
#: cmdline isolcpus=domain,managed_irq,1-2 nohz_full=1-2 rcu_nocbs=1-2 irqaffinity=0
#: timeout 900
#: groups  bench
#: files   {build}/qemu-stock/qemu-system-x86_64

STOCK=yes QEMU=/files/qemu-system-x86_64
refused "this QEMU has no direct mode" "kvm-accel.hpvm' not found" -accel kvm,hpvm=on
measure_upgrade
