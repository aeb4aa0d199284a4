# shellcheck shell=sh
#: title   what a busy host does to a guest's CPU in a minute
#: labs    vmx svm
#: kernel  hpvm
#: cmdline kvm.kvmclock_periodic_sync=0
#: timeout 3000
#: groups  bench long

# Without that parameter KVM has each vCPU leave its guest every 5 minutes, to bring kvmclock
# up to date. The lab's kernel has no machine check polling, which does the same.
# 'make check-long' takes ten minutes, after which RCU would have complained often.

# Load that starts no process, and makes system calls all the time.
hog() { while :; do read -r _ </proc/loadavg; done; }
hog &
hog &

# Who sends the NMIs there, if any come.
senders=/sys/kernel/tracing/instances/senders
mkdir $senders
echo 1 >$senders/options/stacktrace
echo 'cpu==1' >$senders/events/ipi/ipi_send_cpu/filter
echo 'cpumask & CPUS{1}' >$senders/events/ipi/ipi_send_cpumask/filter

direct_guest 120
echo 1 >$senders/events/ipi/ipi_send_cpu/enable
echo 1 >$senders/events/ipi/ipi_send_cpumask/enable
for _ in $(seq 30); do nap; done
naps=$(seq $((${SECONDS_MEASURED:-60} * 10)))
stage "measuring ${SECONDS_MEASURED:-60} s"
echo >$senders/trace
snapshot first
for _ in $naps; do nap; done
snapshot last
cat $senders/trace
n=0
for name in nanoseconds device_interrupts timer_events context_switches exits nmis \
    nmi_reschedule nmi_call_function nmi_call_function_single nmi_irq_work nmi_timer \
    nmi_reboot; do
    eval "n=\$((last_$name - first_$name))"
    data "isolation.$name $n"
    case $name in
    nanoseconds) note "measured for $((n / 1000000)) ms" ;;
    nmi_*) ;;
    *) is "no $name" $n 0 ;;
    esac
done
hpvm-status
kill -9 "$GUEST_PID"
