# shellcheck shell=sh
#: title   the host restarts, with a guest in direct mode
#: kernel  hpvm
#: labs    svm
#: timeout 600
#: groups  svm

# In the vmx lab no host can restart; hpvm-host-kexec stops its CPUs in the same way.

# A byte of the clock's memory, which a restart leaves alone and nobody uses.
CELL='\175'
cell() {
    # shellcheck disable=SC2059  # it's an escape sequence
    printf "$CELL" | dd of=/dev/port bs=1 seek=112 2>/dev/null
    dd "$@" bs=1 count=1 2>/dev/null
}

if [ "$(cell if=/dev/port skip=113)" = R ]; then
    ok "the host has restarted"
    is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
    check "CPU 1 works" taskset -c 1 timeout 10 sleep 1
    export TIMERS=200
    # A LAPIC or VMX state that was left on would stand in its way.
    measure_timers after "idle=poll" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU"
else
    direct_guest 120
    printf R | cell of=/dev/port seek=113
    stage "restarting"
    reboot -f
    sleep 60
    not_ok "the host didn't restart"
fi
