# shellcheck shell=sh
#: title   QEMU tells when a vCPU leaves direct mode, and pauses the guest if asked to
#: kernel  hpvm
#: models  skylake broadwell
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 300
#: groups  check
#: groups.svm svm

# endless_guest [PROPERTIES]: in direct mode at once.
endless_guest() {
    start_guest -accel kvm,hpvm=on,hpvm-cpus=1"$1" -cpu host \
        -kernel /guest/apic.elf -append "oneshot count=2000000000"
    check "told that the vCPU is direct" event '"state": "direct"'
}
# An administrator's mistake, and its end.
move_to() { taskset -p -c "$1" "$(vcpu_threads)"; }

stage "reported"
endless_guest
move_to 0
check "told that it has left, and why" event '"wrong-cpu"'
check "it is ordinary" hpvm_state ordinary
check "the guest goes on" guest_is running
move_to 1
check "told that it is direct again" event '"state": "direct"'
hmp info hpvm
qmp quit
wait_guest 10

stage "stopped"
endless_guest ,hpvm-leave=stop
move_to 0
check "told, with hpvm-leave=stop, too" event '"wrong-cpu"'
check "the guest is paused" wait_for 5 guest_is paused
qmp cont
nap
check "it goes on when told to" guest_is running
check "in ordinary mode" hpvm_state ordinary
move_to 1
check "and is direct when its thread is back" event '"state": "direct"'
qmp hpvm-set-mode '{"mode":"ordinary"}'
check "held in ordinary mode" wait_for 5 hpvm_state ordinary
nap
check "which is no reason to pause" guest_is running
qmp quit
wait_guest 10
