# shellcheck shell=sh
#: title   what QEMU says when it can't give the mode
#: kernel  hpvm
#: models  skylake broadwell
#: labs    vmx svm
#: cpus    3
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: groups  check
#: groups.svm svm

refused "neither a list of CPUs nor threads that are pinned" \
    "needs a host CPU for each vCPU, and the thread of vCPU 0 may run on 2 of them" \
    -accel kvm,hpvm=on -cpu host
refused "more CPUs than vCPUs" "names 2 host CPUs, but -smp has 1 vCPU" \
    -accel kvm,hpvm=on,hpvm-cpus=0-1 -cpu host
refused "more vCPUs than CPUs" "names 1 host CPU, but -smp has 2 vCPUs" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -smp 2
refused "a CPU twice" "names CPU 1 twice" -accel kvm,hpvm=on,hpvm-cpus=1+1 -cpu host -smp 2
refused "no list" "is not a list of host CPUs" -accel kvm,hpvm=on,hpvm-cpus=one -cpu host
refused "a CPU that does not exist" "names CPU 7, which this host doesn't have" \
    -accel kvm,hpvm=on,hpvm-cpus=7 -cpu host
refused "all CPUs of the host" "no CPU is left for QEMU's other threads" \
    -accel kvm,hpvm=on,hpvm-cpus=0-2 -cpu host -smp 3
refused "a local APIC outside of the kernel" "needs the local APIC in the kernel" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -M kernel-irqchip=off
refused "a guest CPU without x2APIC" "x2apic=on" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-x2apic
if [ "$LAB" = svm ]; then
    refused "a deadline timer where the processor has none" "use tsc-deadline=off" \
        -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,tsc-deadline=on
fi
case $MODEL in
skylake)
    # It scales the guest's TSC, which the mode's deadlines can't bear.
    start_guest -S -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,tsc-frequency=1000000000
    check "QEMU starts with a TSC rate that isn't the host's" wait_for 20 has_vcpu
    check "and warns of it" grep -q \
        "tsc-frequency=1000000000 isn't the rate of the host's TSC, [0-9]*: KVM will scale" \
        "$QEMU_LOG"
    qmp quit
    wait_guest 20
    ;;
*)
    refused "a TSC rate that isn't the host's, which can't scale it" \
        "TSC frequency mismatch between VM (1000000 kHz) and host" \
        -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,tsc-frequency=1000000000
    ;;
esac
refused "properties without the mode" "have no effect without hpvm=on" \
    -accel kvm,hpvm-cpus=1 -cpu host
refused "an accelerator that is not KVM" "works with the KVM accelerator only" \
    -accel tcg,hpvm=on
refused "the machine's option with another accelerator" "and tcg is in use" \
    -accel tcg -machine hpvm=on

# CPU 2, for Linux keeps a CPU of nohz_full= online.
echo 0 >/sys/devices/system/cpu/cpu2/online
refused "a CPU that is offline" "names CPU 2, which is offline" \
    -accel kvm,hpvm=on,hpvm-cpus=2 -cpu host
echo 1 >/sys/devices/system/cpu/cpu2/online

effective() { [ "$(cat /proc/irq/3/effective_affinity_list)" = "$1" ]; }
# move_to CPU: this test's serial port, which may be on any CPU afterwards. Without interrupt
# remapping it moves when it's raised next, by what a test says.
move_to() {
    echo $((1 << $1)) >/proc/irq/3/smp_affinity
    stage "an interrupt moves to CPU $1"
    check "the interrupt is on CPU $1" wait_for 5 effective "$1"
    echo 7 >/proc/irq/3/smp_affinity
}

move_to 1

other_guest 1 oneshot
refused "a CPU that another VM has" "CPU 1 is already dedicated to VM 'guest' (pid $OTHER_PID)" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
check "the interrupt has left" not effective 1
move_to 2
start_guest -accel kvm,hpvm=on,hpvm-cpus=2 -cpu host -kernel /guest/apic.elf \
    -append "oneshot count=1000000000"
check "a second VM gets its CPU" wait_for 10 has_vcpu
check "and has taken it" wait_for 10 test -e /sys/kernel/debug/hpvm/cpu2
refused "the host's last CPU" \
    "CPU 0 is the last one that the host has for itself, 1-2 being dedicated" \
    -accel kvm,hpvm=on,hpvm-cpus=0 -cpu host
check "the interrupt is on CPU 0" effective 0
kill -9 "$OTHER_PID"
check "it's back when CPU 1 is" wait_for 10 effective 1
kill -9 "$GUEST_PID"
check "CPU 2 is given back" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu2
nap
check "and the interrupt stays" effective 1
