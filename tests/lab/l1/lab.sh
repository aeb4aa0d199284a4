# shellcheck shell=sh
# Words for the bodies of scenarios. Sourced by /init in the emulated host; file
# descriptor 3 leads to the runner (tests/lab/run), standard output to console.log.

GUEST_LOG=/run/guest.log
GUEST_PID=
QMP=/run/qmp
QEMU_LOG=/run/qemu.log
CR=$(printf '\r')

stage() { echo "stage $*" >&3; }
note() { echo "note $*" >&3; }
data() { echo "data $*" >&3; }
ok() { echo "ok $*" >&3; }
not_ok() { echo "not ok $*" >&3; }
skip() { echo "skip $*" >&3; }

# check DESCRIPTION COMMAND...: one test, passed when the command succeeds; check succeeds
# then, too.
check() {
    description=$1
    shift
    if "$@"; then
        ok "$description"
    else
        not_ok "$description"
        return 1
    fi
}

# is_json DESCRIPTION FILE: the runner reads it.
is_json() { echo "json $1: $(tr -d '\n' <"$2")" >&3; }

# is DESCRIPTION GOT WANTED
is() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1 (got '$2', wanted '$3')"; fi
}

# not COMMAND...: succeeds when it fails.
not() { ! "$@"; }

# nap [SECONDS]: a tenth of one, without a new process, whose end would have the kernel
# flush TLBs on all CPUs, the guest's too. (Nothing ever comes through the pipe.)
mkfifo /run/nap
exec 9<>/run/nap
nap() {
    # shellcheck disable=SC3045  # busybox has it
    read -r -t "${1:-0.1}" _ <&9
    return 0
}

# Until COMMAND succeeds, at most SECONDS of the host's time.
wait_for() {
    seconds=$1
    shift
    tenths=$((seconds * 10))
    while ! "$@"; do
        tenths=$((tenths - 1))
        [ $tenths -gt 0 ] || return 1
        nap
    done
}

# What of all that spares a guest exits is on in this host, as KVM itself says.
host_has() {
    has=
    apicv=$(cat /sys/module/kvm_intel/parameters/enable_apicv 2>/dev/null)
    inject=$(cat /sys/module/kvm/parameters/pi_inject_timer 2>/dev/null)
    [ "$apicv" != Y ] || has="apicv posted-interrupts"
    # KVM doesn't heed the parameter without them. (It's an int that is set as a bool.)
    [ "$apicv$inject" != Y1 ] || has="$has pi_inject_timer"
    [ "$(cat /sys/module/kvm_amd/parameters/avic 2>/dev/null)" != Y ] || has=avic
    data "host.has $has"
}

# --- QEMU ---------------------------------------------------------------------

# start_guest QEMU-ARGUMENT...: QEMU in the background, with the guest's serial port
# in $GUEST_LOG. Commands for its monitor (QMP) go through qmp(). With SERIAL_INPUT set, what
# comes out of that pipe, open already, is the serial port's input. With WRAPPER set, that
# program executes QEMU; with QEMU set, that is started instead of the stack's.
start_guest() {
    : >$GUEST_LOG
    rm -f $QMP.in $QMP.out
    mkfifo $QMP.in $QMP.out
    $WRAPPER "${QEMU:-qemu}" -L /share -nodefaults -no-user-config -display none -m 192 \
        -name guest,debug-threads=on -no-reboot \
        -chardev pipe,id=qmp,path=$QMP -mon chardev=qmp,mode=control \
        -chardev file,id=serial,path=$GUEST_LOG${SERIAL_INPUT:+,input-path=$SERIAL_INPUT} \
        -serial chardev:serial \
        "$@" >$QEMU_LOG 2>&1 &
    GUEST_PID=$!
    tail -f $GUEST_LOG | while read -r line; do echo "guest| ${line%"$CR"}"; done &
    exec 4<>$QMP.in 5<>$QMP.out
    echo '{"execute":"qmp_capabilities"}' >&4
}

# second WORD...: the words with a second guest in the place of the first, as in
# 'second linux_guest ...' and 'second qmp query-status'. Its monitor, log and process are
# its own.
SECOND_PID=
second() {
    first_pid=$GUEST_PID
    GUEST_LOG=/run/guest2.log GUEST_PID=$SECOND_PID QMP=/run/qmp2 QEMU_LOG=/run/qemu2.log
    [ ! -p $QMP.in ] || exec 4<>$QMP.in 5<>$QMP.out
    "$@"
    second_status=$?
    # What is in a pipe that nobody has open is lost, and QEMU may come to it later.
    exec 6<>$QMP.in 7<>$QMP.out
    SECOND_PID=$GUEST_PID
    GUEST_LOG=/run/guest.log GUEST_PID=$first_pid QMP=/run/qmp QEMU_LOG=/run/qemu.log
    [ ! -p $QMP.in ] || exec 4<>$QMP.in 5<>$QMP.out
    return $second_status
}

# qmp COMMAND [ARGUMENTS]: the JSON answer. Events that arrive before it are dropped.
qmp() {
    guest_alive || return 1
    if [ -n "$2" ]; then
        echo "{\"execute\":\"$1\",\"arguments\":$2,\"id\":\"lab\"}" >&4
    else
        echo "{\"execute\":\"$1\",\"id\":\"lab\"}" >&4
    fi
    # shellcheck disable=SC3045  # busybox has it
    while read -r -t 20 answer <&5; do
        case $answer in
        *'"id": "lab"'*)
            echo "$answer"
            return
            ;;
        esac
    done
    return 1
}

# event TEXT: until QMP sends an event that has it. Events before it are dropped.
event() {
    # shellcheck disable=SC3045  # busybox has it
    while read -r -t 20 answer <&5; do
        case $answer in
        *'"event": '*"$1"*)
            echo "qmp| $answer"
            return
            ;;
        esac
    done
    return 1
}

# guest_is STATE: as query-status says.
guest_is() { qmp query-status | grep -q "\"status\": \"$1\""; }

# hmp COMMAND: its text.
hmp() {
    qmp human-monitor-command "{\"command-line\":\"$*\"}" |
        tr -d '\r' | sed 's/^{"return": "//; s/", "id": "lab"}$//; s/\\r\\n/\n/g; s/\\"/"/g'
}

# No new process here either; the shell reaps QEMU only with 'wait'.
guest_alive() {
    read -r _ _ guest_state _ 2>/dev/null <"/proc/$GUEST_PID/stat" && [ "$guest_state" != Z ]
}
guest_ended() { ! guest_alive; }
guest_said() { grep -q "$1" $GUEST_LOG; }

# await_guest SECONDS TEXT: until the guest has said it; fails when QEMU ends before.
await_guest() {
    await "$1" said_or_ended "$2"
    guest_said "$2"
}
said_or_ended() { guest_said "$1" || guest_ended; }

# await SECONDS COMMAND...: until it succeeds. Of a guest that doesn't get there, where
# it is instead.
await() {
    wait_for "$@" && return
    guest_ended || show_guest
    return 1
}

# show_guest: what it's doing, in short for the report and all of it for the log.
show_guest() {
    for _ in 1 2 3; do
        note "the guest's vCPUs: $(hmp info registers -a | grep RIP | tr '\n' ';')"
        sleep 1
    done
    cat /proc/interrupts
    for what in "registers -a" pic lapic status hpvm; do
        hmp info "$what"
    done
}

# wait_guest SECONDS: until QEMU ends; its exit status. A guest that takes longer
# is killed, and what it said is in console.log either way.
wait_guest() {
    if ! wait_for "$1" guest_ended; then
        show_guest
        kill -9 "$GUEST_PID"
        echo "guest killed after $1 s"
    fi
    wait "$GUEST_PID"
    status=$?
    exec 4>&- 5>&-
    sleep 1
    killall tail
    sed 's/^/qemu| /' $QEMU_LOG
    return $status
}

