# shellcheck shell=sh
#: title   hostile guests, host load, an ordinary VM and the host's latency beside each other
#: labs    vmx svm
#: kernel  hpvm
#: cpus    5
#: memory  1024
#: cmdline rcupdate.rcu_cpu_stall_timeout=3 watchdog_thresh=1
#: timeout 3000
#: exact   yes
#: groups  long
#: files   {build}/selftests-hpvm/x86_64/hpvm_hostile_test

# CPU 0: the host's load. CPU 1: an ordinary VM. CPU 2: the host's latency. CPU 3: a guest in
# direct mode that is there all the time. CPU 4: the hostile guests' (they take the last one).

# Nothing but the thread that is measured runs on CPU 2: the kernel isn't preemptible, and a
# process that makes a VM there delays the thread by more than a millisecond.
read -r self _ </proc/self/stat
taskset -p -c 0,1,3,4 "$self"

# measure NAME: what the VM's exits cost ($cpuid, $wrmsr), and how late a thread of CPU 2 wakes
# up, on average ($latency) and at most ($latest).
measure() {
    taskset -c 2 cyclictest -q -m -p 90 -t 1 -i 1000 -l "${WAKEUPS:-2000}" >/run/latency &
    cyclictest=$!
    start_guest -accel kvm -cpu host -kernel /guest/exits.elf
    check "$1: the ordinary VM is on CPU 1" pin_vcpus 1
    wait_guest 120
    is "$1: the ordinary VM ended well" $? 0
    report_figures "$1"
    cpuid=$(figure cpuid_median) wrmsr=$(figure wrmsr_median)
    wait $cyclictest
    cat /run/latency
    latency=$(sed -n 's/.*Avg: *\([0-9]*\).*/\1/p' /run/latency)
    latest=$(sed -n 's/.*Max: *\([0-9]*\).*/\1/p' /run/latency)
    data "$1.latency_avg_us $latency"
    data "$1.latency_max_us $latest"
    note "$1: woken up $latency us late on average, $latest us at most"
}

# Static keys are on all the time, then, and what they cost isn't the hostile guests' doing.
other_guest 3 oneshot

(while :; do read -r _ </proc/loadavg; done) &
load=$!
taskset -p -c 0 $load
measure alone
alone_cpuid=$cpuid alone_wrmsr=$wrmsr alone_latency=$latency alone_latest=$latest
check "alone: wake-ups were measured" [ "$latency" -gt 0 ]

# Until the figures are there, again and again.
touch /run/hostile
(
    # Its own words, not the file descriptors of this shell's guest.
    while [ -e /run/hostile ]; do
        timeout 200 /files/hpvm_hostile_test >/run/hostile.log 2>&1 || echo "status $?" >>/run/failed
        echo x >>/run/rounds
    done
) &
hostile=$!
check "hostile guests run" wait_for 20 test -e /sys/kernel/debug/hpvm/cpu4
measure beside
rm /run/hostile
wait $hostile
cat /run/hostile.log
check "the hostile guests got as far as ever" not test -e /run/failed
note "rounds of hostile guests: $(wc -l </run/rounds)"
kill $load
kill -9 "$OTHER_PID"

note "an exit costs: CPUID $alone_cpuid, WRMSR $alone_wrmsr alone; $cpuid, $wrmsr beside hostile guests"
check "the ordinary VM's exits cost the same" \
    [ "$cpuid" -le $((alone_cpuid + 10)) -a "$wrmsr" -le $((alone_wrmsr + 10)) ]
# In the svm lab a CPU that wakes up waits for the others' turns.
if [ "$LAB" = vmx ]; then
    check "the host's threads wake up as before, within 10 us" \
        [ "$latency" -le $((alone_latency + 10)) ]
    check "none later than before, within 100 us" [ "$latest" -le $((alone_latest + 100)) ]
fi
