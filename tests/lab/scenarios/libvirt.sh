# shellcheck shell=sh
#: title   Debian's own libvirtd starts a guest with hpvm=on, the package's example; refuses wrong ones
#: kernel  hpvm
#: labs    svm
#: libvirt yes
#: cpus    4
#: memory  2560
#: cmdline kvm.hpvm_cpus=2-3
#: files   {top}/packaging/hpvm-tools/examples/domain.xml
#: timeout 1800
#: groups  long

# wrong NAME TEXT SED-EXPRESSION: the example, changed by that, isn't started.
wrong() {
    stage "$1"
    domain "$3" >/run/domain.xml
    vm_refused "$1" "$2" virsh create /run/domain.xml
    check "$1: there is no guest" vm_gone
    check "$1: no CPU is dedicated" none_dedicated
}

libvirtd_up || return
wrong "no vcpupin" "thread of vCPU 0 may run on 4 of them" /vcpupin/d
wrong "one CPU for both" "are both confined to CPU 2" "s/cpuset='3'/cpuset='2'/"
wrong "no <locked/>" "in libvirt <memoryBacking><locked/></memoryBacking>" '/<locked/d'
echo >/sys/module/kvm/parameters/hpvm_cpus
wrong "no CPU is allowed" "the administrator writes to /sys/module/kvm/parameters/hpvm_cpus" ""
echo 2-3 >/sys/module/kvm/parameters/hpvm_cpus

stage "start"
vm_starts || return
hpvm-status | tee /run/status
is "hpvm-status shows it" "$(grep -c "^CPU [23]: VM '$VM' .* direct" /run/status)" 2
is "hpvm-status --check has nothing against libvirt's settings" \
    "$(hpvm-status --check | grep libvirt: | grep -v '^ok  ')" ""

stage "look"
virsh dominfo "$VM" | tee /run/said
check "dominfo: two vCPUs" grep -q "^CPU(s): *2$" /run/said
virsh domstats --vcpu "$VM" | tee /run/said
is "domstats: both vCPUs run" "$(grep -c 'vcpu\.[01]\.state=1$' /run/said)" 2
virsh vcpupin "$VM" | tee /run/said
is "vcpupin: each has one CPU" "$(awk '$1 ~ /^[01]$/ { printf "%s ", $2 }' /run/said)" "2 3 "

stage "destroy"
check "destroy: virsh does it" virsh destroy "$VM"
vm_gives_back destroy

check "it's undefined" virsh undefine "$VM"
no_denial
