# shellcheck shell=sh
#: title   a busy direct guest of two vCPUs migrates in the ways that QEMU has
#: kernel  hpvm
#: labs    svm
#: cpus    5
#: memory  1536
#: timeout 2400
#: groups  long

# One guest all the time, until it's told to end.
#
# There are "dirty_limit", for which the guest is seldom fast enough here, and "background", which
# takes a quarter of an hour or more: an exit of each vCPU for each page.
VCPUS=2
WAYS=${WAYS:-rate precopy xbzrle multifd auto_converge possible postcopy unlockable snapshot}
DIRTY_MIB=${DIRTY_MIB:-8}

# direct_two CPUS QEMU-ARGUMENT...
direct_two() {
    cpus=$1
    shift
    endless_guest "$DIRTY_MIB" \
        -smp $VCPUS -accel kvm,hpvm=on,hpvm-cpus="$cpus$RING" -cpu "$LINUX_CPU" "$@"
}
RING=

# interrupts: recorded and reposted ones; they come with each message.
interrupts() { qmp query-hpvm | grep -o '"reposted": [0-9]*' | cut -d' ' -f2 | tr '\n' ' '; }

# is_well NAME: both vCPUs direct, at work, all memory there.
is_well() {
    work=$(interrupts)
    runs_well "$1"
    check "$1: the vCPUs are at work" [ "$(interrupts)" != "$work" ]
    qmp query-hpvm | grep -o '"timer\(-reasons\)\?": [^],]*[],]' | sort -u | tr '\n' ' ' >/run/timer
    is "$1: the timers are at the step 'oneshot', and nothing is in the way of a better one" \
        "$(cat /run/timer)" '"timer": "oneshot", "timer-reasons": [] '
}

# begins NAME [CAPABILITY...]: from the first QEMU to a second one, with these alone.
begins() {
    name=$1
    shift
    second direct_two "$THERE" -incoming defer
    prepare "$@"
    sets_out "$name"
}

# ends NAME: it's complete, and the destination goes on with the guest.
ends() {
    completes "$1" 300
    second is_well "$1"
    # The second is the first now.
    swap
    case $THERE in
    1-2) THERE=3-4 ;;
    *) THERE=1-2 ;;
    esac
}

# goes NAME [CAPABILITY...]
goes() {
    begins "$@"
    ends "$1"
}

measured() { qmp query-dirty-rate | tee /run/rate | grep -q measured; }
way_rate() {
    qmp calc-dirty-rate '{"calc-time":1,"mode":"dirty-bitmap"}'
    check "the dirty rate is measured" wait_for 20 measured
    cat /run/rate
    is_well measured
}

way_precopy() { goes precopy; }
way_multifd() { goes multifd multifd; }
way_xbzrle() {
    # With a second and a third round.
    parameters '"max-bandwidth":10000000,"downtime-limit":200'
    begins xbzrle xbzrle
    check "xbzrle: a page is sent again" wait_for 120 migration_has '"dirty-sync-count": [3-9]'
    parameters '"downtime-limit":2000'
    ends xbzrle
    check "xbzrle: pages were sent as differences" grep -q '"xbzrle-cache".*"pages": [1-9]' /run/migration
}

# Less than what the guest writes can be sent, until its vCPUs are slowed down.
way_auto_converge() {
    parameters '"max-bandwidth":6000000,"downtime-limit":300'
    begins auto-converge auto-converge
    check "auto-converge: the vCPUs are throttled" \
        wait_for 120 migration_has '"cpu-throttle-percentage": [1-9]'
    ends auto-converge
}

# What the next one writes is logged in rings, which its writes fill between two rounds.
way_dirty_limit() {
    RING=,dirty-ring-size=1024
    goes "to dirty rings"
    parameters '"max-bandwidth":6000000,"downtime-limit":300,"vcpu-dirty-limit":1'
    begins dirty-limit dirty-limit
    # Only a guest that is fast enough fills a ring between two rounds.
    if wait_for 30 migration_has '"dirty-limit-throttle-time-per-round": [1-9]'; then
        note "dirty-limit: the vCPUs are throttled"
    else
        note "dirty-limit: the guest is too slow to be throttled"
    fi
    parameters '"max-bandwidth":1000000000,"downtime-limit":2000'
    RING=
    ends dirty-limit
}

