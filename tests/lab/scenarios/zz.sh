# shellcheck shell=sh
#: title   tmp
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0 loglevel=7 watchdog_thresh=2
#: timeout 150
echo 7 > /proc/sys/kernel/printk
measure_apic hlt "deadline hlt count=500" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
cat /proc/interrupts
