# shellcheck shell=sh
#: title   hpvm-upgrade replaces the QEMU of direct guests, says what it would do and what it sees, and goes back
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: devices -device edu,addr=6
#: timeout 600
#: groups  check svm

VCPUS=2
MONITOR=/run/monitor.socket

# nothing_changed NAME: the guest is as it was, and nothing is left.
nothing_changed() {
    runs_well "$1"
    is "$1: no file is left" "$(echo $MONITOR.*)" "$MONITOR.*"
    ordinary_settings "$1"
}
# ordinary_settings NAME: those of migrations are.
ordinary_settings() {
    is "$1: migrations are ordinary ones" \
        "$(qmp query-migrate-parameters | grep -c '"mode": "normal"')" 1
    is "$1: with no path back" \
        "$(qmp query-migrate-capabilities | grep -c '"state": true, "capability": "return-path"')" 0
    check "$1: and a description" describes
}
describes() {
    qmp qom-get '{"path":"/machine","property":"suppress-vmdesc"}' | grep -q '"return": false'
}
# replaced NAME: it was.
replaced() {
    second_of_tool
    check "$1: the old QEMU has ended" guest_ended
    sed 's/^/new guest| /' /run/guest2.log
    sed 's/^/new qemu| /' $MONITOR.log
    second runs_well "$1"
    swap
    check "$1: it says that the vCPUs are direct" said "^2 of its 2 vCPUs are direct"
    is "$1: the monitor and what QEMU says are left" "$(echo $MONITOR*)" "$MONITOR $MONITOR.log"
    ordinary_settings "$1"
}

# shellcheck disable=SC2086  # several words
endless_guest 2 -smp 2 -accel kvm,hpvm=on,hpvm-cpus=1-2 -cpu "$LINUX_CPU" $SHARED_MEMORY \
    -qmp unix:$MONITOR,server=on,wait=off -pidfile /run/pid
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
ordinary_settings begin

tool usage 2 $MONITOR
check "usage: it explains itself" said "QMP-SOCKET NEW-QEMU"
tool nobody 1 /run/nobody /bin/qemu
tool other 1 $MONITOR /bin/busybox
check "other: it says that this is no QEMU" said "busybox doesn't look like a QEMU"
tool change 1 --change tap0=tap1 $MONITOR /bin/qemu
check "change: it says what isn't there" said "doesn't have 'tap0'"
qmp migrate-set-parameters '{"max-bandwidth":2000000}'
qmp migrate '{"uri":"file:/run/state"}'
check "migrating: the guest is on its way to a file" wait_for 20 migration_is active
tool migrating 1 $MONITOR /bin/qemu
check "migrating: it says so" said "the guest is being migrated already (active)"
check "migrating: it still is" migration_is active
qmp migrate_cancel
check "migrating: until that is cancelled" wait_for 20 migration_is cancelled
rm /run/state
nothing_changed migrating

tool dry 0 --dry-run $MONITOR /bin/qemu
check "dry: it shows the command" said "/bin/qemu.* .-incoming. .*cpr"
check "dry: and says that it's possible" said "Nothing is known that stands in the way"
nothing_changed dry

pipes
tool wrong 1 --change 1-2=2+1 $MONITOR /bin/qemu
check "wrong: it says what the new QEMU said" said "has CPU 1 for vCPU 0"
check "wrong: and where the guest is" said "The guest goes on in the old QEMU (pid $GUEST_PID)"
nothing_changed wrong

# shellcheck disable=SC2016  # for the script
printf '#!/bin/sh\n[ "$1" != --version ] || exec qemu --version\nexec sleep 1000\n' >/run/slow
chmod +x /run/slow
tool slow 1 --timeout 3 $MONITOR /run/slow
check "slow: it says so" said "the new QEMU wasn't ready within 3 s"
nothing_changed slow
(sleep 4; killall -INT hpvm-upgrade) &
tool interrupted 1 $MONITOR /run/slow
check "interrupted: it says so" said "interrupted"
check "interrupted: the new QEMU is gone" not killall -0 slow
nothing_changed interrupted