# vcpu_threads: the thread ids of the vCPUs.
vcpu_threads() { grep -l '^CPU [0-9]*/KVM' /proc/"$GUEST_PID"/task/*/comm 2>/dev/null |
    cut -d/ -f5; }

# allowed_cpus DIRECTORY: of the task whose one this is in /proc.
allowed_cpus() { sed -n 's/^Cpus_allowed_list:\t*//p' "$1/status"; }

has_vcpu() { [ "$(vcpu_threads | wc -l)" = "${VCPUS:-1}" ]; }

# pin_vcpus CPU: what an administrator does for stock KVM; the first vCPU to this CPU,
# the next one to the next.
pin_vcpus() {
    wait_for 10 has_vcpu || return 1
    pin_to=$1
    for thread in $(vcpu_threads); do
        taskset -p -c "$pin_to" "$thread" >/dev/null || return 1
        pin_to=$((pin_to + 1))
    done
}

# What a Linux guest's CPU is. MWAIT is hidden from it: Bochs loses wake-ups from it, and
# with cpu-pm=on the guest would idle in it. So is TSC_ADJUST, which Linux looks at each
# second, where the processor has none and KVM would have to emulate it.
LINUX_CPU=host,-monitor
[ "$LAB" = vmx ] || LINUX_CPU=$LINUX_CPU,-tsc-adjust

# For Debian's kernel as a guest. Without its self-tests of cryptography, and the certificates of
# modules that it doesn't have, it boots in a third of the time.
LINUX_WORDS="console=ttyS0 quiet nokaslr mitigations=off panic=-1 reboot=k cryptomgr.notests"
LINUX_WORDS="$LINUX_WORDS initcall_blacklist=load_system_certificate_list"

# linux_guest GUEST-CMDLINE QEMU-ARGUMENT...: start Debian's kernel with our init.
linux_guest() {
    append="$LINUX_WORDS $1"
    shift
    cat /guest/initrd /guest/modules /guest/loads >/run/initrd 2>/dev/null
    start_guest -kernel /guest/vmlinuz -initrd /run/initrd -append "$append" "$@"
}

# --- migration --------------------------------------------------------------------

migration_has() { qmp query-migrate | tee /run/migration | grep -q "$1"; }
migration_is() { migration_has "\"status\": \"$1\""; }
SOCKET=/run/migration.socket
# incoming_waits: the destination listens.
incoming_waits() { [ -S $SOCKET ]; }
memory_mapped() { qmp query-hpvm | grep -q '"unmapped": 0'; }
# memory_locked: all of the guest's 192 MiB, as the kernel counts it, and as QEMU does.
memory_locked() {
    [ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' /proc/"$GUEST_PID"/status)" -gt 196608 ] &&
        qmp query-hpvm | grep -q '"unlocked": 0'
}
memory_ready() { memory_locked && memory_mapped; }
# page_faults: of the guest's accesses to memory, until now.
page_faults() { cat /sys/kernel/debug/kvm/"$GUEST_PID"-*/pf_taken; }
all_direct() { [ "$(qmp query-hpvm | grep -o '"state": "direct"' | wc -l)" = "${VCPUS:-1}" ]; }
# tsc_offsets: of the vCPUs, each that differs.
tsc_offsets() { cat /sys/kernel/debug/kvm/"$GUEST_PID"-*/vcpu*/tsc-offset | sort -u; }

running_or_ended() { guest_ended || guest_is running; }
# runs_well NAME: each vCPU is direct, with all of its memory, and there's no fault for two
# seconds.
runs_well() {
    if ! check "$1: the guest runs" wait_for 30 running_or_ended || guest_ended; then
        guest_ended && not_ok "$1: QEMU has ended"
        sed 's/^/qemu| /' $QEMU_LOG
        return 1
    fi
    check "$1: it is direct" wait_for 20 all_direct
    check "$1: its memory is locked" wait_for 60 memory_locked
    check "$1: and mapped" wait_for 100 memory_mapped
    before=$(page_faults)
    sleep 2
    is "$1: no page is missing" "$(page_faults)" "$before"
    hmp info hpvm
}

# capabilities NAME...: these of the ones that are used here, and no others.
capabilities() {
    list=
    for capability in auto-converge background-snapshot dirty-limit multifd postcopy-ram xbzrle; do
        state=false
        case " $* " in *" $capability "*) state=true ;; esac
        list="$list${list:+,}{\"capability\":\"$capability\",\"state\":$state}"
    done
    qmp migrate-set-capabilities "{\"capabilities\":[$list]}" | not_error
}
# parameters "NAME":VALUE,...
parameters() { qmp migrate-set-parameters "{$1}" | not_error; }
not_error() { ! grep '"error"'; }

# swap: the second guest takes the place of the first, which has ended.
swap() {
    GUEST_PID=$SECOND_PID SECOND_PID=
    for side in in out; do
        mv /run/qmp2.$side /run/qmp.$side
    done
    mv /run/guest2.log /run/guest.log
    mv /run/qemu2.log /run/qemu.log
    exec 4>&6 5<&7 6>&- 7<&-
}

# hundredths: of seconds since the host's start.
hundredths() {
    read -r up _ </proc/uptime
    echo "${up%.*}${up#*.}"
}

# answers NAME SECONDS COMMAND...: the monitor does, in this time each, until the command succeeds.
answers() {
    name=$1 limit=$2
    shift 2
    worst=0 asked=0
    until "$@"; do
        [ $asked -lt 3000 ] || break
        from=$(hundredths)
        qmp query-status >/dev/null
        took=$(($(hundredths) - from))
        asked=$((asked + 1))
        [ $took -le $worst ] || worst=$took
        nap
    done
    note "$name: the monitor answers $asked times, within $worst hundredths of a second"
    check "$name: the monitor answers all along" [ $worst -le $((limit * 100)) ]
}

# prepare CAPABILITY...: of both QEMUs on this host, and no others; then the second one listens,
# which was started with "-incoming defer".
prepare() {
    capabilities "$@"
    # It throttles nobody.
    for one; do
        shift
        case $one in auto-converge | dirty-limit) ;; *) set -- "$@" "$one" ;; esac
    done
    second capabilities "$@"
    second qmp migrate-incoming "{\"uri\":\"unix:$SOCKET\"}"
}

# sets_out NAME: the guest, for the second QEMU, which listens.
sets_out() {
    check "$1: the destination listens" wait_for 20 incoming_waits
    qmp migrate "{\"uri\":\"unix:$SOCKET\"}"
}

# begins_postcopy NAME: the guest that has set out goes on at the destination, until all is there.
begins_postcopy() {
    check "$1: it is under way" wait_for 20 migration_is active
    sleep 2
    qmp migrate-start-postcopy
    check "$1: the guest runs before its memory is there" \
        wait_for 30 migration_is postcopy-active
    second answers "$1" 2 memory_ready
}

# completes NAME SECONDS: the migration, in this time, and the source's QEMU ends.
completes() {
    check "$1: the migration is complete" wait_for "$2" migration_is completed
    cat /run/migration
    hmp info migrate
    qmp quit
    check "$1: the source ends" wait_for 20 guest_ended
    rm -f $SOCKET
}

# moves NAME: from the first QEMU to the second one on this host, which listens.
moves() {
    sets_out "$1"
    completes "$1" 120
}

# --- hot upgrade: a new QEMU on the same host, which gets the guest's memory and CPUs as they are

CPR_SOCKET=/run/cpr.socket
# With memory and ROMs that another process can have.
SHARED_MEMORY="-object memory-backend-memfd,id=ram,size=192M,share=on"
SHARED_MEMORY="$SHARED_MEMORY -machine memory-backend=ram,aux-ram-share=on"

# socket_channel TYPE PATH: a channel of a migration, in JSON.
socket_channel() {
    echo "{\"channel-type\":\"$1\",\"addr\":{\"transport\":\"socket\",\"type\":\"unix\",\"path\":\"$2\"}}"
}
# successor WORD...: as the second guest what they start, as a new QEMU that waits for the first
# one's guest.
successor() { second "$@" -incoming "unix:$SOCKET" -incoming "$(socket_channel cpr $CPR_SOCKET)"; }
successor_waits() { [ -S $CPR_SOCKET ]; }

# return_path: the old QEMU waits until the new one says that all has arrived.
return_path() {
    qmp migrate-set-capabilities '{"capabilities":[{"capability":"return-path","state":true}]}'
}

# passes_on NAME [CHANNEL]: the guest, to its successor, over this channel.
passes_on() {
    check "$1: the new QEMU waits" wait_for 20 successor_waits
    pass_on "$2"
}
pass_on() {
    parameters '"mode":"cpr-transfer"'
    channels=${1:-$(socket_channel main $SOCKET)},$(socket_channel cpr $CPR_SOCKET)
    qmp migrate "{\"channels\":[$channels]}" | tee /run/answer
}

# upgrades NAME: so that the guest runs there, and the old QEMU has ended.
upgrades() {
    passes_on "$1"
    completes "$1" 60
    rm -f $CPR_SOCKET
}

# tool NAME STATUS ARGUMENT...: of hpvm-upgrade, and with which status it ends; what it says is in
# /run/said. The guest has a monitor at $MONITOR; the pipes of the other one, and its log, only one
# QEMU can have.
CHANGES="--change /run/guest.log=/run/guest2.log --change /run/qmp=/run/qmp2"
tool() {
    name=$1 wanted=$2
    shift 2
    # shellcheck disable=SC2086  # several words
    hpvm-upgrade $CHANGES "$@" >/run/said 2>&1
    status=$?
    sed 's/^/tool| /' /run/said
    is "$name: its exit status" $status "$wanted"
}
said() { grep -q "$1" /run/said; }
# pipes: for the monitor of the new QEMU.
pipes() {
    mkfifo /run/qmp2.in /run/qmp2.out
    exec 6<>/run/qmp2.in 7<>/run/qmp2.out
    echo '{"execute":"qmp_capabilities"}' >&6
}
# second_of_tool: the QEMU that it has started is the second guest's.
second_of_tool() {
    SECOND_PID=$(sed -n 's/^5.5 .* with pid \([0-9]*\);.*/\1/p' /run/said)
    touch /run/qemu2.log
}

# endless_guest MIB QEMU-ARGUMENT...: a Linux guest that is at work until it's told to end. Its
# timers are counted: each wakes it, or it says that it came too late for it. A message goes around
# its vCPUs, which compare their clocks and write and read so much memory: one that is lost, or
# memory that is wrong, ends it.
ENDLESS_PERIOD_US=20000
endless_guest() {
    busy=$1
    shift
    if [ -z "$SERIAL_INPUT" ]; then
        SERIAL_INPUT=/run/input
        mkfifo $SERIAL_INPUT
        exec 8<>$SERIAL_INPUT
    fi
    linux_guest "hpvm.timers=100000000 hpvm.until_input=1 hpvm.period_us=$ENDLESS_PERIOD_US hpvm.busy=$busy hpvm.busy_rest_us=0" "$@"
}

