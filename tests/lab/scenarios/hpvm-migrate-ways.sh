# shellcheck shell=sh
#: title   a direct guest of two vCPUs, busy with IPIs, migrates in the ways that QEMU has
#: kernel  hpvm
#: labs    svm
#: cpus    5
#: memory  1536
#: timeout 1200
#: groups  long

# Its messages are counted; each that is lost stops the guest.
MESSAGES=${MESSAGES:-100000000}
VCPUS=2

# direct_two CPUS QEMU-ARGUMENT...
direct_two() {
    cpus=$1
    shift
    linux_guest "hpvm.messages=$MESSAGES idle=poll" -smp 2 \
        -accel kvm,hpvm=on,hpvm-cpus="$cpus" -cpu "$LINUX_CPU" "$@"
}

migration_is() { qmp query-migrate | tee /run/migration | grep -q "\"status\": \"$1\""; }
mapped() { qmp query-hpvm | grep -q '"unmapped": 0'; }
listens() { [ -S /run/migration.socket ]; }
all_direct() { [ "$(qmp query-hpvm | grep -o '"state": "direct"' | wc -l)" = 2 ]; }
faults() { cat /sys/kernel/debug/kvm/"$GUEST_PID"-*/pf_taken; }
# locked: all of the guest's 192 MiB.
locked() {
    [ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' /proc/"$GUEST_PID"/status)" -gt 196608 ]
}
# interrupts: recorded and reposted ones; they come with each message.
interrupts() { qmp query-hpvm | grep -o '"reposted": [0-9]*' | cut -d' ' -f2 | tr '\n' ' '; }

# is_well NAME: both vCPUs direct, at work, all memory there.
is_well() {
    check "$1: the guest runs" wait_for 30 guest_is running
    check "$1: both vCPUs are direct" wait_for 20 all_direct
    check "$1: memory is locked" wait_for 60 locked
    check "$1: and mapped" wait_for 100 mapped
    before=$(faults) work=$(interrupts)
    sleep 2
    is "$1: no page is missing" "$(faults)" "$before"
    check "$1: the vCPUs are at work" [ "$(interrupts)" != "$work" ]
    hmp info hpvm
}

# capability NAME STATE
capability() {
    qmp migrate-set-capabilities "{\"capabilities\":[{\"capability\":\"$1\",\"state\":$2}]}"
}

# goes NAME [CAPABILITY]: from the first QEMU to a second one, with this alone.
goes() {
    name=$1
    second direct_two "$THERE" -incoming defer
    for one in multifd postcopy-ram; do
        state=false
        [ "$one" != "$2" ] || state=true
        capability $one $state
        second capability $one $state
    done
    second qmp migrate-incoming '{"uri":"unix:/run/migration.socket"}'
    check "$name: the destination listens" wait_for 20 listens
    qmp migrate '{"uri":"unix:/run/migration.socket"}'
    check "$name: it is complete" wait_for 200 migration_is completed
    cat /run/migration
    qmp quit
    check "$name: the source ends" wait_for 20 guest_ended
    rm -f /run/migration.socket
    second is_well "$name"
    # The second is the first now.
    swap
}

# swap: the second guest takes the place of the first.
swap() {
    GUEST_PID=$SECOND_PID SECOND_PID=
    for side in in out; do
        mv /run/qmp2.$side /run/qmp.$side
    done
    mv /run/guest2.log /run/guest.log
    mv /run/qemu2.log /run/qemu.log
    exec 4>&6 5<&7 6>&- 7<&-
    case $THERE in
    1-2) THERE=3-4 ;;
    *) THERE=1-2 ;;
    esac
}

THERE=3-4
direct_two 1-2
check "the guest is up" await_guest 120 hpvm:.ready
is_well begin

stage "a measurement of the dirty rate"
qmp calc-dirty-rate '{"calc-time":1,"mode":"dirty-bitmap"}'
measured() { qmp query-dirty-rate | tee /run/rate | grep -q measured; }
check "the dirty rate is measured" wait_for 20 measured
cat /run/rate
is_well measured

stage "precopy"
goes precopy
stage "multifd"
goes multifd multifd
stage "postcopy that is possible, and not used"
goes possible postcopy-ram
qmp quit
check "QEMU ends" wait_for 20 guest_ended
check "no CPU is dedicated" wait_for 10 none_dedicated
