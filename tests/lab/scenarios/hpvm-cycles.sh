# shellcheck shell=sh
#: title   taking a CPU, running there and being killed, many times: nothing leaks
#: kernel  hpvm
#: labs    vmx svm
#: timeout 5400
#: groups.svm check svm

# 'make check-long' does it 200 times.

# things FILE: all interrupts, and all tasks but kworkers, by name. Only grep runs meanwhile.
things() {
    grep -h '^Name:' /proc/[0-9]*/status >"$1" 2>/dev/null
    sed -i '/kworker/d' "$1"
    ls /proc/irq >>"$1"
    sort -o "$1" "$1"
}
same_things() {
    things /run/now
    diff /run/then /run/now
}
# The first guest's threads have gone, too: nothing has changed for three seconds.
settled() {
    things /run/then
    sleep 3
    same_things >/dev/null
}
# Armed timers of all CPUs. The host's own come and go; one for each cycle is a leak.
timers() { grep -c '^ *#[0-9]*: ' /proc/timer_list; }
no_more_timers() { [ "$(timers)" -lt $((timers + ${CYCLES:-5})) ]; }

# cycle: a guest in direct mode, killed while its timer fires.
cycle() {
    start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host \
        -kernel /guest/apic.elf -append "deadline count=1000000"
    await_guest 20 hpvm:.ready && hpvm_direct && good=$((good + 1))
    kill -9 "$GUEST_PID"
    wait "$GUEST_PID"
    exec 4>&- 5>&-
    killall tail
}

good=0
cycle
wait_for 30 settled
before=$(available) timers=$(timers)
for _ in $(seq "${CYCLES:-5}"); do
    cycle
done
is "each guest was in direct mode" $good $((${CYCLES:-5} + 1))
after=$(available)
check "memory is back ($before KiB before, $after after)" [ "$after" -gt $((before - 4096)) ]
wait_for 10 same_things >/dev/null
check "interrupts and tasks are what they were" same_things
note "$(grep -c Name: /run/then) tasks, $(grep -c '^[0-9]' /run/then) interrupts"
check "no timers are" wait_for 10 no_more_timers
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
check "the CPU sleeps and wakes" taskset -c 1 timeout 10 sleep 1