# ends_when_told ROUNDS: such a guest, whose message has gone around more often; and it has missed
# nothing.
ends_when_told() {
    echo >&8
    check "the guest came to its end" await_guest 60 hpvm:.elapsed_us
    wait_guest 30
    is "QEMU ended well" $? 0
    is "each timer came" $(($(figure timers_fired) + $(figure timers_missed))) "$(figure timers)"
    # By the guest's own clock, the last one's moment: none was early, and none twice.
    check "none was early" [ "$(figure elapsed_us)" -ge $(($(figure timers) * ENDLESS_PERIOD_US)) ]
    check "messages went around, and memory was written" [ "$(figure rounds)" -gt "$1" ]
    note "$(figure timers_missed) of $(figure timers) timers missed, $(figure worst_late_us) us late" \
        "at most; $(figure rounds) rounds of the message"
}

# one_guest CPU QEMU-ARGUMENT...: a Linux guest whose one vCPU is direct on this CPU, or with
# STOCK set ordinary and pinned there. Its timers are counted, and it writes memory.
one_guest() {
    one_cpu=$1
    shift
    if [ -n "$STOCK" ]; then
        set -- -accel kvm -overcommit cpu-pm=on "$@"
    else
        set -- -accel kvm,hpvm=on,hpvm-cpus="$one_cpu" "$@"
    fi
    linux_guest "idle=poll hpvm.timers=$TIMERS hpvm.period_us=$PERIOD_US hpvm.busy=1 hpvm.marks=1000" \
        -cpu "$LINUX_CPU" "$@"
    # A successor has no vCPU yet.
    case "$*" in
    *'"cpr"'*) ;;
    *) [ -z "$STOCK" ] || check "the vCPU is pinned to CPU $one_cpu" pin_vcpus "$one_cpu" ;;
    esac
}

# trace_runs: when vCPUs enter and leave their guests is recorded from now on, by the TSC.
RUNS=/sys/kernel/tracing/instances/runs
trace_runs() {
    mkdir $RUNS
    echo x86-tsc >$RUNS/trace_clock
    echo 16384 >$RUNS/buffer_size_kb
    echo "port==$MARK_PORT" >$RUNS/events/kvm/kvm_pio/filter
    for event in kvm_entry kvm_exit kvm_pio; do
        echo 1 >$RUNS/events/kvm/$event/enable
    done
}

# report_migration SOURCE DESTINATION: "data" of what it took, by the record; the arguments are
# the vCPUs' threads.
report_migration() {
    awk -v source="0/KVM-$1" -v destination="0/KVM-$2" '
        # A vCPU has a name of two words: "CPU 0/KVM-123 [001] d.... 456: kvm_exit: ..."
        $6 == "kvm_exit:" && $2 == source { left = $5 + 0 }
        $6 == "kvm_entry:" && $2 == destination && !entered { entered = $5 + 0 }
        $6 == "kvm_exit:" && $2 == destination && marks && marks <= 10 { exits++ }
        $6 == "kvm_exit:" && $2 == destination && marks <= 10 && / EPT_VIOLATION / { faults++ }
        $6 == "kvm_pio:" && $2 == destination { marks++ }
        END {
            # The marks are exits, too.
            if (!left || entered < left || marks < 11)
                exit 1
            print "downtime", entered - left
            print "exits_after", exits - 10
            print "ept_violations", faults + 0
        }
    ' $RUNS/trace >/run/figures && data_of_figures ""
}

# report_phases: what QEMU did meanwhile, in instructions, of which a microsecond has 100.
report_phases() {
    sed -n 's/\r//; s/^.*@\([0-9]*\)\.\([0-9]*\):vmstate_downtime_checkpoint /\1\2 /p' \
        /run/qemu.source /run/qemu2.log | sort -n >/run/phases
    cat /run/phases
    awk 'NR > 1 { print "phase." $2, ($1 - before) * 100 } { before = $1 }' /run/phases >/run/figures
    data_of_figures ""
    grep -q vm-started /run/phases
}

# measure_migration: of the guest, at work, to another CPU.
measure_migration() {
    begin_measured
    # shellcheck disable=SC2086  # several words
    second one_guest 2 $SAYS -incoming "unix:$SOCKET"
    if [ -z "$STOCK" ]; then
        check "the source is direct" hpvm_direct
        check "memory is mapped before the guest comes" wait_for 60 second memory_mapped
    fi
    trace_runs
    moves migration
    data "downtime_bytes $(sed -n 's/.*"downtime-bytes": \([0-9]*\).*/\1/p' /run/migration)"
    end_measured
}
# measure_upgrade: of its QEMU; of a direct guest in the way of hpvm-upgrade.
measure_upgrade() {
    [ -n "$STOCK" ] || SHARED_MEMORY="$SHARED_MEMORY,suppress-vmdesc=on"
    # shellcheck disable=SC2086  # several words
    begin_measured $SHARED_MEMORY
    # shellcheck disable=SC2086  # several words
    successor one_guest 1 $SAYS $SHARED_MEMORY
    if [ -z "$STOCK" ]; then
        check "the guest is direct before" hpvm_direct
        return_path
    fi
    trace_runs
    upgrades upgrade
    [ -z "$STOCK" ] || check "the vCPU is pinned again" second pin_vcpus 1
    end_measured
}
# begin_measured QEMU-ARGUMENT...
begin_measured() {
    TIMERS=30000 PERIOD_US=300
    # Where QEMU is on its way it says itself.
    SAYS="-msg timestamp=on -trace vmstate_downtime_checkpoint"
    # shellcheck disable=SC2086  # several words
    one_guest 1 $SAYS "$@"
    check "the guest is up" await_guest 120 hpvm:.ready
    from=$(vcpu_threads)
}
end_measured() {
    to=$(second vcpu_threads)
    echo 0 >$RUNS/events/kvm/kvm_entry/enable
    cp /run/qemu.log /run/qemu.source
    [ -n "$STOCK" ] || check "the guest is direct" second hpvm_direct
    second await_guest 120 hpvm:.elapsed_us
    second wait_guest 30
    is "QEMU ended well" $? 0
    check "what it took was recorded" report_migration "$from" "$to"
    check "and QEMU's part of it" report_phases
    second one_guest_report
}
one_guest_report() {
    lost=$(($(figure elapsed_us) / PERIOD_US - $(figure timers_fired) - $(figure timers_missed)))
    is "every timer fired or was too late" \
        $(($(figure timers_fired) + $(figure timers_missed))) "$TIMERS"
    data "timers_lost $lost"
    data "timers_missed $(figure timers_missed)"
    check "no timer was lost" [ "${lost#-}" -le 1 ]
}

# measure_cont: from "cont" to the first instruction of a guest of 1 GiB of 4 KiB pages, at its
# start, and when it has been stopped, the median of nine times.
measure_cont() {
    echo never >/sys/kernel/mm/transparent_hugepage/enabled
    start_guest -S -m 1024 -kernel /guest/apic.elf -append "count=1000000000" -cpu host "$@"
    wait_for 10 has_vcpu
    [ -n "$STOCK" ] || check "all of its memory is mapped" wait_for 100 memory_mapped
    check "QEMU has started" wait_for 20 guest_is prelaunch
    sleep 1
    trace_runs
    echo start >$RUNS/trace_marker
    qmp cont
    check "the guest is up" await_guest 60 hpvm:.ready
    echo 0 >$RUNS/tracing_on
    [ -n "$STOCK" ] || check "it is direct" hpvm_direct
    [ -n "$STOCK" ] || check "what its firmware has changed is mapped" wait_for 100 memory_mapped
    for _ in 1 2 3 4 5 6 7 8 9; do
        qmp stop
        sleep 1
        echo 1 >$RUNS/tracing_on
        echo again >$RUNS/trace_marker
        qmp cont
        nap
        echo 0 >$RUNS/tracing_on
    done
    check "its first instructions were seen" report_cont
    qmp quit
    wait_guest 20
}
report_cont() {
    awk '
        $5 == "tracing_mark_write:" { when = $6; begin = $4 + 0 }
        $6 == "kvm_entry:" && when { print when, $5 - begin; when = ""; n++ }
        END { exit n != 10 }
    ' $RUNS/trace >/run/conts || return
    cat /run/conts
    (grep start /run/conts && grep again /run/conts | sort -n -k 2 | sed -n 5p) >/run/figures
    data_of_figures cont.
}

# --- two hosts --------------------------------------------------------------------
#
# With the setting 'hosts 2' the body runs in both, and HOST says in which: a or b. A
# network connects them, which guests can be in, too ($BRIDGED): .11 is host a, .12 host b.
NET=192.168.7
BRIDGED="-netdev tap,id=net,ifname=tap0,script=/run/bridge-up,downscript=no"
BRIDGED="$BRIDGED -device virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:02"
case $HOST in a) PEER=b ;; b) PEER=a ;; esac
address() { case $1 in a) echo $NET.11 ;; b) echo $NET.12 ;; esac }

plug_in() {
    brctl addbr br0
    brctl addif br0 eth0
    ifconfig lo 127.0.0.1 up
    ifconfig eth0 mtu 16000 up
    # The words of 'peer' have addresses of their own, for when the others are taken away.
    ifconfig br0 "10.0.0.$(address "$HOST" | cut -d. -f4)" netmask 255.255.255.0 up
    ip address add "$(address "$HOST")"/24 dev br0
    # Frames are large between the hosts, for the sake of speed.
    # shellcheck disable=SC2016  # that's for the script
    printf '#!/bin/sh\nifconfig "$1" mtu 16000 up && brctl addif br0 "$1"\n' >/run/bridge-up
    chmod +x /run/bridge-up
}

