# shellcheck shell=sh
#: title   Debian's own libvirtd migrates a guest with hpvm=on to another host, and back
#: kernel  hpvm
#: labs    svm
#: hosts   2
#: libvirt yes
#: cpus    4
#: memory  2560
#: cmdline kvm.hpvm_cpus=2-3
#: files   {top}/packaging/hpvm-tools/examples/domain.xml
#: timeout 1500
#: groups  long

# libvirtd listens for the other's, who knows it by name.
printf '%s a\n%s b\n' "$(address a)" "$(address b)" >>/etc/hosts
echo 'auth_tcp = "none"' >>/etc/libvirt/libvirtd.conf
listen() { systemctl stop libvirtd && systemctl start libvirtd-tcp.socket libvirtd; }
check "libvirtd listens" listen
libvirtd_up || return

# migrates NAME FROM TO OPTION...
migrates() {
    name=$1 from=$2 to=$3
    shift 3
    check "$name: virsh does it" on "$from" virsh migrate "$@" --persistent --undefinesource \
        "$VM" "qemu+tcp://$to/system"
    on "$to" vm_at_work "$name"
    check "$name: the source has no guest" on "$from" vm_gone
    check "$name: and its CPUs again" on "$from" wait_for 20 none_dedicated
}

# takes_cpus: another guest, in this host.
takes_cpus() {
    domain "s,>$VM<,>other<,; s,$GUEST_LOG,/run/other.log," >/run/domain.xml
    virsh create /run/domain.xml
}

meet
stage "start"
vm_starts || return

stage "taken"
check "taken: the destination's CPUs are" peer takes_cpus
vm_refused taken "CPU 2 is already dedicated to VM 'other'" virsh migrate --live "$VM" qemu+tcp://b/system
vm_at_work taken
check "taken: the other guest ends" peer virsh destroy other

stage "live"
migrates live a b --live

stage "p2p"
migrates p2p b a --live --p2p

stage "cancelled"
# It takes minutes at this rate, in MiB/s.
virsh migrate --live --bandwidth 1 "$VM" qemu+tcp://b/system >/run/said 2>&1 &
migration=$!
under_way() { virsh domjobinfo "$VM" | tee /run/job | grep -q '^Data processed: *[1-9]'; }
check "cancelled: it's under way" wait_for 120 under_way
cat /run/job
check "cancelled: virsh does it" virsh domjobabort "$VM"
wait $migration
is "cancelled: the migration fails" $? 1
cat /run/said
vm_at_work cancelled
check "cancelled: the destination has no guest" peer vm_gone
check "cancelled: nor has it given CPUs" peer wait_for 20 none_dedicated

stage "destroy"
check "destroy: virsh does it" virsh destroy "$VM"
vm_gives_back destroy
