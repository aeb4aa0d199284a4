# shellcheck shell=sh
#: title   a vCPU's thread that is a real-time one: the host's work on its CPU gets done
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: timeout 900
#: files   /usr/bin/chrt
#: groups.vmx long
#: groups.svm check svm

# does DESCRIPTION COMMAND...: it's done in time. What it waits for is work on all CPUs, and
# nobody could end it.
does() {
    what=$1
    shift
    rm -f /run/done
    ("$@" >/dev/null && : >/run/done) &
    wait_for 15 test -e /run/done && ok "$what" && return
    not_ok "$what: not done in 15 s"
    for t in /proc/[0-9]*; do
        case $(cat "$t/stat" 2>/dev/null) in
        *") D "*) echo "stuck: $t $(cat "$t/comm")"; head -n 3 "$t/stack" ;;
        esac
    done
}
work_everywhere() {
    does "$1: vm.stat_refresh" cat /proc/sys/vm/stat_refresh
    does "$1: the tracer's buffers" sh -c "echo $2 >/sys/kernel/tracing/buffer_size_kb"
}

direct_guest 120
work_everywhere "SCHED_OTHER" 512
quiet "SCHED_OTHER" timer_events exits
thread=$(vcpu_threads)
/files/chrt -f -p 1 "$thread"
check "the vCPU's thread is a real-time one" sh -c "/files/chrt -p $thread | grep -q FIFO"
quiet "SCHED_FIFO" timer_events exits
work_everywhere "SCHED_FIFO" 640
quiet "SCHED_FIFO, after the work" timer_events exits

# Fair tasks that were there before the thread became a real-time one.
/files/chrt -o -p 0 "$thread"
hog() { while :; do :; done; }
hog &
HOG=$!
taskset -p -c 1 $HOG >/dev/null
/files/chrt -f -p 1 "$thread"
# ran: the hog's time in user mode, in ticks.
ran() {
    read -r line <"/proc/$HOG/stat"
    # shellcheck disable=SC2086  # words are what is wanted
    set -- ${line##*) }
    echo "${12}"
}
was=$(ran)
sleep 4
check "SCHED_FIFO: a task that waits there gets its share" [ "$(ran)" -gt "$was" ]
kill $HOG
quiet "SCHED_FIFO, alone again" timer_events exits
/files/chrt -o -p 0 "$thread"
quiet "SCHED_OTHER again" timer_events exits
kill -9 "$GUEST_PID"
check "no CPU is dedicated" wait_for 10 none_dedicated