# meet: from here on the body of host a goes on alone; that of host b does what 'peer' says,
# until a's has ended.
meet() {
    mkfifo /run/told /run/answered
    if [ "$HOST" = b ]; then
        nc -l -p 7 0<>/run/answered 1<>/run/told &
        while read -r words </run/told; do
            eval "$words"
            echo $? >/run/answered
        done
    fi
    until nc 10.0.0.12 7; do nap; done 0<>/run/told 1<>/run/answered 2>/dev/null &
    check "the hosts have met" peer true
}

# peer WORD...: the words, none of which has a quote ('), in host b, and their status.
peer() {
    words=
    for word; do
        words="$words '$word'"
    done
    echo "$words" >/run/told
    read -r status </run/answered
    return "${status:-1}"
}

# on HOST WORD...
on() {
    where=$1
    shift
    if [ "$where" = "$HOST" ]; then "$@"; else peer "$@"; fi
}

# part: at the end of host a's body.
part() { [ "$HOST" = b ] || [ ! -p /run/told ] || echo "exit" >/run/told; }

# travelling_guest QEMU-ARGUMENT...: a guest for both hosts, with $VCPUS vCPUs (2) on CPU 1
# and up. Its timers are counted; meanwhile it passes messages between its vCPUs, which compare
# their clocks, and writes memory; and answers pings.
travelling_guest() {
    : "${VCPUS:=2}"
    # shellcheck disable=SC2086  # several words
    linux_guest "hpvm.timers=1000000 hpvm.period_us=20000 hpvm.busy=4 hpvm.network=1" \
        -smp "$VCPUS" $BRIDGED ${TRAVELS_AS:--accel kvm,hpvm=on,hpvm-cpus=1-$VCPUS -cpu $LINUX_CPU} "$@"
}

# start_pings, five in a second, and end_pings.
start_pings() { ping -q -i 0.2 $NET.2 >/run/pings & PING_PID=$!; }
end_pings() {
    kill -INT "$PING_PID"
    wait "$PING_PID"
    cat /run/pings
    read -r sent lost <<END
$(awk '/ transmitted/ { print $1, $1 - $4 }' /run/pings)
END
    note "$lost of $sent pings lost"
    data "pings $sent"
    data "pings_lost $lost"
    check "most pings were answered" [ $((lost * 5)) -lt "$sent" ]
    check "the guest answers now" ping -q -c 5 -W 5 $NET.2
}

MIGRATION_PORT=4444
listens() { grep -q "$(printf ': 00000000:%04X 00000000:0000 0A' $MIGRATION_PORT)" /proc/net/tcp; }
# expects_guest: in this host, until it listens.
expects_guest() {
    travelling_guest -incoming "tcp:0:$MIGRATION_PORT"
    wait_for 20 listens
}

# travels NAME HOST: the guest, to this host, where it runs well.
travels() {
    check "$1: the destination listens" on "$2" expects_guest
    case $2 in a) from=b ;; b) from=a ;; esac
    on "$from" leaves "$1"
    on "$2" arrives "$1"
}

# departs BANDWIDTH: the guest is on its way to the other host, with so many bytes per second.
departs() {
    qmp migrate-set-parameters "{\"downtime-limit\":1000,\"max-bandwidth\":$1}"
    qmp migrate "{\"uri\":\"tcp:$(address "$PEER"):$MIGRATION_PORT\"}"
}

# leaves NAME: the guest, for the other host.
leaves() {
    departs 1000000000
    completes "$1" 120
    killall tail
}

# arrives NAME: what has come from the other host is as it was there.
arrives() {
    runs_well "$1"
    is "$1: all vCPUs have one TSC" "$(tsc_offsets | wc -l)" 1
    check "$1: which goes on, and isn't the host's" [ "$(tsc_offsets)" != 0 ]
}

# comes_to_its_end: the guest, in this host, told by the network; nothing was lost on the way.
comes_to_its_end() {
    check "the guest can be called" timeout 20 nc $NET.2 7 </dev/null
    check "the guest came to its end" await_guest 30 hpvm:.elapsed_us
    wait_guest 30
    is "QEMU ended well" $? 0
    TIMERS=$(($(figure elapsed_us) / 20000))
    lost=$((TIMERS - $(figure timers_fired) - $(figure timers_missed)))
    # The last one may have come after its time.
    check "of $TIMERS timers none was lost" [ "${lost#-}" -le 1 ]
    check "nor was the message" [ "$(figure rounds)" -gt 0 ]
    check "time hasn't jumped" [ "$(figure longest_gap_us)" -lt 10000000 ]
    note "$(figure timers_missed) timers missed, $(figure worst_late_us) us late at most;" \
        "$(figure rounds) rounds of the message; $(figure longest_gap_us) us between two timers"
    data "timers_lost $lost"
    data "timers $TIMERS"
    data "rounds $(figure rounds)"
}

# --- libvirt ----------------------------------------------------------------------
#
# With the setting 'libvirt' the host is a Debian with libvirtd. The guest is the example's of
# hpvm-tools, two vCPUs on CPUs 2 and 3.
VM=hpvm1

# domain SED-EXPRESSION: the example, changed by that; and what this lab has otherwise: little
# memory, no disk and no network, a kernel instead, and what the guest says in $GUEST_LOG.
domain() {
    boot="<kernel>/guest/vmlinuz</kernel><initrd>/guest/initrd</initrd><cmdline>$LINUX_WORDS"
    boot="$boot idle=poll hpvm.timers=100000000 hpvm.until_input=1</cmdline>"
    sed -e "s,<memory unit='GiB'>4<,<memory unit='MiB'>192<," \
        -e '/<disk /,/<\/disk>/d; /<interface /,/<\/interface>/d' \
        -e "s,<boot dev='hd'/>,$boot," \
        -e "s,<serial type='pty'/>,<serial type='pty'><log file='$GUEST_LOG'/></serial>," \
        -e "$1" /files/domain.xml
}

# vm_qmp COMMAND: QEMU's answer, by libvirt.
vm_qmp() { virsh qemu-monitor-command "$VM" "{\"execute\":\"$1\"}"; }
vm_hmp() { virsh qemu-monitor-command "$VM" --hmp "$*"; }
vm_is() { [ "$(virsh domstate "$VM" | head -n 1)" = "$1" ]; }
# vm_direct [VCPUS]: so many of them are (2), and no other.
vm_direct() {
    [ "$(vm_qmp query-hpvm | grep -o '"state": *"[a-z]*"' | grep -c direct)" = "${1:-2}" ]
}
vm_pid() { cat "/run/libvirt/qemu/$VM.pid"; }
vm_up() { [ "$(grep -c hpvm:.ready "$GUEST_LOG")" = "${1:-1}" ]; }
vm_gone() { not virsh domstate "$VM"; }

# libvirtd_up: there is one.
libvirtd_up() {
    check "libvirtd is up" virsh list && data "libvirt $(virsh --version)"
}
# vm_starts: the guest, and comes up.
vm_starts() {
    domain "" >/run/domain.xml
    check "the domain is defined" virsh define /run/domain.xml
    check "start: virsh does it" virsh start "$VM" || return
    check "start: the guest is up" wait_for 60 vm_up
    vm_at_work start
}
# vm_at_work NAME: the guest runs in this host, direct, and QEMU is no privileged user's.
vm_at_work() {
    check "$1: it runs" vm_is running
    check "$1: both vCPUs are direct" wait_for 20 vm_direct || vm_hmp info hpvm
    is "$1: QEMU's user" "$(stat -c %U "/proc/$(vm_pid)")" libvirt-qemu
}
# vm_gives_back NAME: the CPUs, and isn't there any more.
vm_gives_back() {
    check "$1: it's shut off" vm_is "shut off"
    check "$1: no CPU is dedicated" wait_for 10 none_dedicated
}
no_denial() { is "the kernel's log has no denial" "$(dmesg | grep -i -e denied -e apparmor=)" ""; }

# vm_refused NAME TEXT COMMAND...: it fails, and virsh says this of QEMU's; no CPU is taken.
vm_refused() {
    vm_name=$1 vm_text=$2
    shift 2
    if "$@" >/run/said 2>&1; then
        not_ok "$vm_name: it's refused"
    fi
    cat /run/said
    check "$vm_name: virsh says: $vm_text" grep -q -F -e "$vm_text" /run/said ||
        note "$(tr '\n' ' ' </run/said)"
}

# --- another kernel for the host ------------------------------------------------

# start_kernel [-p]: go on with the kernel /files/bzImage, or after a panic with -p. It
# says that it runs, and on which CPUs, which ends the scenario: a CPU that was in a guest
# starts anew only if it left that and stopped.
start_kernel() {
    mkdir -p /run/next/bin /run/next/dev /run/next/sys
    cp /bin/busybox /run/next/bin/
    cat >/run/next/init <<'END'
#!/bin/busybox sh
busybox mount -t devtmpfs devtmpfs /dev
busybox mount -t sysfs sysfs /sys
busybox stty -F /dev/ttyS1 raw -echo
echo "ok another kernel runs" >/dev/ttyS1
read -r online </sys/devices/system/cpu/online
[ "$online" = 0-1 ] || echo -n "not " >/dev/ttyS1
echo "ok on CPUs $online" >/dev/ttyS1
echo "done" >/dev/ttyS1
while :; do busybox sleep 1000; done
END
    chmod +x /run/next/init
    (cd /run/next && find . | cpio -o -H newc) >/run/next.cpio
    # What the host itself was told, but for the memory that it set apart.
    kexec "$@" /files/bzImage /run/next.cpio \
        "$(sed 's/crashkernel=[^ ]*//' /proc/cmdline) nr_cpus=2"
}