tool first 0 $MONITOR /bin/qemu
cp /run/guest2.log /run/guest.before
replaced first
is "first: the file with its pid" "$(cat /run/pid)" "$GUEST_PID"
pipes
hpvm-upgrade $MONITOR /bin/qemu >/run/said 2>&1
is "second: its exit status" $? 0
is "second: the file with its pid" "$(cat /run/pid)" "$(sed -n 's/^1.5 .* pid //p' /run/said)"
cat /run/said
cp /run/guest2.log /run/guest.log
replaced second

echo >&8
check "the guest came to its end" await_guest 60 hpvm:.elapsed_us
is "each timer came" $(($(figure timers_fired) + $(figure timers_missed))) "$(figure timers)"
check "QEMU ends" wait_for 20 guest_ended
check "no CPU is dedicated" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu1

stage "a guest with an assigned device"
# edu_guest [QEMU-ARGUMENT...]
# shellcheck disable=SC2120  # 'successor' has some
edu_guest() {
    # shellcheck disable=SC2086  # several words
    start_guest -kernel /guest/irq.elf -append "cpus=2 irqs=4000000000 until_input" -cpu host -smp 2 \
        -accel kvm,hpvm=on,hpvm-cpus=1-2,hpvm-irq=auto $SHARED_MEMORY $ASSIGNED \
        -qmp unix:$MONITOR,server=on,wait=off "$@"
}
some_host_irqs() { [ "$(host_irqs)" -gt 0 ]; }
check "edu can be assigned" assign_device 0000:00:06.0
# shellcheck disable=SC2119
edu_guest
check "edu: the guest is up" await_guest 60 hpvm:.ready
goes_straight edu 1
pipes
tool edu 0 $MONITOR /bin/qemu
check "edu: it says so" said "go straight to them: 1"
replaced edu
goes_straight edu 1

# KVM connects a device's interrupt with one VM.
MONITOR=/run/monitor2.socket
successor edu_guest -S -trace cpr_find_fd
upgrades taken
swap
fd=$(sed -n 's/^cpr_find_fd vfio-kvm-interrupt-.*, id 0 returns \([0-9]*\)$/\1/p' "$QEMU_LOG" |
    tail -n 1)
irqfd "$GUEST_PID" "$fd" >/run/taker &
TAKER=$!
check "taken: another VM has the interrupt" wait_for 10 grep "has it" /run/taker
qmp cont
check "taken: QEMU says so" wait_for 10 \
    grep "interrupt 0 goes to the guest through the host" "$QEMU_LOG"
kill $TAKER
wait $TAKER
is "taken: it goes straight to no vCPU" "$(ways direct)" 0
# One that the other VM has got the guest takes for lost after 20 billion ticks.
count_host_irqs
check "taken: the host handles it" wait_for 60 some_host_irqs

CHANGES=
pipes
tool healed 0 $MONITOR /bin/qemu
replaced healed
goes_straight healed 1

pipes
tool off 3 --change auto=off $MONITOR /bin/qemu
check "off: it says so" said "fewer interrupts of devices go straight to vCPUs than before (0, not 1)"
replaced off
is "off: the interrupt goes through the host" "$(ways direct) direct, $(ways host) host" "0 direct, 1 host"
echo >&8
check "off: the guest did all" await_guest 60 hpvm:.done
check "off: QEMU ends" wait_for 20 guest_ended
is "off: no interrupt but the expected" "$(figure unexpected)" 0
check "no CPU is dedicated any more" wait_for 10 none_dedicated

stage "the old QEMU is killed meanwhile"
# shellcheck disable=SC2086  # several words
start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf \
    -append "count=1000000000" $SHARED_MEMORY -qmp unix:$MONITOR,server=on,wait=off
check "gone: the guest is up" await_guest 20 hpvm:.ready
pipes
rm -f /run/said
(
    until said "^2/5"; do nap; done
    kill -9 "$GUEST_PID"
) &
CHANGES="--change /run/guest.log=/run/guest2.log --change /run/qmp=/run/qmp2"
tool gone 1 $MONITOR /bin/qemu
check "gone: it says so" said "The old QEMU is gone, too"
check "gone: the new one is, too" not kill -0 "$(sed -n 's/^1.5 .* pid //p' /run/said)"
check "gone: the CPU is the host's" wait_for 10 none_dedicated
