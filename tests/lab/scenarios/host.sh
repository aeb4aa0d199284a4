# shellcheck shell=sh
#: title  the emulated host itself: x2APIC, virtualization, timer, two CPUs
#: labs   vmx svm
#: models skylake broadwell
#: groups check svm

is "two CPUs are online" "$(cat /sys/devices/system/cpu/online)" 0-1
check "x2APIC is in use" sh -c 'dmesg | grep -q "x2apic enabled"'
case $LAB in
vmx)
    check "VMX is there" grep -qw vmx /proc/cpuinfo
    check "the TSC deadline timer is there" grep -qw tsc_deadline_timer /proc/cpuinfo
    case $MODEL in
    skylake) is "APICv is on" "$(cat /sys/module/kvm_intel/parameters/enable_apicv)" Y ;;
    broadwell) is "APICv isn't there" "$(cat /sys/module/kvm_intel/parameters/enable_apicv)" N ;;
    esac
    ;;
svm)
    check "SVM is there" grep -qw svm /proc/cpuinfo
    check "interrupts are remapped in x2APIC mode" \
        sh -c 'dmesg | grep -q "Enabled IRQ remapping in x2apic mode"'
    check "devices are in IOMMU groups" [ -d /sys/kernel/iommu_groups/0 ]
    ;;
esac
check "KVM is there" [ -c /dev/kvm ]
# "tsc-early" for the first seconds.
check "the clock is the TSC" \
    grep -q ^tsc /sys/devices/system/clocksource/clocksource0/current_clocksource
dmesg | head -300
cat /proc/cpuinfo /proc/interrupts
