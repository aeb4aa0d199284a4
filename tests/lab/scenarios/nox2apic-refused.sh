# shellcheck shell=sh
#: title   a host without x2APIC refuses direct mode, and runs ordinary guests
#: labs    vmx svm
#: kernel  hpvm
#: cmdline nox2apic
#: timeout 120
#: groups.vmx long
#: groups.svm check svm

refused "direct mode without x2APIC" "CPUs are not in x2APIC mode" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
host_lacks "the host uses x2APIC"
measure_apic ordinary "deadline count=100" -accel kvm -cpu host
is "an ordinary guest runs" "$(figure timers_fired)" 100
