# shellcheck shell=sh
#: title   a guest in a cpuset partition of its own: nothing of the host stays on its CPU
#: kernel  hpvm
#: labs    vmx svm
#: cpus    4
#: timeout 900
#: groups.vmx long
#: groups.svm check svm

PARTITION=/run/cgroup/vm/cpuset.cpus.partition
SERVER=/sys/kernel/debug/sched/fair_server/cpu1/runtime


mkdir /run/cgroup
mount -t cgroup2 none /run/cgroup
echo +cpuset >/run/cgroup/cgroup.subtree_control
mkdir /run/cgroup/vm
echo 1-3 >/run/cgroup/vm/cpuset.cpus
read -r self _ </proc/self/stat
echo "$self" >/run/cgroup/vm/cgroup.procs
read -r runtime <$SERVER

for kind in isolated root; do
    echo $kind >$PARTITION
    is "the partition is $kind" "$(cat $PARTITION)" $kind
    direct_guest 120
    quiet "$kind before" timer_events nmis exits
    # While the guest has its CPU: not a partition, then one again.
    echo member >$PARTITION
    quiet "member" timer_events nmis exits
    echo $kind >$PARTITION
    quiet "$kind again" timer_events nmis exits
    kill -9 "$GUEST_PID"
    check "no CPU is dedicated" wait_for 10 none_dedicated
done
is "the fair server's runtime is what it was" "$(cat $SERVER)" "$runtime"
# Switched off and on again on a CPU that has been idle for long: no underflow, says the log.
sleep 3
set_server() { echo "$1" >$SERVER; }
check "it can be switched off" set_server 0
check "and on again" set_server "$runtime"