# --- exits over the guest's quiet interval ------------------------------------
#
# The guest marks the interval with writes to an I/O port that no device has. Two
# instances of the tracer count KVM's exits by reason: one starts at the first mark,
# the other at the second, both run until QEMU has ended. Their difference is exact:
# the exit of the first mark precedes the start of both counts, the exit of the
# second is in the difference, once, and is taken off here.

MARK_PORT=0xf4
ICR_MSR=0x830
# Exit reasons by number (uapi/asm/vmx.h, svm.h); EXIT_NMI is the runner's.
# shellcheck disable=SC2034  # scenarios use them
case $LAB in
vmx) EXIT_INTR=1 EXIT_IO=30 EXIT_WRMSR=32 ;;
svm) EXIT_INTR=96 EXIT_IO=123 EXIT_WRMSR=124 ;;
esac

count_start() {
    for mark in 1 2; do
        instance=/sys/kernel/tracing/instances/mark$mark
        [ ! -d $instance ] || rmdir $instance
        mkdir $instance
        events=$instance/events/kvm
        # A CPU that meets a key which another is just entering gives up after that many tries.
        echo 'hist:keys=exit_reason:size=4096:pause' >$events/kvm_exit/trigger
        echo "hist:keys=ecx:pause if write==1 && ecx==$ICR_MSR" >$events/kvm_msr/trigger
        for event in kvm_exit kvm_msr; do
            echo "enable_hist:kvm:$event if port==$MARK_PORT && val==$mark" \
                >>$events/kvm_pio/trigger
        done
        echo "port==$MARK_PORT" >$events/kvm_pio/filter
        echo 1 >$events/kvm_pio/enable
    done
}

count_end() { rmdir /sys/kernel/tracing/instances/mark[12]; }

# counted INSTANCE: "REASON COUNT" lines.
counted() {
    sed -n 's/^{ exit_reason: *\([0-9]*\) *} hitcount: *\([0-9]*\).*/\1 \2/p' \
        /sys/kernel/tracing/instances/"$1"/events/kvm/kvm_exit/hist
}

# IPIs sent through KVM after mark MARK. Those of direct mode's fast path, which has
# no tracepoint, are the "ipis" of query-hpvm, and no exit that the tracer sees.
counted_icr() {
    sed -n 's/^{ ecx: .*} hitcount: *\([0-9]*\).*/\1/p' \
        /sys/kernel/tracing/instances/mark"$1"/events/kvm/kvm_msr/hist
}

# count_report NAME: "data NAME.exits.REASON COUNT" lines for the interval, its
# length, and the guest's own figures. Fails when the counts are not whole.
count_report() {
    for mark in 1 2; do
        hist=/sys/kernel/tracing/instances/mark$mark/events/kvm/kvm_exit/hist
        if ! grep -q '^ *Dropped: 0' $hist; then
            echo "the tracer lost exits"
            return 1
        fi
    done
    trace=/sys/kernel/tracing/instances/mark1/trace
    if [ "$(grep -c kvm_pio $trace)" != 2 ]; then
        echo "the guest did not mark its interval with two writes"
        grep kvm_pio $trace
        return 1
    fi
    counted mark1 >/run/count1
    counted mark2 >/run/count2
    awk -v io="$EXIT_IO" '
        NR == FNR { after[$1] = $2; next }
        { n = $2 - after[$1] - ($1 == io); if (n) print $1, n }
    ' /run/count2 /run/count1 >/run/counts
    while read -r reason n; do
        data "$1.exits.$reason $n"
    done </run/counts
    icr_1=$(counted_icr 1) icr_2=$(counted_icr 2)
    ICR_WRITES=$((${icr_1:-0} - ${icr_2:-0}))
    data "$1.icr_writes $ICR_WRITES"
    awk '/kvm_pio/ { for (i = 1; i < NF; i++) if ($i ~ /^[0-9]+\.[0-9]+:$/) t[++n] = $i }
        END { printf "%.6f\n", t[2] - t[1] }' $trace >/run/seconds
    data "$1.seconds $(cat /run/seconds)"
    report_figures "$1"
}

# figure_list PATTERN: "KEY VALUE" lines of what the guest reported under such names.
figure_list() { sed -n "s/\r\$//; s/^hpvm: $1=\(.*\)/\1 \2/p" $GUEST_LOG; }

# report_figures NAME: "data NAME.KEY VALUE" lines, what the guest said.
report_figures() {
    figure_list '\([a-z0-9_]*\)' >/run/figures
    data_of_figures "$1."
}
# data_of_figures PREFIX: of /run/figures.
data_of_figures() {
    while read -r key value; do
        data "$1$key $value"
    done </run/figures
}

# figure KEY: what the guest reported.
figure() { sed -n "s/\r\$//; s/^hpvm: $1=//p" $GUEST_LOG; }

# exits_total: of the last count_report.
exits_total() { awk '{ n += $2 } END { print n + 0 }' /run/counts; }

# exits_said: "N exits" of the last count_report and, of a few, how many of which reason,
# as the SDM (decimal) or the APM (hexadecimal) numbers them.
exits_said() {
    awk -v format="$([ "$LAB" = svm ] && echo '%s%d of reason %#x' || echo '%s%d of reason %d')" '
        { total += $2; list = list sprintf(format, NR > 1 ? ", " : "", $2, $1) }
        END { print total + 0 " exits" (total && total < 100 ? " (" list ")" : "") }
    ' /run/counts
}

# An exit in the svm lab takes a hundred times as long as on a processor.
case $LAB in
vmx) : "${TIMERS:=1000}" "${PERIOD_US:=1000}" ;;
svm) : "${TIMERS:=500}" "${PERIOD_US:=10000}" ;;
esac

# keep_awake: where KVM has a housekeeping CPU inject a guest's timer (pi_inject_timer), the timer
# moves there only if that CPU is to wake up earlier anyway: it can't be told to from afar. So
# CPU 0 wakes up each 100 us.
keep_awake() { taskset -c 0 cyclictest -q -m -p 90 -t 1 -i 100 >/dev/null & }

# measure_timers NAME GUEST-CMDLINE QEMU-ARGUMENT...: the Linux guest with the timer
# workload ($TIMERS timers, one every $PERIOD_US), its exits counted. With PIN_CPU set,
# the vCPU is pinned there, as stock KVM needs.
measure_timers() {
    name=$1
    guest_cmdline=$2
    shift 2
    count_start
    linux_guest "hpvm.timers=$TIMERS hpvm.period_us=$PERIOD_US $guest_cmdline" "$@"
    if [ -n "$PIN_CPU" ]; then
        check "$name: the vCPU is pinned to CPU $PIN_CPU" pin_vcpus "$PIN_CPU"
    fi
    await_guest 60 hpvm:.ready && stage "$name: the guest is up"
    wait_guest $((120 + TIMERS * PERIOD_US / 500000))
    is "$name: QEMU ended well" $? 0
    case $LAB in
    vmx) is "$name: every timer fired" "$(figure timers_fired)" "$TIMERS" ;;
    svm)
        # Real time passes: on a busy machine the guest comes too late for some.
        is "$name: no timer was lost" \
            $(($(figure timers_fired) + $(figure timers_missed))) "$TIMERS"
        check "$name: most timers fired" [ $(($(figure timers_fired) * 2)) -gt "$TIMERS" ]
        ;;
    esac
    check "$name: exits were counted" count_report "$name"
}

# measure_messages NAME VCPUS QEMU-ARGUMENT...: the Linux guest passes $MESSAGES
# messages around its vCPUs.
measure_messages() {
    name=$1
    VCPUS=$2
    shift 2
    case $LAB in
    vmx) : "${MESSAGES:=20000}" ;;
    svm) : "${MESSAGES:=2000}" ;;
    esac
    measure_ipis "$name" "$MESSAGES" "hpvm.messages=$MESSAGES idle=poll" \
        -smp "$VCPUS" -no-shutdown "$@"
}

# measure_hackbench NAME VCPUS QEMU-ARGUMENT...: the Linux guest runs hackbench's load,
# $LOOPS times 400 messages, and idles with HLT. It stays when it's done.
measure_hackbench() {
    name=$1
    VCPUS=$2
    shift 2
    measure_ipis "$name" $((400 * LOOPS)) "hpvm.hackbench=$LOOPS hpvm.stay=1 hpvm.cpus=$VCPUS" "$@"
}

# direct_ipis: IPIs of direct mode's fast path until now.
direct_ipis() {
    qmp query-hpvm | grep -o '"ipis": [0-9]*' | awk '{ n += $2 } END { print n + 0 }'
}

# measure_ipis NAME MESSAGES GUEST-CMDLINE QEMU-ARGUMENT...: a guest that sends so many
# messages. It's there until it has been asked for its IPIs. With PIN_CPU set the vCPUs
# are pinned.
measure_ipis() {
    name=$1
    wanted=$2
    guest_cmdline=$3
    shift 3
    count_start
    linux_guest "$guest_cmdline" "$@"
    if [ -n "$PIN_CPU" ]; then
        check "$name: the vCPUs are pinned, CPU $PIN_CPU and up" pin_vcpus "$PIN_CPU"
    fi
    await_guest 120 hpvm:.ready && stage "$name: the guest is up"
    booting=$(direct_ipis)
    await_guest 240 'hpvm:.\(nmi\|failed\)='
    is "$name: all vCPUs are up" "$(figure cpus)" "$VCPUS"
    is "$name: every message arrived" "$(figure messages)" "$wanted"
    hmp info hpvm
    IPIS=$(($(direct_ipis) - booting))
    data "$name.ipis $IPIS"
    qmp quit
    wait_guest 10
    is "$name: QEMU ended well" $? 0
    check "$name: exits were counted" count_report "$name"
    data "$name.besides_ipis $(exits_besides_ipis)"
    note "$name: $(exits_total) exits, $ICR_WRITES of them IPIs sent"
}

