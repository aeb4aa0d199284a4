# shellcheck shell=sh
#: title   the host panics, with a guest in direct mode, and its crash kernel starts
#: labs    vmx svm
#: kernel  hpvm
#: cmdline crashkernel=160M
#: timeout 600
#: groups  check
#: files   {build}/linux-hpvm/arch/x86/boot/bzImage
#: right   Kernel panic - not syncing: sysrq triggered crash|Call Trace:

direct_guest 120
check "a crash kernel is loaded" start_kernel -p
stage "panicking"
# What was said is still on its way through the serial port.
nap
echo c >/proc/sysrq-trigger
not_ok "the host survived its panic"