way_possible() { goes possible postcopy-ram; }

way_postcopy() {
    parameters '"max-bandwidth":4000000,"max-postcopy-bandwidth":0,"downtime-limit":300'
    begins postcopy postcopy-ram
    begins_postcopy postcopy
    ends postcopy
    # Pages of zeroes that are replaced would make it 30,000.
    kicks=$(qmp query-hpvm | grep -o '"nmi-kicks": [0-9]*' | awk '{ n += $2 } END { print n }')
    note "postcopy: $kicks NMIs until all memory was locked and mapped"
    check "postcopy: the guest isn't interrupted for each page" [ "$kicks" -lt 5000 ]
}

# Who has lowered the limit of locked memory meanwhile is told.
way_unlockable() {
    # shellcheck disable=SC3045  # busybox has it
    ulimit -l unlimited
    WRAPPER=memlock
    begins unlockable postcopy-ram
    WRAPPER=
    check "unlockable: the limit is lowered" memlock "$SECOND_PID" 1024
    check "unlockable: it is complete" wait_for 120 migration_is completed
    check "unlockable: an event says that memory isn't locked" \
        second event HPVM_MEMORY_UNLOCKED
    cat /run/qemu2.log
    check "unlockable: a warning says what to do" \
        grep -q "(Cannot allocate memory); raise the limit of locked memory" /run/qemu2.log
    check "unlockable: the guest runs" second guest_is running
    second hmp info hpvm
    check "unlockable: the limit is raised" memlock "$SECOND_PID" -1
    second qmp stop
    second qmp cont
    ends unlockable
}

# job NAME ID: it ends, well.
job_concluded() { qmp query-jobs | tee /run/jobs | grep -q '"status": "concluded"'; }
job() {
    check "$1: the job $2 ends" wait_for 120 job_concluded
    check "$1: the job $2 ends well" not grep '"error"' /run/jobs
    qmp job-dismiss "{\"id\":\"$2\"}"
}

# A file that QEMU can keep a snapshot in, which is no disk of the guest's.
way_snapshot() {
    : >/run/store
    qmp blockdev-add '{"driver":"file","node-name":"file","filename":"/run/store"}'
    qmp blockdev-create '{"job-id":"create","options":{"driver":"qcow2","file":"file","size":1048576}}'
    job snapshot create
    qmp blockdev-add '{"driver":"qcow2","node-name":"store","file":"file"}'
    qmp snapshot-save '{"job-id":"save","tag":"one","vmstate":"store","devices":["store"]}'
    job snapshot save
    is_well "snapshot-save"
    sleep 3
    qmp snapshot-load '{"job-id":"load","tag":"one","vmstate":"store","devices":["store"]}'
    job snapshot load
    is_well "snapshot-load"
    qmp blockdev-del '{"node-name":"store"}'
    qmp blockdev-del '{"node-name":"file"}'
    rm /run/store
}

# The guest goes on while its memory is written to a file, each page as it was at first.
way_background() {
    capabilities background-snapshot
    parameters '"max-bandwidth":20000000'
    qmp migrate '{"uri":"file:/run/snapshot"}'
    check "background: it is under way" wait_for 20 migration_is active
    check "background: the guest runs on" guest_is running
    # Each page that is let go of is a TLB flush, and an exit of each vCPU.
    check "background: it is complete" wait_for 900 migration_is completed
    cat /run/migration
    capabilities
    is_well background
    second direct_two "$THERE" -incoming file:/run/snapshot
    second is_well "background, restored"
    second qmp quit
    check "background: the copy ends" wait_for 20 second guest_ended
    rm /run/snapshot
}

THERE=3-4
direct_two 1-2
check "the guest is up" await_guest 120 hpvm:.ready
is_well begin
for way in $WAYS; do
    stage "$way"
    parameters '"max-bandwidth":1000000000,"downtime-limit":2000'
    "way_$way"
done

stage "the guest ends"
ends_when_told 1000
