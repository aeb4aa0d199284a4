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

direct_guest 600
hpvm-status
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 60 guest_ended
report_selftests
if [ "$LAB" = svm ]; then
    check "the device can be assigned" assign_device 0000:00:06.0
    run_irqs moving "cpus=3 irqs=1000 move=20" -accel kvm,hpvm=on,hpvm-cpus=1-3 -smp 3
    run_irqs twice "cpus=2 irqs=200 twice" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2
fi
# It switches itself off at its first report, and when it runs out of memory.
check "lockdep was on to the end" grep -q 'debug_locks: *1$' /proc/lockdep_stats
