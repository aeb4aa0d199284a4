# shellcheck shell=sh
#: title   an ordinary VM's halted vCPU, whose CPU becomes another VM's, is woken elsewhere
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: memory  1024
#: timeout 600
#: groups  check svm

# Where vCPU 1's thread ran last.
on_cpu_2() { [ "$(sed 's/.*) //' "/proc/$neighbour/task/$halted/stat" | cut -d' ' -f37)" = 2 ]; }
# It moves there when it wakes up next, and may run elsewhere as soon as it may.
last_on_cpu_2() {
    pin_vcpus 1 && wait_for 10 on_cpu_2 || return
    for thread in $(vcpu_threads); do
        taskset -p -c 0-2 "$thread" >/dev/null
    done
    on_cpu_2
}
neighbour_said() { grep -q "$1" /run/neighbour.log; }
neighbour_ended() { not test -e "/proc/$neighbour/task/$halted" ||
    grep -q '^State:.Z' "/proc/$neighbour/status"; }

# It's idle, with vCPU 1 halted on CPU 2, until CPU 2 has been taken. Then the threads of its
# vCPUs send each other messages, and wake up by timer.
GUEST_LOG=/run/neighbour.log
linux_guest "hpvm.settle_ms=${SETTLE_MS:-25000} hpvm.messages=400 hpvm.timers=200" \
    -accel kvm -cpu "$LINUX_CPU" -smp 2
neighbour=$GUEST_PID
check "the ordinary VM is up" await_guest 120 hpvm:.ready
VCPUS=2
check "it has both its vCPUs" wait_for 10 has_vcpu
halted=$(vcpu_threads | tail -n 1)
check "vCPU 1 was on CPU 2 last" wait_for 60 last_on_cpu_2
exec 4>&- 5>&-

# shellcheck disable=SC2034  # start_guest and hpvm_direct use them
GUEST_LOG=/run/guest.log VCPUS=1
case $LAB in
vmx) other_guest 2 deadline ;;
svm) other_guest 2 oneshot ;;
esac
check "the ordinary VM has nothing to do until then" not neighbour_said hpvm:.messages
check "its vCPUs work together afterwards" wait_for 120 neighbour_said hpvm:.messages=400
check "it ends as it should" wait_for 60 neighbour_ended
sed 's/^/neighbour| /' /run/neighbour.log
hpvm-status
check "the other VM is there all the time" \
    sh -c "hpvm-status | grep -q \"(pid $OTHER_PID), vCPU 0: direct\""
kill -9 "$OTHER_PID"
