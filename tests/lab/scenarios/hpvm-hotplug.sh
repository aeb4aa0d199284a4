# shellcheck shell=sh
#: title   other CPUs go offline and come back, suspend is refused, backtraces by NMI: all with a direct guest
#: labs    vmx svm
#: kernel  hpvm
#: cpus    3
#: timeout 900
#: groups.vmx long
#: groups.svm check svm

online() { cat /sys/devices/system/cpu/online; }
# new_task_runs_on CPUS: where one that may run on these does.
new_task_runs_on() {
    taskset -c "$1" sh -c 'while :; do :; done' &
    nap
    # Field 39 of proc(5), where the last CPU is; the name has no blanks.
    cut -d' ' -f39 /proc/$!/stat
    kill $!
}
# The CPUs that the vCPU's thread may run on.
vcpu_affinity() { allowed_cpus "/proc/$GUEST_PID/task/$(vcpu_threads)"; }
set_online() { echo "$2" >"/sys/devices/system/cpu/cpu$1/online"; }

direct_guest 120

check "the guest's CPU can't go offline" not set_online 1 0
check "and says why" sh -c 'dmesg | grep -q "CPU 1 can.t go offline: it is dedicated"'
is "all are online" "$(online)" 0-2
hmp info hpvm
check "CPU 2 can" set_online 2 0
hmp info hpvm
is "and is offline" "$(online)" 0-1
check "the host's timers work" timeout 10 sleep 1
is "new tasks don't go to the guest's CPU" "$(new_task_runs_on 0-1)" 0
check "CPU 2 comes back" set_online 2 1
is "and is online" "$(online)" 0-2
is "the guest's CPU is still isolated" "$(cat /sys/devices/system/cpu/isolated)" 1
check "CPU 2 works" taskset -c 2 timeout 10 sleep 1

# An administrator isolates CPU 2: the scheduler's domains are made anew, twice.
mkdir /run/cgroup
mount -t cgroup2 none /run/cgroup
echo +cpuset >/run/cgroup/cgroup.subtree_control
mkdir /run/cgroup/part
echo 2 >/run/cgroup/part/cpuset.cpus
echo isolated >/run/cgroup/part/cpuset.cpus.partition
is "CPU 2 can be isolated beside it" "$(cat /run/cgroup/part/cpuset.cpus.partition)" isolated
is "new tasks stay away from both" "$(new_task_runs_on 0-2)" 0
is "the guest's thread may run on its CPU only" "$(vcpu_affinity)" 1
echo member >/run/cgroup/part/cpuset.cpus.partition
rmdir /run/cgroup/part
is "the guest's CPU is isolated afterwards" "$(cat /sys/devices/system/cpu/isolated)" 1
is "new tasks stay away from it" "$(new_task_runs_on 0-1)" 0
is "the guest's thread still has its CPU only" "$(vcpu_affinity)" 1

hpvm-status
hmp info hpvm
check "the guest is still in direct mode" hpvm_direct

check "the host can't suspend" not sh -c 'echo freeze >/sys/power/state'
check "and says why" sh -c 'dmesg | grep -q "can.t suspend: CPUs 1 are dedicated"'
check "the guest stays in direct mode" hpvm_direct

# The console shows errors only; a backtrace isn't one.
dmesg -n 1
echo l >/proc/sysrq-trigger
check "a backtrace of the guest's CPU" wait_for 5 sh -c 'dmesg | grep -q "NMI backtrace for cpu 1"'
check "after it the guest is in direct mode" hpvm_direct
is "no NMI is unknown" "$(dmesg | grep -c 'Unknown NMI\|reason 2d\|reason 3d')" 0
dmesg -n 5

kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 10 guest_ended
check "CPU 1 can go offline again" wait_for 10 set_online 1 0
is "and is" "$(online)" 0,2
check "and comes back" set_online 1 1
check "CPU 1 works" taskset -c 1 timeout 10 sleep 1
