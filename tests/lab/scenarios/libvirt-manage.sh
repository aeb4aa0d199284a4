# shellcheck shell=sh
#: title   what else Debian's own libvirtd does with a guest with hpvm=on
#: kernel  hpvm
#: labs    svm
#: libvirt yes
#: cpus    4
#: memory  2560
#: cmdline kvm.hpvm_cpus=2-3
#: files   {top}/packaging/hpvm-tools/examples/domain.xml
#: timeout 1800
#: groups  long

# console: a line by libvirt's console, which has the guest's time end.
console() {
    mkfifo /run/keys
    script -qefc "virsh console $VM" /run/console 0<>/run/keys &
    wait_for 20 grep -q "^Escape character" /run/console || return
    echo >/run/keys
    wait_for 20 guest_said hpvm:.elapsed_us
    came=$?
    printf '\035' >/run/keys
    wait $! && return $came
}

libvirtd_up || return
stage "start"
vm_starts || return

stage "vcpupin"
check "vcpupin: to another CPU" virsh vcpupin "$VM" 0 1
check "vcpupin: it's ordinary there" wait_for 10 vm_direct 1
vm_hmp info hpvm | tee /run/said
check "vcpupin: as it's on the wrong CPU" grep -q wrong-cpu /run/said
check "vcpupin: back" virsh vcpupin "$VM" 0 2
vm_at_work vcpupin

stage "suspend"
check "suspend: virsh does it" virsh suspend "$VM"
check "suspend: it's paused" vm_is paused
check "suspend: it goes on" virsh resume "$VM"
vm_at_work suspend

stage "reset"
check "reset: virsh does it" virsh reset "$VM"
check "reset: the guest is up again" wait_for 60 vm_up 2
vm_at_work reset

stage "libvirtd anew"
before=$(vm_pid)
check "libvirtd: it's restarted" systemctl restart libvirtd
vm_at_work libvirtd
is "libvirtd: the QEMU is the same" "$(vm_pid)" "$before"

stage "taken"
domain "s,>$VM<,>other<,; s,$GUEST_LOG,/run/other.log," >/run/other.xml
vm_refused taken "CPU 2 is already dedicated to VM '$VM' (pid $before)" virsh create /run/other.xml
vm_at_work taken

stage "managedsave"
check "managedsave: virsh does it" virsh managedsave "$VM"
vm_gives_back managedsave
check "managedsave: virsh starts it" virsh start "$VM"
vm_at_work managedsave
check "managedsave: the guest comes to its end, told on its console" console

stage "destroy"
check "destroy: virsh does it" virsh destroy "$VM"
vm_gives_back destroy
check "it's undefined" virsh undefine "$VM"
no_denial