# exits_besides_ipis: of the last count_report.
exits_besides_ipis() { echo $(($(exits_total) - ICR_WRITES)); }

# --- loads: Debian's own programs in the guest ----------------------------------

# Which (tests/guest/loads.c), how the guest idles meanwhile (poll, default), and for how long
# each is counted.
: "${LOADS:=redis}" "${IDLES:=default}" "${INTERVAL_MS:=2000}"

# guest_reached LOAD.WHERE: guest_said without a process, which quiet intervals don't bear; or it
# has ended.
guest_reached() {
    while read -r said; do
        case $said in *"hpvm: $1="*) return ;; esac
    done <$GUEST_LOG
    guest_ended
}

# measure_loads SUFFIX QEMU-ARGUMENT...: a Linux guest with $VCPUS vCPUs runs $LOADS, once for each
# of $IDLES, and the first of them $MORE_LOADS, too. With PIN_CPU set the vCPUs are pinned.
measure_loads() {
    suffix=$1
    shift
    now="$LOADS $MORE_LOADS"
    MORE_LOADS=
    for idle in $IDLES; do
        run_loads "$idle" "$idle$suffix" "$@"
        now=$LOADS
    done
}

# run_loads IDLE NAME QEMU-ARGUMENT...: the exits of each load are counted as LOAD-$VCPUS.NAME.
run_loads() {
    idle=$1
    case_name=$2
    shift 2
    if [ ! -p /run/input ]; then
        mkfifo /run/input
        exec 8<>/run/input
    fi
    SERIAL_INPUT=/run/input
    case $idle in poll*) idle=idle=$idle ;; *) idle= ;; esac
    case " $now " in
    *" disk "*)
        set -- "$@" -drive "if=none,id=disk,driver=null-co,size=64M,read-zeroes=on" \
            -device nvme,drive=disk,serial=lab
        ;;
    esac
    [ -n "$CLIENTS" ] || trace_boot
    # shellcheck disable=SC2086  # blanks between them
    linux_guest "$idle hpvm.loads=$(echo $now | tr ' ' ,) hpvm.interval_ms=$INTERVAL_MS" \
        -m 256 -smp "$VCPUS" "$@"
    if [ -n "$PIN_CPU" ]; then
        check "$case_name: the vCPUs are pinned from CPU $PIN_CPU on" pin_vcpus "$PIN_CPU"
    fi
    [ -n "$CLIENTS" ] || check "$case_name: its start was counted" \
        report_boot "${now%% *}" "boot-$VCPUS.$case_name"
    for load in $now; do
        run_load "$load" "$load-$VCPUS.$case_name" || break
    done
    ! guest_alive || echo >&8
    wait_guest 30
    is "$case_name: QEMU ended well" $? 0
}

run_load() {
    load=$1
    name=$2
    wait_for 180 guest_reached "$load.ready"
    echo >&8
    wait_for 240 guest_reached "$load.warm"
    check "$name: the load is warm" guest_said "hpvm: $load.warm=" || return
    case $ACCEL in *hpvm=on*) check "$name: the guest is direct" wait_for 20 all_direct ;; esac
    [ -z "$CLIENTS" ] || check "$name: the clients run" "$CLIENTS" start_clients "$load"
    count_start
    ipis=$(direct_ipis)
    stage "$name: exits are counted"
    echo >&8
    wait_for 240 guest_reached "$load.counted"
    check "$name: the load went on to its end" guest_said "hpvm: $load.counted=" || return
    [ -z "$CLIENTS" ] || check "$name: so did the clients" "$CLIENTS" end_clients
    # Of the load's last seconds, not of the interval alone.
    data "$name.ipis $(($(direct_ipis) - ipis))"
    # The two counts are read one after the other, and the guest isn't at its end.
    qmp stop >/dev/null
    check "$name: exits were counted" count_report "$name"
    count_end
    qmp cont >/dev/null
    data "$name.exits_total $(exits_total)"
    data "$name.besides_ipis $(exits_besides_ipis)"
    figure_list "$load\.\([a-zA-Z0-9_]*\)" >/run/figures
    data_of_figures "$name."
    check "$name: requests were done" [ "$(figure "$load.marked_requests")" -gt 0 ]
    note "$name: $(exits_said); $(figure "$load.marked_requests") requests"
}

# trace_boot, before QEMU starts, and report_boot LOAD NAME: all until the guest's init waits with
# this load; nothing is mapped in its memory at first. A hundredth of a second is a million
# instructions here.
BOOT=/sys/kernel/tracing/instances/boot
trace_boot() {
    mkdir $BOOT
    echo 'hist:keys=exit_reason:size=4096' >$BOOT/events/kvm/kvm_exit/trigger
    booting=$(hundredths)
}
report_boot() {
    naps=18000
    until guest_reached "$1.ready"; do
        naps=$((naps - 1))
        [ $naps -gt 0 ] || return
        nap 0.01
    done
    booted=$(($(hundredths) - booting))
    guest_said "hpvm: $1.ready=" && grep -q '^ *Dropped: 0' $BOOT/events/kvm/kvm_exit/hist || return
    counted boot >/run/counts
    rmdir $BOOT
    while read -r reason n; do
        data "$2.exits.$reason $n"
    done </run/counts
    data "$2.exits_total $(exits_total)"
    data "$2.besides_ipis $(exits_total)"
    data "$2.ipis 0"
    data "$2.seconds $((booted / 100)).$(printf %02d $((booted % 100)))"
    data "$2.marked_requests 1"
    data "$2.marked_ticks $((booted * 1000000))"
    note "$2: $(exits_said), $booted million instructions"
}

# served_by_cards QEMU-ARGUMENT...: the same of servers in a guest on host a, whose clients are on
# host b: by QEMU's own virtio card, and by an assigned one.
served_by_cards() {
    # The assigned card has a cable of its own.
    if [ "$HOST" = b ]; then
        brctl addif br0 eth1
        ifconfig eth1 up
    fi
    meet
    now=$LOADS CLIENTS=peer
    # shellcheck disable=SC2086  # several words
    run_loads "poll hpvm.network=1 hpvm.remote=1" virtio "$@" $BRIDGED
    check "the card can be assigned" assign_device 0000:00:07.0
    # shellcheck disable=SC2086  # several words
    run_loads "poll hpvm.network=1 hpvm.remote=1" nic "$@" $ASSIGNED
}

# start_clients LOAD: until they're killed; in a second they are warm.
CLIENT=/run/clients
start_clients() {
    if [ ! -d $CLIENT ]; then
        mkdir $CLIENT
        (cd $CLIENT && cpio -i -d </guest/loads)
    fi
    wait_for 20 ping -q -c 1 -W 1 $NET.2 || return
    case $1 in
    redis)
        # As tests/guest/loads.c's; three of them.
        script="redis.call('set',KEYS[1],'value');redis.call('get',KEYS[1]);"
        script="${script}return redis.call('lrange','list',0,9)"
        for _ in 1 2 3; do
            chroot $CLIENT /usr/bin/redis-benchmark -h $NET.2 -c 16 -r 10000 -n 100000000 \
                eval "$script" 1 key:__rand_int__ >/run/client.log 2>&1 &
        done
        ;;
    nginx)
        chroot $CLIENT /usr/bin/wrk -t 1 -c 64 -d 10000s http://$NET.2:80/index.html \
            >/run/client.log 2>&1 &
        ;;
    esac
    sleep 2
    pidof redis-benchmark wrk >/dev/null
}
end_clients() {
    pidof redis-benchmark wrk >/dev/null && killall -q -9 redis-benchmark wrk
    # The one that isn't there is no failure.
    pidof redis-benchmark wrk && return 1
    return 0
}

# measure_exits NAME: what CPUID and WRMSR exits cost in an ordinary VM, by
# tests/guest/exits.c: one run whose exits are counted, and one without the tracer, whose
# instructions are theirs alone.
measure_exits() {
    count_start
    ordinary_exits "$1, counted"
    check "$1: exits were counted" count_report "$1"
    count_end
    ordinary_exits "$1"
    report_figures "$1"
}
ordinary_exits() {
    start_guest -accel kvm -cpu host -kernel /guest/exits.elf
    wait_guest 60
    is "$1: QEMU ended well" $? 0
}

# Each CPU that waits takes a turn in the svm lab.
# shellcheck disable=SC2034  # scenarios use it
case $LAB in
vmx) BENCH_VCPUS=8 ;;
svm) BENCH_VCPUS=4 ;;
esac

# starts_held SAYS: a guest with hpvm=on and -S, in ordinary mode, until it says so.
starts_held() {
    qmp hpvm-set-mode '{"mode":"ordinary"}' >/dev/null
    qmp cont >/dev/null
    check "the guest started" await_guest 30 "hpvm:.$1"
    check "and is held" hpvm_state ordinary
}

