# shellcheck shell=sh
#: title   QEMU is replaced under a direct guest: its deadlines stay the hardware's, past ones fire
#: kernel  hpvm
#: cpus    3
#: timeout 600
#: groups  check

step_is() { qmp query-hpvm | grep -q "\"timer\": \"$1\""; }

TIMERS=30000 PERIOD_US=500
# shellcheck disable=SC2086  # several words
one_guest 1 $SHARED_MEMORY
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
check "arming the timer doesn't exit" step_is deadline

# shellcheck disable=SC2086  # several words
successor one_guest 1 $SHARED_MEMORY
upgrades running
second runs_well running
swap
check "running: arming the timer still doesn't exit" step_is deadline

qmp stop
# shellcheck disable=SC2086  # several words
successor one_guest 1 $SHARED_MEMORY
upgrades paused
check "paused: the guest is, there" second guest_is paused
swap
sleep 3
qmp cont
runs_well paused
check "paused: arming the timer still doesn't exit" step_is deadline
is "paused: the TSC is the host's" "$(tsc_offsets)" 0

check "the guest came to its end" await_guest 200 hpvm:.elapsed_us
wait_guest 30
is "QEMU ended well" $? 0
one_guest_report
note "$(figure timers_missed) of $TIMERS timers missed, $(figure worst_late_us) us late at most"
