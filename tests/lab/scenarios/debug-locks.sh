# shellcheck shell=sh
#: title       lockdep and the checks for sleeping have nothing to say
#: kernel      debug-locks
#: labs        vmx svm
#: cpus.svm    4
#: memory      2048
#: devices.svm -device edu,addr=6
#: timeout     3600
#: groups      debug
#: files       {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

watched_run
# It switches itself off at its first report, and when it runs out of memory.
check "lockdep was on to the end" grep -q 'debug_locks: *1$' /proc/lockdep_stats
