# shellcheck shell=sh
#: title   lockdep and the checks for sleeping have nothing to say
#: kernel  debug-locks
#: memory  2048
#: timeout 3600
#: groups  debug
#: files   {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

direct_guest 600
hpvm-status
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 60 guest_ended
report_selftests
# It switches itself off at its first report, and when it runs out of memory.
check "lockdep was on to the end" grep -q 'debug_locks: *1$' /proc/lockdep_stats
