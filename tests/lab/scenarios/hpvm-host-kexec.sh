# shellcheck shell=sh
#: title   the host goes on with another kernel by kexec, with a guest in direct mode
#: kernel  hpvm
#: timeout 600
#: groups  check
#: files   {build}/linux-hpvm/arch/x86/boot/bzImage

linux_guest "idle=poll hpvm.timers=100000000" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
check "the guest is up" await_guest 120 hpvm:.ready
check "the guest is in direct mode" hpvm_direct
stage "starting another kernel"
start_kernel
not_ok "kexec returned"
