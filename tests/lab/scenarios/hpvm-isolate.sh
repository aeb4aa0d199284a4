# shellcheck shell=sh
#: title   without boot parameters: nothing of the host stays on a guest's CPU, and all comes back
#: labs    vmx svm
#: kernel  hpvm
#: cmdline rcupdate.rcu_cpu_stall_timeout=3
#: timeout 1200
#: groups.vmx long
#: groups.svm check svm

# The host's load: two tasks that never sleep and start no process.
hog() { while :; do :; done; }
hog &
HOG1=$!
hog &
HOG2=$!

# stat_field N FILE: field N of proc(5)'s stat.
stat_field() {
    n=$(($1 - 2))
    read -r line <"$2"
    # shellcheck disable=SC2086  # words are what is wanted
    set -- ${line##*) }
    shift $((n - 1))
    echo "$1"
}
on_cpu1() { [ "$(stat_field 39 /proc/$HOG1/stat)$(stat_field 39 /proc/$HOG2/stat)" != 00 ]; }
# Sleeping tasks whose timers CPU 1 has.
sleepers() {
    awk '$1 == "cpu:" { on = $2 == 1 } $1 == "Tick" { on = 0 }
        on && / hrtimer_wakeup,/ { n++ } END { print n + 0 }' /proc/timer_list
}
timer_is_there() { [ "$(sleepers)" -gt 0 ]; }
# grew COUNTER: since 'snapshot was'.
grew() {
    snapshot now
    eval "[ \$now_$1 -gt \$was_$1 ]"
}
# effective IRQ MASK
effective() { [ "$(cat "/proc/irq/$1/effective_affinity")" = "$2" ]; }

# What the host has there, and what is to be found again.
settings() {
    echo "isolated: $(cat /sys/devices/system/cpu/isolated)"
    echo "nohz_full: $(cat /sys/devices/system/cpu/nohz_full)"
    echo "watched: $(cat /proc/sys/kernel/watchdog_cpumask)"
    echo "unbound work: $(cat /sys/devices/virtual/workqueue/cpumask)"
    echo "fair server: $(cat /sys/kernel/debug/sched/fair_server/cpu1/runtime)"
    echo "interrupts: $(cat /proc/irq/3/smp_affinity /proc/irq/4/smp_affinity | tr '\n' ' ')"
}

# The serial ports' interrupts: the results of this test come by one of them.
echo 2 >/proc/irq/3/smp_affinity
echo 2 >/proc/irq/4/smp_affinity
stage "the host is busy on both CPUs"
check "before: the host's tasks use CPU 1" wait_for 10 on_cpu1
check "before: an interrupt is on CPU 1" effective 3 2
taskset -c 1 sleep 100000 &
SLEEPER=$!
check "before: so is the timer of a task that sleeps" wait_for 5 timer_is_there
before=$(settings)
echo "$before"

hpvm-status --check
is "the host is ready" $? 0
hpvm-status --check --json >/run/check.json
is_json "and says so in JSON" /run/check.json
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."

direct_guest 90
settings
is "CPU 1 is isolated" "$(cat /sys/devices/system/cpu/isolated)" 1
is "CPU 1 is full dynticks" "$(cat /sys/devices/system/cpu/nohz_full)" 1
is "CPU 1 is not watched" "$(cat /proc/sys/kernel/watchdog_cpumask)" 0
is "no unbound work is there" "$(cat /sys/devices/virtual/workqueue/cpumask)" 1
check "the host's tasks have left" not on_cpu1
is "and the timers of those that sleep" "$(sleepers)" 0
check "its interrupts have left" effective 3 1
check "both of them" effective 4 1
is "whose affinity is what it was" "$(cat /proc/irq/3/smp_affinity)" 2
echo 2 >/proc/irq/4/smp_affinity
check "none comes back" effective 4 1
# A third one that may run on both.
hog &
HOG2=$!
nap
check "new tasks stay away" not on_cpu1
snapshot was
taskset -p 2 $HOG1
check "one that is allowed nowhere else comes" wait_for 5 on_cpu1
check "by an NMI" grew nmis
taskset -p 3 $HOG1
check "and leaves when it may" wait_for 5 not on_cpu1
# Code that all CPUs must see is patched.
snapshot was
echo 1 >/sys/kernel/tracing/events/sched/sched_process_exec/enable
echo 0 >/sys/kernel/tracing/events/sched/sched_process_exec/enable
check "a function call on all CPUs comes by an NMI" grew nmi_call_function_single
hpvm-status | tee /run/status
hpvm-status --json | tee /run/status.json
check "hpvm-status knows the VM" \
    grep -q "VM 'guest' (pid $GUEST_PID), vCPU 0: direct" /run/status
check "and whose thread is there" grep -q 'a thread of the VM: CPU 0/KVM' /run/status.json
check "and what else is, and why" \
    grep -q "task $SLEEPER S its affinity allows no other CPU: sleep" /run/status
is_json "and says so in JSON, too" /run/status.json
hpvm-status --prometheus /run/hpvm.prom
cat /run/hpvm.prom
check "and tells Prometheus" \
    grep -q '^hpvm_vcpu_direct{cpu="1",vm="guest",vcpu="0"} 1$' /run/hpvm.prom
check "what was counted" grep -q '^hpvm_vcpu_nmis_total{.*} [1-9]' /run/hpvm.prom
hpvm-status --report /run/report
check "a report has the VM's command line" grep -q "^pid $GUEST_PID: .*hpvm=on" /run/report
check "and the kernel's log" grep -q '] Linux version' /run/report

# Five seconds, after three of which RCU would complain. No process is started.
counts() {
    snapshot "$1"
    eval "$1_guest=$(stat_field 43 "$THREAD/stat")"
}
delta() { eval "echo \$((last_$1 - first_$1))"; }
THREAD=/proc/$GUEST_PID/task/$(vcpu_threads)
for _ in $(seq 20); do nap; done
stage "the quiet interval"
counts first
for _ in $(seq 50); do nap; done
counts last
stage "over"
for name in device_interrupts timer_events context_switches nmis exits; do
    is "in $(($(delta nanoseconds) / 1000000)) ms: no $name" "$(delta $name)" 0
done
note "$(delta nmi_timer) for timers, $(delta nmi_call_function) + $(delta nmi_call_function_single) for function calls, $(delta nmi_reschedule) for the scheduler, $(delta nmi_irq_work) for irq_work"
# In 1/100 s, live: the vCPU hasn't left the guest.
ticks=$(($(delta nanoseconds) / 10000000))
check "the time is the guest's ($(delta guest) of $ticks ticks)" \
    [ "$(delta guest)" -ge $((ticks * 95 / 100)) ]

# Ordinary grace periods, whose callbacks run; umount would ask all CPUs to hurry.
echo 1 >/sys/kernel/rcu_normal
check "RCU's grace periods end" timeout 20 sh -c \
    'echo 3 >/proc/sys/vm/drop_caches && mount -t tmpfs none /mnt && umount /mnt'
echo 0 >/sys/kernel/rcu_normal

kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 10 guest_ended
kill $SLEEPER
wait_for 5 effective 3 2
after=$(settings)
is "all settings are what they were" "$after" "$before"
check "the interrupts are back" effective 3 2
check "both of them are" effective 4 2
check "the host's tasks are back" wait_for 10 on_cpu1
n=$(loc)
check "computing works there" taskset -c 1 timeout 10 sha256sum /bin/busybox
check "sleeping works there" taskset -c 1 timeout 10 sleep 1
check "its timer interrupts the host" [ "$(loc)" -gt "$n" ]
