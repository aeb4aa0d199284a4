# shellcheck shell=sh
#: title   as libvirt does it: QEMU starts in a cpuset without the vCPUs' CPUs, and takes them at 'cont'
#: kernel  hpvm
#: labs    vmx svm
#: cpus    4
#: timeout 900
#: groups.vmx long
#: groups.svm check svm

# libvirt's qemuProcessLaunch() puts the child into the group "emulator", whose cpuset is
# <emulatorpin>, before the child executes QEMU. Groups of the vCPUs' threads, and their
# affinities (<vcpupin>), come when the monitor is there; then it sends "cont".
VM=/run/cgroup/machine/vm/libvirt
mkdir /run/cgroup
mount -t cgroup2 none /run/cgroup
mkdir -p $VM
for dir in /run/cgroup /run/cgroup/machine /run/cgroup/machine/vm; do
    echo +cpuset >$dir/cgroup.subtree_control
done
# thread_group NAME CPUS
thread_group() {
    mkdir $VM/"$1"
    echo threaded >$VM/"$1"/cgroup.type
    [ "$1" != emulator ] || echo +cpuset >$VM/cgroup.subtree_control
    echo "$2" >$VM/"$1"/cpuset.cpus
}
read -r self _ </proc/self/stat
thread_group emulator 0
thread_group vcpu0 1
thread_group vcpu1 2

# in_emulator COMMAND...: with this shell, and so the command's children, in the group.
in_emulator() {
    echo "$self" >$VM/cgroup.procs
    echo "$self" >$VM/emulator/cgroup.threads
    "$@"
    echo "$self" >/run/cgroup/cgroup.procs
}

# waiting_guest CPUS: a Linux guest of two vCPUs, before its start.
waiting_guest() {
    in_emulator linux_guest "idle=poll hpvm.timers=100000000" -S -smp 2 \
        -machine hpvm=on,hpvm-cpus="$1" -accel kvm -cpu "$LINUX_CPU"
    check "$1: QEMU starts" wait_for 20 has_vcpu
    check "$1: the guest waits" guest_is prelaunch
    check "$1: no vCPU has a CPU" hpvm_state unbound
    check "$1: no CPU is dedicated" none_dedicated
}

# place_vcpus: each to the group of its own, and to the CPU.
place_vcpus() {
    n=0
    for thread in $(vcpu_threads); do
        echo "$thread" >$VM/vcpu$n/cgroup.threads
        taskset -p -c $((n + 1)) "$thread"
        n=$((n + 1))
    done
}

# Affinities of QEMU's threads, each once; the first is that of the process.
affinities() {
    for thread in "/proc/$GUEST_PID/task"/*; do
        allowed_cpus "$thread"
    done | sort -u | tr '\n' ' '
}

# runs CPUS: after "cont".
runs() {
    check "$1: the guest is up" await_guest 120 hpvm:.ready
    check "$1: both vCPUs are direct" wait_for 10 all_direct 2
    hmp info hpvm
    is "$1: each thread is where it belongs" "$(affinities)" "0 1 2 "
    hpvm-status
}

# refuses CPUS TEXT: to go on, and the guest waits as before.
refuses() {
    qmp cont >/run/said
    cat /run/said
    check "$1: 'cont' is refused: $2" grep -q "$2" /run/said
    check "$1: the guest waits still" guest_is prelaunch
    check "$1: no vCPU has a CPU" hpvm_state unbound
}

ends() {
    qmp quit
    wait_guest 20
    check "$1: the CPUs are the host's again" wait_for 10 none_dedicated
}

export VCPUS=2
stage "listed"
waiting_guest 1-2
refuses 1-2 "CPU 1 is in the cpuset of no thread of QEMU"
place_vcpus
qmp cont
runs 1-2
ends 1-2

stage "pinned"
waiting_guest pinned
refuses pinned "are both confined to CPU 0"
place_vcpus
qmp cont
runs pinned
ends pinned

stage "a taken CPU"
other_guest 2 "oneshot ahead=2000000"
in_emulator linux_guest "idle=poll hpvm.timers=100000000" -S -smp 2 \
    -machine hpvm=on -accel kvm -cpu "$LINUX_CPU"
check "taken: QEMU starts" wait_for 20 has_vcpu
place_vcpus
refuses taken "CPU 2 is already dedicated to VM 'guest' (pid $OTHER_PID)"
check "taken: the other CPU is free" not test -e /sys/kernel/debug/hpvm/cpu1
kill -9 "$OTHER_PID"
check "taken: the CPU is given back" wait_for 10 none_dedicated
qmp cont
runs taken
ends taken
