# shellcheck shell=sh
#: title   QEMU on a kernel without the patches says so, and runs ordinary guests
#: kernel  stock
#: labs    vmx svm
#: timeout 120
#: groups.vmx long
#: groups.svm check svm

refused "direct mode on a stock kernel" "boot a kernel with the hpvm patches" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
host_lacks "the kernel has the hpvm patches"
measure_apic ordinary "deadline count=100" -accel kvm -cpu host
is "an ordinary guest runs" "$(figure timers_fired)" 100
