# shellcheck shell=sh
#: title   KASAN have nothing to say
#: kernel  debug-kasan
#: memory  2048
#: timeout 3600
#: groups  debug
#: files   {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

linux_guest "idle=poll hpvm.timers=100000000" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
check "the guest is up" await_guest 600 hpvm:.ready
check "the guest is in direct mode" hpvm_direct
hpvm-status
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 60 guest_ended
report_selftests
