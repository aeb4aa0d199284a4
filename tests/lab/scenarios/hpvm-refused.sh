# shellcheck shell=sh
#: title   what QEMU says when it can't give the mode
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 240
#: groups  check

# refused DESCRIPTION TEXT QEMU-ARGUMENT...: QEMU ends at once and says TEXT.
refused() {
    description=$1
    text=$2
    shift 2
    timeout 20 qemu -L /share -nodefaults -no-user-config -display none -S "$@" >/run/said 2>&1
    status=$?
    sed 's/^/qemu| /' /run/said
    if [ $status = 1 ] && grep -q "$text" /run/said; then
        ok "$description"
    else
        not_ok "$description: status $status, said: $(tr '\n' ' ' </run/said)"
    fi
}

refused "no CPU list" "hpvm-cpus" -accel kvm,hpvm=on
refused "more CPUs than vCPUs" "hpvm-cpus" -accel kvm,hpvm=on,hpvm-cpus=0-1
refused "more vCPUs than CPUs" "hpvm-cpus" -accel kvm,hpvm=on,hpvm-cpus=1 -smp 2
refused "a CPU twice" "CPU 1" -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-cpus=1 -smp 2
refused "a CPU that does not exist" "CPU 7" -accel kvm,hpvm=on,hpvm-cpus=7
refused "a userspace interrupt controller" "kernel-irqchip" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -M kernel-irqchip=split
refused "an accelerator that is not KVM" "hpvm" -accel tcg,hpvm=on
echo 0 >/sys/devices/system/cpu/cpu1/online
refused "a CPU that is offline" "CPU 1" -accel kvm,hpvm=on,hpvm-cpus=1
echo 1 >/sys/devices/system/cpu/cpu1/online

start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host -kernel /guest/apic.elf -S
check "the first VM gets its CPU" wait_for 10 has_vcpu
refused "a CPU that another VM has" "CPU 1.*$GUEST_PID" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
kill -9 "$GUEST_PID"
