# shellcheck shell=sh
#: title   the other modes of the LAPIC timer: one-shot, periodic, emulated
#: kernel  hpvm
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 800
#: groups.vmx long
#: groups.svm check svm

export TIMERS=300
export PERIOD_US=4000
measure_timers oneshot "idle=poll lapic=notscdeadline" \
    -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-timer=oneshot -cpu "$LINUX_CPU"
# Without high resolution the tick is the clock: a timer fires with the next one.
export PERIOD_US=8000
measure_timers periodic "idle=poll lapic=notscdeadline nohz=off highres=off" \
    -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-timer=oneshot -cpu "$LINUX_CPU"
export PERIOD_US=4000
measure_timers emulated "idle=poll" \
    -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-timer=emulated -cpu "$LINUX_CPU"
check "emulated: arming exits" [ "$(exits_of "$EXIT_WRMSR")" -ge "$(figure timers_fired)" ]
