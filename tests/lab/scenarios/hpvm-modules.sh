# shellcheck shell=sh
#: title   a kernel as distributions build it: KVM as modules, preemption, mitigations
#: kernel  hardened
#: labs    vmx svm
#: memory  1024
#: cmdline mitigations=auto
#: timeout 1800
#: right   hw-vuln/
#: groups  hardened
#: files   {build}/linux-hardened/arch/x86/kvm/kvm*.ko
#: files   {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

case $LAB in
vmx) module=kvm_intel file=kvm-intel.ko ;;
svm) module=kvm_amd file=kvm-amd.ko ;;
esac
mkdir /run/modules
mv /files/*.ko /run/modules/
load() { insmod /run/modules/kvm.ko && insmod "/run/modules/$file"; }
unload() { rmmod "$module" && rmmod kvm; }

cat /sys/devices/system/cpu/vulnerabilities/*
check "KVM's modules load" load
direct_guest 300
check "they aren't removed under a guest" not rmmod "$module"
check "which is still in direct mode" hpvm_direct
hpvm-status
kill -9 "$GUEST_PID"
check "its CPU is given back" wait_for 20 none_dedicated
check "the modules can be removed" wait_for 10 unload
check "KVM is gone" not test -e /dev/kvm
check "CPU 1 works" taskset -c 1 timeout 10 sleep 1

check "the modules load again" load
report_selftests
check "and can be removed again" wait_for 10 unload
