# shellcheck shell=sh
#: title  the emulated host itself: x2APIC, VMX, TSC deadline, two CPUs
#: groups check

is "two CPUs are online" "$(cat /sys/devices/system/cpu/online)" 0-1
check "x2APIC is in use" sh -c 'dmesg | grep -q "x2apic enabled"'
check "VMX is there" grep -qw vmx /proc/cpuinfo
check "the TSC deadline timer is there" grep -qw tsc_deadline_timer /proc/cpuinfo
check "KVM is there" [ -c /dev/kvm ]
dmesg | head -300
cat /proc/cpuinfo /proc/interrupts
