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
#: files       {build}/selftests-hpvm/x86_64/hpvm_bind_cost

watched_run
# waits N: how often somebody waits for a grace period while N CPUs are taken, bound and given
# back.
waits() {
    echo >/sys/kernel/tracing/trace
    echo function >/sys/kernel/tracing/current_tracer
    /files/hpvm_bind_cost "$1" >/dev/null
    grep -c ' synchronize_rcu.* <-' /sys/kernel/tracing/trace
    echo nop >/sys/kernel/tracing/current_tracer
}
if [ "$LAB" = svm ]; then
    echo 'synchronize_rcu*' >/sys/kernel/tracing/set_ftrace_filter
    waits 1 >/dev/null
    once=$(waits 1)
    check "a grace period is waited for $once times to bind a CPU" [ "$once" -gt 0 ]
    is "and as often for 3" "$(waits 3)" "$once"
fi
# It switches itself off at its first report, and when it runs out of memory.
check "lockdep was on to the end" grep -q 'debug_locks: *1$' /proc/lockdep_stats
