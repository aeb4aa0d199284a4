# shellcheck shell=sh
#: title   instructions per exit of an ordinary VM, while another VM has a CPU of its own
#: kernel  hpvm
#: labs    vmx svm
#: timeout 600
#: exact   yes
#: groups  overhead svm

# Its exits: not those for the host's tick, which comes when it comes and has a check of its own.
# In the vmx lab the other VM has none. In the svm lab, where there is no deadline timer, NMIs of
# the host are the other VM's exits, which are counted, too.
case $LAB in
vmx) OTHER=deadline NOT_ITS="$EXIT_INTR" ;;
svm) OTHER=oneshot NOT_ITS="$EXIT_INTR $EXIT_NMI" ;;
esac
its_exits() {
    n=$(exits_total)
    for reason in $NOT_ITS; do n=$((n - $(exits_of "$reason"))); done
    echo "$n"
}
ticks() { awk '{ print int($1 * 250) + 1 }' /run/seconds; }

measure_exits alone
cpuid=$(figure cpuid_median) wrmsr=$(figure wrmsr_median) exits=$(its_exits)

other_guest 1 "$OTHER"
measure_exits exits
hpvm-status
check "the other VM is there all the time" sh -c \
    "hpvm-status | grep -q \"(pid $OTHER_PID), vCPU 0: direct\""
note "CPUID $cpuid, WRMSR $wrmsr alone; $(figure cpuid_median), $(figure wrmsr_median) beside it"
is "its exits are as many as alone" "$(its_exits)" "$exits"
check "besides them it had at most one for each tick" [ "$(exits_of "$EXIT_INTR")" -le "$(ticks)" ]
# Static keys are on meanwhile: each asks whose CPU, or whose vCPU, this is.
check "at most 40 instructions more" \
    [ "$(figure cpuid_median)" -le $((cpuid + 40)) -a "$(figure wrmsr_median)" -le $((wrmsr + 40)) ]
kill -9 "$OTHER_PID"
