# shellcheck shell=sh
#: title   hostile guests, host load, an ordinary VM and the host's latency beside each other
#: labs    vmx svm
#: kernel  hpvm
#: cpus    4
#: memory  1024
#: timeout 3000
#: exact   yes
#: groups  long
#: files   {build}/selftests-hpvm/x86_64/hpvm_hostile_test

# CPU 0: the host's load. CPU 1: an ordinary VM. CPU 2: the host's latency. CPU 3: the
# hostile guests' (they take the last one).

# measure NAME: what the VM's exits cost ($cpuid, $wrmsr), and the longest time that a
# thread of CPU 2 woke up late ($latency).
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
    latency=$(sed -n 's/.*Max: *\([0-9]*\).*/\1/p' /run/latency)
    data "$1.latency_max_us $latency"
}

(while :; do read -r _ </proc/loadavg; done) &
load=$!
taskset -p -c 0 $load
measure alone
alone_cpuid=$cpuid alone_wrmsr=$wrmsr alone_latency=$latency

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
check "hostile guests run" wait_for 20 test -e /sys/kernel/debug/hpvm/cpu3
measure beside
rm /run/hostile
wait $hostile
cat /run/hostile.log
check "the hostile guests got as far as ever" not test -e /run/failed
note "rounds of hostile guests: $(wc -l </run/rounds)"
kill $load

note "an exit costs: CPUID $alone_cpuid, WRMSR $alone_wrmsr alone; $cpuid, $wrmsr beside hostile guests"
# See overhead-dedicated.
check "the ordinary VM's exits cost at most 40 instructions more" \
    [ "$cpuid" -le $((alone_cpuid + 40)) -a "$wrmsr" -le $((alone_wrmsr + 40)) ]
# In the svm lab a CPU that wakes up waits for the others' turns.
if [ "$LAB" = vmx ]; then
    check "the host's threads wake up as before, within 100 us" \
        [ "$latency" -le $((alone_latency + 100)) ]
fi
note "the latest wake-up: $alone_latency us alone, $latency us beside hostile guests"
