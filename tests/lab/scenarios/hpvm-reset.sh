# shellcheck shell=sh
#: title   4 direct vCPUs: CPUs off and on, stop and cont, reset
#: kernel  hpvm
#: labs    vmx svm
#: cpus    5
#: cmdline isolcpus=domain,managed_irq,1-4 nohz_full=1-4 rcu_nocbs=1-4 irqaffinity=0
#: timeout 900
#: groups.vmx long
#: groups.svm check svm

direct() { [ "$(qmp query-hpvm | grep -o '"state": "direct"' | wc -l)" = "$1" ]; }
restarted() { [ "$(grep -c hpvm:.ready "$GUEST_LOG")" = 2 ]; }
figures() { [ "$(grep -c "hpvm: $1=" "$GUEST_LOG")" = "$2" ]; }

# Messages after CPUs were off, with a stop halfway, and once more after a reset.
linux_guest "hpvm.messages=20000 hpvm.cpu_cycles=2" -smp 4 -action reboot=reset \
    -accel kvm,hpvm=on,hpvm-cpus=1-4 -cpu "$LINUX_CPU"
check "the guest is up" await_guest 120 hpvm:.ready
check "its CPUs were off and on again" await_guest 60 hpvm:.cpu_cycles=2
check "all 4 vCPUs are direct" direct 4
qmp stop
check "stopped, all 4 are ordinary" direct 0
qmp cont
check "every message arrived" await_guest 60 hpvm:.messages=20000
check "the guest is up again after its reset" await 120 restarted
check "all 4 vCPUs are direct again" wait_for 10 direct 4
check "every message arrived again" await 120 figures messages 2
hmp info hpvm
qmp quit
wait_guest 10
is "QEMU ended well" $? 0
