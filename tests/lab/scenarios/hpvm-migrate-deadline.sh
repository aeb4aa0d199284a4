# shellcheck shell=sh
#: title   a direct guest whose timer is at its best step migrates to another CPU
#: kernel  hpvm
#: cpus    3
#: timeout 600
#: groups  long

step_is() { qmp query-hpvm | grep -q "\"timer\": \"$1\""; }

TIMERS=30000 PERIOD_US=500
one_guest 1
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
check "arming the timer doesn't exit" step_is deadline
second one_guest 2 -incoming "unix:$SOCKET"
moves moved
second runs_well moved
# A TSC that goes on where it was elsewhere isn't the host's.
check "the TSC isn't the host's now" [ "$(second tsc_offsets)" != 0 ]
check "arming the timer exits, and its firing doesn't" second step_is fire
check "the source's CPU is free" not test -e /sys/kernel/debug/hpvm/cpu1
second await_guest 120 hpvm:.elapsed_us
second wait_guest 30
is "QEMU ended well" $? 0
second one_guest_report