# measure_bench QEMU-ARGUMENT...: tests/guest/bench.c on $VCPUS vCPUs, with HOLD set in
# ordinary mode (for -S hpvm=on). The exits of its events are counted by the emulator in the
# vmx lab (setting 'witness').
measure_bench() {
    turns=
    if [ "$LAB" = svm ]; then
        trace_exits
        turns=turns
    fi
    start_guest -kernel /guest/bench.elf ${PIN_CPU:+-S} \
        -append "cpus=$VCPUS rounds=$ROUNDS marks=$((ROUNDS / 4)) $turns" "$@"
    [ -z "$HOLD" ] || starts_held started
    if [ -n "$PIN_CPU" ]; then
        check "the vCPUs are pinned from CPU $PIN_CPU on" pin_vcpus "$PIN_CPU"
        qmp cont >/dev/null
    fi
    wait_guest 60
    is "QEMU ended well" $? 0
    is "the guest measured all" "$(figure "done")" 1
    is "no interrupt but the expected" "$(figure unexpected)" 0
    report_figures bench
    [ "$LAB" = vmx ] || check "exits of each event were counted" count_events
}

# measure_shorthands VCPUS LAST-APIC-ID QEMU-ARGUMENT...: tests/guest/bench.c sends $BROADCASTS
# IPIs by shorthand, and their exits are counted: one each, at the sender, and a fast one.
measure_shorthands() {
    VCPUS=$1
    last=$2
    shift 2
    mkfifo /run/input
    exec 8<>/run/input
    SERIAL_INPUT=/run/input
    count_start
    start_guest -kernel /guest/bench.elf -no-shutdown \
        -append "cpus=$VCPUS rounds=1 broadcasts=$BROADCASTS wait" \
        -accel kvm,hpvm=on,hpvm-cpus="1-$VCPUS" -cpu host,-monitor "$@"
    check "$VCPUS vCPUs are up" await_guest 240 hpvm:.ready= || return
    echo >&8
    await_guest 120 hpvm:.measured=
    check "they are direct" wait_for 20 all_direct
    ipis=$(direct_ipis)
    echo >&8
    # Without a process, as exits are counted.
    wait_for 240 guest_reached broadcasts_arrived
    await_guest 20 hpvm:.done=
    is "each broadcast arrived everywhere, once" "$(figure broadcasts_arrived)" "$BROADCASTS"
    is "no interrupt but the expected" "$(figure unexpected)" 0
    is "the last APIC ID" "$(figure last_apic_id)" "$last"
    hmp info hpvm
    # The others were woken by one IPI each, before and after.
    fast=$(($(direct_ipis) - ipis - 2 * (VCPUS - 1)))
    qmp quit
    wait_guest 10
    is "QEMU ended well" $? 0
    check "exits were counted" count_report shorthands
    data "shorthands.fast $fast"
    is "each broadcast is one exit" "$ICR_WRITES" "$BROADCASTS"
    check "99 % of them are fast" [ $((fast * 100)) -ge $((BROADCASTS * 99)) ]
    check "hardly another exit" [ $(($(exits_besides_ipis) - $(exits_of "$EXIT_NMI"))) \
        -le $((BROADCASTS / 100)) ]
    note "$BROADCASTS broadcasts, $fast of them fast; $(exits_said)"
}

# trace_exits, before the guest starts, and count_events: "data EVENT.own.REASON N" lines
# of the exits while the guest's marks were around an event, those of the vCPU that made
# it, and EVENT.others.REASON. The mark's own exit isn't in it.
TRACE=/sys/kernel/tracing/instances/events
trace_exits() {
    mkdir $TRACE
    echo 1 >$TRACE/options/fields
    echo 8192 >$TRACE/buffer_size_kb
    echo "port==$MARK_PORT" >$TRACE/events/kvm/kvm_pio/filter
    echo 1 >$TRACE/events/kvm/kvm_pio/enable
    echo 1 >$TRACE/events/kvm/kvm_exit/enable
}
count_events() {
    figure_list 'marked_\([a-z_]*\)' >/run/events
    awk -v io="$EXIT_IO" '
        function field(name) {
            if (!match($0, name "=[^ ]* \\([0-9]+\\)"))
                return -1
            split(substr($0, RSTART, RLENGTH), part, /[()]/)
            return part[2] + 0
        }
        NR == FNR { name[++names] = $1; count[names] = $2; next }
        / kvm_exit: / && inside {
            n[name[now] (field("vcpu_id") ? ".others." : ".own.") field("exit_reason")]++
        }
        / kvm_pio: / && field("val") == 1 {
            inside = 1
            now += !count[now]
        }
        / kvm_pio: / && field("val") == 2 {
            inside = 0
            count[now]--
            n[name[now] ".own." io]--
        }
        END {
            for (key in n)
                if (n[key])
                    print key, n[key]
            exit now != names || count[now]
        }
    ' /run/events $TRACE/trace >/run/event_exits || return
    while read -r event; do
        data "$event"
    done </run/event_exits
}

# exits_of REASON: of the last count_report.
exits_of() { awk -v r="$1" '$1 == r { n = $2 } END { print n + 0 }' /run/counts; }

# Words for guests of their own kernel whose exits are counted. QEMU maps their memory again
# 100 ms after the firmware's last change of it; in the svm lab they could be done by then, so
# they wait for 300 ms.
case $LAB in
vmx) SETTLE= ;;
svm) SETTLE=settle=$(awk '/^cpu MHz/ { printf "%d", $4 * 300000; exit }' /proc/cpuinfo) ;;
esac

# hardly_any_exits ALLOWED: in the last count_report. In the svm lab some of the host's
# NMIs come on top: what is left of QEMU's start takes longer there than the guest's.
hardly_any_exits() {
    case $LAB in
    vmx) [ "$(exits_total)" -le "$1" ] ;;
    svm) [ $(($(exits_total) - $(exits_of "$EXIT_NMI"))) -le "$1" ] &&
        [ "$(exits_of "$EXIT_NMI")" -le 20 ] ;;
    esac
}

# hpvm_direct: true when the guest's first vCPU is in direct mode within 5 s.
hpvm_direct() { wait_for 5 hpvm_state direct; }
hpvm_state() { qmp query-hpvm | grep -q "\"state\": \"$1\""; }

# breaker_tripped: the circuit breaker holds a guest of this host, or has held one that may have
# ended since.
breaker_tripped() {
    { dmesg && hpvm-status; } | grep -e "hpvm: the VM of process .* is held in ordinary mode" -e "breaker-"
}
# untripped: a check, for guests that are well and at work.
untripped() { check "the circuit breaker has held none of them" not breaker_tripped; }

# direct_guest SECONDS [CPU-FLAGS]: a Linux guest in direct mode on CPU 1, which is to be up
# by then and stays.
direct_guest() {
    linux_guest "idle=poll hpvm.timers=100000000" \
        -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU$2"
    check "the guest is up" await_guest "$1" hpvm:.ready
    check "the guest is in direct mode" hpvm_direct
}

# other_guest CPU WORDS: a minimal guest in direct mode on this CPU, process $OTHER_PID, which
# stays beside the guest that is started next.
other_guest() {
    timer=auto
    case $2 in *oneshot*) timer=oneshot ;; esac
    start_guest -accel kvm,hpvm=on,hpvm-cpus="$1",hpvm-timer=$timer -cpu host \
        -kernel /guest/apic.elf -append "$2 count=1000000000"
    check "the other VM is up" await_guest 20 hpvm:.ready
    check "and in direct mode" hpvm_direct
    # shellcheck disable=SC2034  # scenarios use it
    OTHER_PID=$GUEST_PID
    exec 4>&- 5>&-
}

