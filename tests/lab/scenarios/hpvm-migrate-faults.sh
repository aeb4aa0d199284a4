# shellcheck shell=sh
#: title   migrations of a direct guest that break off: QEMU killed, network cut, silent, and a damaged file
#: kernel  hpvm
#: labs    svm
#: cpus    3
#: memory  1536
#: timeout 1500
#: groups  long

FAULTS=${FAULTS:-killed cut silent file recovered}

# direct_one CPU QEMU-ARGUMENT...
direct_one() {
    cpu=$1
    shift
    endless_guest 2 -accel kvm,hpvm=on,hpvm-cpus="$cpu" -cpu "$LINUX_CPU" "$@"
}

# The migrations go over the loopback network, and a relay that can be cut.
ifconfig lo up
# port_waits HEXADECIMAL
port_waits() { grep -q ":$1 00000000:0000 0A" /proc/net/tcp; }
relay() {
    nc -l -p 4001 -e nc 127.0.0.1 4002 &
    RELAY=$!
    check "$1: the relay listens" wait_for 10 port_waits 0FA1
}
# cut: the relay's connections, as a machine on the way does that dies.
cut_relay() {
    kill -9 $RELAY
    wait $RELAY
}

# begins NAME CAPABILITY...: to a second QEMU on CPU 2, over the relay, and slowly.
begins() {
    name=$1
    shift
    second direct_one "$THERE" -incoming defer
    capabilities "$@"
    second capabilities "$@"
    parameters '"max-bandwidth":2000000,"max-postcopy-bandwidth":500000,"downtime-limit":300'
    second qmp migrate-incoming '{"uri":"tcp:127.0.0.1:4002"}'
    check "$name: the destination listens" wait_for 20 port_waits 0FA2
    relay "$name"
    qmp migrate '{"uri":"tcp:127.0.0.1:4001"}'
    check "$name: it is under way" wait_for 20 migration_is active
    sleep 2
    check "$name: it still is" migration_is active
}

# fails NAME: the source goes on, and the destination ends.
fails() {
    check "$1: the migration fails" wait_for 30 migration_is failed
    cat /run/migration
    check "$1: the destination ends" wait_for 30 second guest_ended
    sed 's/^/qemu2| /' /run/qemu2.log
    check "$1: its CPU is free" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu"$THERE"
    runs_well "$1"
}

# damaged NAME FILE: the guest doesn't come from there, and QEMU says so.
damaged() {
    second direct_one "$THERE" -incoming file:"$2"
    check "$1: QEMU ends" wait_for 60 second guest_ended
    sed 's/^/qemu2| /' /run/qemu2.log
    check "$1: it says why" grep -q 'load of migration failed' /run/qemu2.log
    check "$1: its CPU is free" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu"$THERE"
}

# pauses NAME: in postcopy, by a cut.
pauses() {
    qmp migrate-start-postcopy
    check "$1: it is in postcopy" wait_for 30 migration_is postcopy-active
    # Before that the destination can't pause, and gives up.
    check "$1: the guest runs at the destination" wait_for 30 second guest_is running
    cut_relay
    check "$1: the source pauses" wait_for 30 migration_is postcopy-paused
    check "$1: the destination pauses" wait_for 30 second migration_is postcopy-paused
    cat /run/migration
    check "$1: the destination's monitor answers" second guest_is running
    second qmp query-hpvm >/run/said
    check "$1: vCPUs that wait for pages aren't asked" \
        grep -q "vCPUs may wait for pages from the source" /run/said
}

# The destination is killed.
fault_killed() {
    begins killed
    kill -9 "$SECOND_PID"
    fails killed
    cut_relay
}

# The network is cut.
fault_cut() {
    begins cut
    cut_relay
    fails cut
}

# The network is silent.
fault_silent() {
    begins silent
    kill -STOP $RELAY
    sleep 3
    check "silent: the migration waits" migration_is active
    check "silent: the guest runs on" guest_is running
    qmp migrate_cancel
    check "silent: it can be cancelled" wait_for 20 migration_is cancelled
    cut_relay
    check "silent: the destination ends" wait_for 30 second guest_ended
    runs_well silent
}

# A damaged file.
fault_file() {
    parameters '"max-bandwidth":1000000000'
    qmp migrate '{"uri":"file:/run/state"}'
    check "file: the guest is in it" wait_for 120 migration_is completed
    qmp cont
    runs_well "after it was stored"
    size=$(wc -c </run/state)
    head -c $((size / 2)) /run/state >/run/damaged
    damaged truncated /run/damaged
    cp /run/state /run/damaged
    dd if=/dev/zero of=/run/damaged bs=4096 seek=$((size / 8192)) count=16 conv=notrunc
    damaged garbled /run/damaged
    echo "not the beginning of a migration" | dd of=/run/damaged conv=notrunc
    damaged "no stream" /run/damaged
    rm /run/damaged
    second direct_one $THERE -incoming file:/run/state
    second runs_well "from the intact file"
    second qmp quit
    check "the copy ends" wait_for 20 second guest_ended
    rm /run/state
}

# Postcopy, the network cut, and recovered.
fault_recovered() {
    begins recovered postcopy-ram
    pauses recovered
    parameters '"max-postcopy-bandwidth":0'
    second qmp migrate-recover '{"uri":"tcp:127.0.0.1:4003"}'
    check "recovered: the destination listens again" wait_for 20 port_waits 0FA3
    qmp migrate '{"uri":"tcp:127.0.0.1:4003","resume":true}'
    completes recovered 120
    second runs_well recovered
    swap
    THERE=1
}

# The source is killed when postcopy recovers.
fault_lost() {
    direct_one 2
    check "the guest is up" await_guest 120 hpvm:.ready
    begins lost postcopy-ram
    pauses lost
    second qmp migrate-recover '{"uri":"tcp:127.0.0.1:4002"}'
    check "lost: the destination listens again" wait_for 20 port_waits 0FA2
    relay lost
    kill -STOP $RELAY
    qmp migrate '{"uri":"tcp:127.0.0.1:4001","resume":true}'
    check "lost: the source recovers" wait_for 20 migration_is 'postcopy-recover\(-setup\)\?'
    kill -9 "$GUEST_PID"
    kill -CONT $RELAY
    check "lost: the source is gone" wait_for 20 guest_ended
    check "lost: its CPU is free" wait_for 10 not test -e /sys/kernel/debug/hpvm/cpu2
    check "lost: the destination waits for another attempt" \
        wait_for 30 second migration_is postcopy-paused
    check "lost: its monitor answers" second guest_is running
    cat /run/qemu2.log
    # "quit" would wait for a vCPU, which may wait for a page that nobody sends any more.
    kill -9 "$SECOND_PID"
    check "lost: the destination ends" wait_for 30 second guest_ended
    check "lost: no CPU is dedicated" wait_for 10 none_dedicated
}

THERE=2
direct_one 1
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
for fault in $FAULTS; do
    stage "$fault"
    "fault_$fault"
done

stage "the guest ends"
ends_when_told 100

stage "the source is lost in postcopy"
fault_lost
