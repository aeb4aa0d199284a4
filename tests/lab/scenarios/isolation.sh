# shellcheck shell=sh
#: title   what a busy host does to a guest's CPU in a minute
#: labs    vmx svm
#: kernel  hpvm
#: timeout 3000
#: groups  bench long

# 'make check-long' takes ten minutes, after which RCU would have complained often.

# Load that starts no process, and makes system calls all the time.
hog() { while :; do read -r _ </proc/loadavg; done; }
hog &
hog &

direct_guest 120
for _ in $(seq 30); do nap; done
naps=$(seq $((${SECONDS_MEASURED:-60} * 10)))
stage "measuring ${SECONDS_MEASURED:-60} s"
snapshot first
for _ in $naps; do nap; done
snapshot last
n=0
for name in nanoseconds device_interrupts timer_events context_switches exits nmis \
    nmi_reschedule nmi_call_function nmi_call_function_single nmi_irq_work nmi_timer \
    nmi_reboot; do
    eval "n=\$((last_$name - first_$name))"
    data "isolation.$name $n"
done
eval 'n=$((last_exits - first_exits - last_nmis + first_nmis))'
is "but for NMIs the vCPU never left the guest" "$n" 0
hpvm-status
kill -9 "$GUEST_PID"
