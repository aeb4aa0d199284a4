# shellcheck shell=sh
#: title   the host goes on with another kernel by kexec, with a guest in direct mode
#: labs    vmx svm
#: kernel  hpvm
#: timeout 600
#: groups  check
#: files   {build}/linux-hpvm/arch/x86/boot/bzImage

direct_guest 120
stage "starting another kernel"
start_kernel
not_ok "kexec returned"