# measure_broadcasts [NOT]: what an IPI to all CPUs of the host costs, to 2, 4 and 8 of them, the
# others offline; CPU NOT, the last one, is none of them.
measure_broadcasts() {
    for n in 8 4 2; do
        for cpu in 7 6 5 4 3 2 1; do
            [ $cpu -lt $n ] || echo 0 >/sys/devices/system/cpu/cpu$cpu/online
        done
        is "$n: they are all of the host's" \
            "$(grep -c '^processor' /proc/cpuinfo)" $((n + $#))
        check "$n: broadcasts were measured" \
            taskset -c 0 broadcast "$(seq -s , 0 $((n - 1)))" "${ROUNDS:-300}" >/run/broadcast
        while read -r key value; do
            data "$n.$key $value"
        done </run/broadcast
    done
}

# snapshot PREFIX: sets PREFIX_NAME, what the kernel has counted on CPU 1 and KVM's exits
# of the guest, without a new process.
snapshot() {
    while read -r counter value; do
        eval "$1_$counter=$value"
    done </sys/kernel/debug/hpvm/cpu1
    for file in /sys/kernel/debug/kvm/"$GUEST_PID"-*/exits; do
        read -r value <"$file"
    done
    eval "$1_exits=$value"
}

# quiet WHEN COUNTER...: these of a snapshot's don't change in 4 s.
quiet() {
    when=$1
    shift
    for _ in $(seq 30); do nap; done
    snapshot was
    for _ in $(seq 40); do nap; done
    snapshot now
    for counter; do
        eval "set -- \$((now_$counter - was_$counter))"
        is "$when, in 4 s: $counter" "$1" 0
    done
}

# available: memory in KiB, after what was freed has come back, also to the CPUs' own lists of
# free pages, which the kernel doesn't count: up to 17 MB each.
available() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    sleep 1
    awk '$1 == "MemAvailable:" { n += $2 } $1 == "count:" { n += 4 * $2 } END { print n }' \
        /proc/meminfo /proc/zoneinfo
}

# measure_apic NAME WORDS QEMU-ARGUMENT...: tests/guest/apic.c with these words, its
# exits counted.
measure_apic() {
    name=$1
    append=$2
    shift 2
    count_start
    start_guest -kernel /guest/apic.elf -append "$append $SETTLE" "$@"
    if [ -n "$PIN_CPU" ]; then
        check "$name: the vCPU is pinned to CPU $PIN_CPU" pin_vcpus "$PIN_CPU"
    fi
    wait_guest 30
    is "$name: QEMU ended well" $? 0
    check "$name: exits were counted" count_report "$name"
    is "$name: no interrupt but the expected" "$(figure unexpected)" 0
}

# --- assigned devices -----------------------------------------------------------

# assign_device PCI-ADDRESS: from its driver, if it has one, to VFIO. $ASSIGNED is for
# start_guest.
assign_device() {
    ASSIGNED="-device vfio-pci,id=assigned,host=$1"
    device=/sys/bus/pci/devices/$1
    [ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
    echo vfio-pci >"$device/driver_override"
    echo "$1" >/sys/bus/pci/drivers_probe
    [ "$(readlink "$device/driver" | sed 's/.*\///')" = vfio-pci ]
}

# return_device PCI-ADDRESS: to the host's driver for it.
return_device() {
    device=/sys/bus/pci/devices/$1
    echo "$1" >"$device/driver/unbind"
    echo >"$device/driver_override"
    echo "$1" >/sys/bus/pci/drivers_probe
}

# What VFIO's handlers in the host are called for is counted from here on.
count_host_irqs() {
    instance=/sys/kernel/tracing/instances/vfio
    [ ! -d $instance ] || rmdir $instance
    mkdir $instance
    echo 'hist:keys=irq if name ~ "vfio-*"' >$instance/events/irq/irq_handler_entry/trigger
}
host_irqs() {
    sed -n 's/^ *Hits: \([0-9]*\)$/\1/p' \
        /sys/kernel/tracing/instances/vfio/events/irq/irq_handler_entry/hist
}

# measure_irqs NAME WORDS QEMU-ARGUMENT...: run_irqs, its exits counted; with HOLD set in ordinary
# mode (for -S hpvm=on).
measure_irqs() {
    count_start
    name=$1
    append=$2
    shift 2
    run_irqs "$name" "$append $SETTLE" "$@"
    check "$name: exits were counted" count_report "$name"
    note "$name: $(exits_said)"
}

# run_irqs NAME WORDS QEMU-ARGUMENT...: tests/guest/irq.c with the assigned device; each
# interrupt that the device raised was handled once.
run_irqs() {
    start_irqs "$@"
    end_irqs
}
start_irqs() {
    name=$1
    append=$2
    shift 2
    count_host_irqs
    # shellcheck disable=SC2086  # several words
    start_guest -kernel /guest/irq.elf -append "$append" -cpu host "$@" $ASSIGNED
    if [ -n "$PIN_CPU" ]; then
        check "$name: the vCPUs are pinned from CPU $PIN_CPU on" pin_vcpus "$PIN_CPU"
    fi
    [ -z "$HOLD" ] || starts_held ready
    await_guest 60 hpvm:.ready && stage "$name: the guest is up"
}
end_irqs() {
    wait_guest "${PATIENCE:-120}"
    is "$name: QEMU ended well" $? 0
    is "$name: the guest did all" "$(figure "done")" 1
    is "$name: every interrupt was handled, once" "$(figure irqs_handled)" "$(figure irqs_raised)"
    is "$name: none was lost" "$(figure irqs_lost)" 0
    is "$name: no interrupt but the expected" "$(figure unexpected)" 0
    data "$name.host_irqs $(host_irqs)"
    note "$name: $(figure irqs_handled) interrupts, $(host_irqs) by the host"
}

# measure_network NAME QEMU-ARGUMENT...: a Linux guest with the assigned network card, which
# answers $PINGS pings of the host, one after the other. Its exits are counted.
measure_network() {
    name=$1
    shift
    count_start
    # shellcheck disable=SC2086  # several words
    linux_guest "idle=poll hpvm.frames=$PINGS" "$@" -cpu "$LINUX_CPU" $ASSIGNED
    if [ -n "$PIN_CPU" ]; then
        check "$name: the vCPU is pinned to CPU $PIN_CPU" pin_vcpus "$PIN_CPU"
    fi
    check "$name: the guest is up" await_guest 120 hpvm:.ready || return
    # The only one that is left.
    for card in /sys/class/net/eth*; do
        ifconfig "${card##*/}" 192.168.7.1 netmask 255.255.255.0 up
    done
    sleep 1
    hmp info hpvm
    ping -q -A -c "$PINGS" -W 5 192.168.7.2 >/run/pings
    cat /run/pings
    check "$name: every ping was answered" grep -q " 0% packet loss" /run/pings
    wait_guest 30
    is "$name: QEMU ended well" $? 0
    check "$name: exits were counted" count_report "$name"
    note "$name: $(figure frames) packets, $(figure card_irqs) interrupts, $(exits_said)"
}

# ways WAY: how many interrupts of assigned devices go that way, direct or host.
ways() { qmp query-hpvm | grep -o "\"way\": \"$1\"" | wc -l; }

# goes_straight NAME INTERRUPTS: so many of the guest's assigned devices, and none through the host.
goes_straight() {
    check "$1: the guest runs" wait_for 30 guest_is running
    check "$1: it is direct" wait_for 20 all_direct
    is "$1: each interrupt goes straight to a vCPU" "$(ways direct) direct, $(ways host) host" \
        "$2 direct, 0 host"
    check "$1: and QEMU warns of none" not grep "through the host" "$QEMU_LOG"
    hmp info hpvm
    count_host_irqs
    sleep 1
    is "$1: the host handles none" "$(host_irqs)" 0
}

# in_table PCI-ADDRESS: has the interrupt-remapping table each interrupt that is called straight,
# with its CPU and vector? (APIC IDs are the CPUs' numbers in this lab.)
REMAPPING_TABLE=/sys/kernel/debug/iommu/intel/ir_translation_struct
in_table() {
    awk -v device="${1#0000:}" '$2 == device { print $3, $4 }' $REMAPPING_TABLE >/run/in_table
    hpvm-status | awk '/^CPU/ { cpu = $2 + 0 }
        / straight to vector / { printf "%08x %02x\n", cpu, $7 }' >/run/straight
    cat $REMAPPING_TABLE /run/straight
    [ "$(grep -c -x -F -f /run/straight /run/in_table)" = "$(ways direct)" ]
}

# run_selftests [all-pass]: the kernel's selftests in /files, each result as data to
# compare. Unless all of them have to pass, nothing is said about one that fails: some
# want what the emulator doesn't have, and fail on the unpatched kernel as well.
run_selftests() {
    ran=0
    for file in /files/*; do
        test=${file##*/}
        echo "=== $test"
        timeout 100 "$file"
        case $? in
        0) result=passes ;;
        4) result=skips ;;
        *) result=fails ;;
        esac
        data "$test" $result
        stage "$test $result"
        [ $result = skips ] || ran=$((ran + 1))
        [ "$1" != all-pass ] || is "$test" $result passes
    done
    check "selftests ran" [ $ran -gt 0 ]
}

# report_selftests: run those in /files, with $TESTS as an argument if that's set; each
# test of their TAP is a check here.
report_selftests() {
    for file in /files/*_test; do
        stage "${file##*/}"
        timeout 200 "$file" ${TESTS:+"$TESTS"} 2>&1 | report_tap "${file##*/}"
    done
}

report_tap() {
    ended=
    while read -r line; do
        echo "$line"
        case $line in
        "ok "*" # SKIP "*) skip "$1: ${line#ok * }" ;;
        "ok "*) ok "$1: ${line#ok * }" ;;
        "not ok "*) not_ok "$1: ${line#not ok * }" ;;
        "1..0 # SKIP "*) not_ok "$1: skipped:${line#*SKIP}" ;;
        "# Totals: "*) ended=yes ;;
        esac
    done
    [ -n "$ended" ] || not_ok "$1: ended before its last test"
}

# watched_run: direct mode for a debug kernel to watch, that of assigned devices too.
watched_run() {
    direct_guest 600
    hpvm-status
    kill -9 "$GUEST_PID"
    check "QEMU is gone" wait_for 60 guest_ended
    report_selftests
    [ "$LAB" = svm ] || return
    check "the device can be assigned" assign_device 0000:00:06.0
    run_irqs moving "cpus=3 irqs=1000 move=20" -accel kvm,hpvm=on,hpvm-cpus=1-3 -smp 3
    run_irqs twice "cpus=2 irqs=200 twice" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2
}

none_dedicated() { [ "$(hpvm-status)" = "No CPU is dedicated." ]; }

# loc: how many local timer interrupts CPU 1 has had.
loc() { awk '$1 == "LOC:" { print $3 }' /proc/interrupts; }

hpvm_bound() { qmp query-hpvm | grep -q '"host-cpu": 1'; }

# host_lacks ITEM: hpvm-status calls it missing, and the host not ready.
host_lacks() {
    hpvm-status --check >/run/said
    is "hpvm-status says that the host isn't ready" $? 1
    cat /run/said
    check "for: $1" grep -q "^missing  $1" /run/said
}

# refused DESCRIPTION TEXT QEMU-ARGUMENT...: QEMU ends at once and says TEXT.
refused() {
    description=$1
    text=$2
    shift 2
    timeout 20 "${QEMU:-qemu}" -L /share -nodefaults -no-user-config -display none "$@" >/run/said 2>&1
    status=$?
    sed 's/^/qemu| /' /run/said
    if [ $status = 1 ] && grep -q "$text" /run/said; then
        ok "$description"
    else
        not_ok "$description: status $status, said: $(tr '\n' ' ' </run/said)"
    fi
}
