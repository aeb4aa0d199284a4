# shellcheck shell=sh
#: title   exits of an unmodified guest under stock KVM, tuned as well as it goes
#: kernel  stock
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 900
#: groups  demo

export PIN_CPU=1
set -- -accel kvm -cpu "$LINUX_CPU" -overcommit cpu-pm=on
measure_timers poll "idle=poll" "$@"
measure_timers default "" "$@"
