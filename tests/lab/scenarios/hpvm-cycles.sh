# shellcheck shell=sh
#: title   taking and giving back a CPU many times: nothing leaks
#: kernel  hpvm
#: labs    vmx svm
#: timeout 1800
#: groups  long

# In KiB, after what was freed has come back.
available() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    sleep 1
    awk '/^MemAvailable/ { print $2 }' /proc/meminfo
}

# cycle: a guest in direct mode, killed while its timer fires.
cycle() {
    start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host \
        -kernel /guest/apic.elf -append "deadline count=1000000"
    await_guest 20 hpvm:.ready && hpvm_direct && good=$((good + 1))
    kill -9 "$GUEST_PID"
    wait "$GUEST_PID"
    exec 4>&- 5>&-
}

good=0
cycle
before=$(available)
for _ in $(seq "${CYCLES:-30}"); do
    cycle
done
is "each guest was in direct mode" $good $((${CYCLES:-30} + 1))
after=$(available)
check "memory is back ($before KiB before, $after after)" [ "$after" -gt $((before - 4096)) ]
check "the CPU sleeps and wakes" taskset -c 1 timeout 10 sleep 1
