# shellcheck shell=sh
#: title   a direct guest migrates to a host without the patches, as an ordinary one, and back
#: kernel.a hpvm
#: kernel.b stock
#: labs    svm
#: hosts   2
#: cpus    3
#: memory  768
#: modules virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
#: modules failover net_failover virtio_net
#: timeout 500
#: groups  long

meet
travelling_guest
check "the guest is up" await_guest 120 hpvm:.ready
runs_well begin
start_pings

peer refused "direct: the destination refuses" "boot a kernel with the hpvm patches" \
    -accel kvm,hpvm=on,hpvm-cpus=1-2 -cpu host -smp 2 -incoming tcp:0:4444
departs 1000000000
check "direct: the migration fails" wait_for 20 migration_is failed
runs_well direct

# What hpvm=on withholds, by hand.
without=kvm-pv-eoi=off,kvm-pv-ipi=off,kvm-asyncpf=off,kvm-asyncpf-int=off,kvm-poll-control=off
peer export TRAVELS_AS="-accel kvm -cpu $LINUX_CPU,$without,tsc-deadline=off"
check "ordinary: the destination listens" peer expects_guest
leaves ordinary
peer check "ordinary: the guest runs" wait_for 30 guest_is running
travels back a
end_pings
comes_to_its_end
