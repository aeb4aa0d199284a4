# shellcheck shell=sh
#: title   KASAN has nothing to say
#: kernel  debug-kasan
#: memory  2048
#: timeout 3600
#: groups  debug
#: files   {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

direct_guest 600
hpvm-status
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 60 guest_ended
report_selftests
