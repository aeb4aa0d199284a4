# shellcheck shell=sh
#: title   a direct guest whose migration to another host fails goes on; it succeeds later
#: kernel  hpvm
#: labs    svm
#: hosts   2
#: apart   3
#: cpus    3
#: memory  768
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: timeout 600
#: groups  long

# The hosts' TSCs are farther apart than the second within which KVM takes a TSC that is
# written for an attempt to synchronize it.

# slowly NAME: the guest is under way, for long enough.
slowly() {
    check "$1: the destination listens" peer expects_guest
    departs 2000000
    check "$1: the guest is under way" wait_for 20 migration_is active
    sleep 2
    check "$1: it still is" migration_is active
}

# fails NAME: the migration; the guest goes on.
fails() {
    check "$1: the migration fails" wait_for 60 migration_is failed
    cat /run/migration
    runs_well "$1"
}

# peer_kills NAME: of the variable with the process.
peer_kills() { peer eval "kill -9 \"\$$1\""; }

meet
travelling_guest
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
start_pings

stage "to a CPU that is taken"
peer second other_guest 2 deadline
check "taken: the destination listens" peer expects_guest
departs 1000000000
fails taken
peer check "taken: the destination has ended" wait_for 20 guest_ended
peer check "taken: it says why" grep "CPU 2 is already dedicated to VM" /run/qemu.log
peer_kills OTHER_PID

stage "the destination is killed"
slowly killed
peer_kills GUEST_PID
fails killed

stage "the network breaks"
slowly broken
peer ip address del "$(address b)/24" dev br0
sleep 3
check "broken: the guest is under way" migration_is active
qmp migrate_cancel
check "broken: the migration can be cancelled" wait_for 20 migration_is cancelled
runs_well broken
peer_kills GUEST_PID
peer ip address add "$(address b)/24" dev br0

stage "it succeeds"
check "no CPU is dedicated there" peer wait_for 20 none_dedicated
travels there b
end_pings
peer comes_to_its_end
