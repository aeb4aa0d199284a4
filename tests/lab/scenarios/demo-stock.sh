# shellcheck shell=sh
#: title   exits of an unmodified guest under stock KVM, tuned as well as it goes
#: kernel  stock
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 900
#: groups  demo

export PIN_CPU=1
# MWAIT is hidden from the guest: Bochs loses wake-ups from it, and with cpu-pm=on
# the guest would idle in it. HLT doesn't exit either way.
# TSC_ADJUST: see demo-hpvm.
cpu=host,-monitor
[ "$LAB" = vmx ] || cpu=$cpu,-tsc-adjust
set -- -accel kvm -cpu $cpu -overcommit cpu-pm=on
measure_timers poll "idle=poll" "$@"
measure_timers default "" "$@"
