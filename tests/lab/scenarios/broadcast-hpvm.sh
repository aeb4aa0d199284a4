# shellcheck shell=sh
#: title   what an IPI to all CPUs but a guest's costs the host
#: kernel  hpvm
#: cpus    9
#: memory  1024
#: exact   yes
#: timeout 900
#: groups  overhead

case $LAB in
vmx) other_guest 8 deadline ;;
svm) other_guest 8 oneshot ;;
esac
measure_broadcasts 8
check "the other VM is there all the time" \
    sh -c "hpvm-status | grep -q \"(pid $OTHER_PID), vCPU 0: direct\""
kill -9 "$OTHER_PID"
