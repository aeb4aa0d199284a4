# shellcheck shell=sh
#: title   the circuit breaker holds a VM by itself, says why, and lets go when it's told to
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: cmdline irqaffinity=0
#: devices -device edu,addr=6
#: timeout 600
#: groups  check
#: groups.svm svm

MODE=/sys/module/kvm/parameters/hpvm
provoke() {
    for file in /sys/kernel/debug/kvm/"$GUEST_PID"-*/hpvm_provoke; do
        echo "$1" >"$file"
    done
}
held() { not hpvm_state direct; }

stage "NMIs that nobody has sent"
other_guest 2 oneshot
start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf \
    -append "oneshot count=2000000000"
check "the guest is up" await_guest 20 hpvm:.ready
check "no guest was held before" not breaker_tripped
check "told that it's direct" event '"state": "direct"'
trace=/sys/kernel/tracing/instances/hpvm
mkdir $trace
echo 1 >$trace/events/kvm_hpvm/enable
# Several that come at once are one, and one may be hidden by how the host's own are counted.
for _ in 1 2 3 4 5 6; do
    provoke nmi
    nap
done
check "told that it's held, and why" event '"reasons": ["breaker-nmi"]'
check "query-hpvm says why" sh -c "echo '$(qmp query-hpvm)' | grep -q '\"breaker-nmi\"'"
check "the kernel's log, too" sh -c 'dmesg | grep -q "held in ordinary mode, vCPU 0: NMIs"'
check "and hpvm-status" sh -c "hpvm-status | grep -q breaker-nmi"
check "so would a scenario that wants none of it" breaker_tripped
check "the guest goes on" guest_is running
is "the other VM is direct" "$(sed -n 's/^direct //p' /sys/kernel/debug/hpvm/cpu2)" 1

# Others let go of what they hold.
echo hold >$MODE
nap
echo auto >$MODE
nap
check "an administrator's 'auto' doesn't release it" held
qmp hpvm-set-mode '{"mode":"ordinary"}'
nap
check "nor does it go when it's held" held
qmp hpvm-set-mode '{"mode":"auto"}'
check "hpvm-set-mode does" hpvm_direct
for what in leave breaker hold enter; do
    check "the event kvm_hpvm_$what was traced" grep -q "kvm_hpvm_$what:" $trace/trace
done
qmp quit
wait_guest 10
kill -9 "$OTHER_PID"
check "no CPU is left behind" wait_for 20 none_dedicated

if [ "$LAB" = svm ]; then
    stage "a device's interrupts that keep arriving in the host"
    check "the device can be assigned" assign_device 0000:00:06.0
    start_irqs stray "cpus=2 irqs=2000 pause=10000000" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2
    is "they go straight" "$(ways direct) direct, $(ways host) host" "1 direct, 0 host"
    # One is too many then. The vCPU is ordinary while its thread is elsewhere.
    provoke sensitive
    thread=$(vcpu_threads | head -n 1)
    taskset -p -c 0 "$thread"
    check "told that the VM is held" event '"breaker-stray"'
    is "and they go through the host" "$(ways direct) direct, $(ways host) host" "0 direct, 1 host"
    taskset -p -c 1 "$thread"
    check "strays were traced" grep -q "kvm_hpvm_stray:" $trace/trace
    end_irqs
    return_device 0000:00:06.0
fi
