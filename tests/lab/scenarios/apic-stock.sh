# shellcheck shell=sh
#: title   a minimal guest's timer and self-IPIs under stock KVM: the test's own test
#: kernel  stock
#: labs    vmx svm
#: models  skylake broadwell
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: groups.vmx long
#: groups.svm check svm

export PIN_CPU=1
COUNT=500
ahead=
[ "$LAB" = vmx ] || ahead=ahead=2000000
for mode in deadline oneshot periodic self; do
    measure_apic "$mode" "$mode count=$COUNT $ahead" -accel kvm -cpu host -overcommit cpu-pm=on
    is "$mode: all interrupts arrived" "$(figure timers_fired)" $COUNT
done

# A deadline that has passed when the guest gets to STI and HLT. Without APICv the window's exit
# wakes it.
if [ "$LAB" = vmx ]; then
    measure_apic late "deadline hlt ahead=1000 count=$COUNT" \
        -accel kvm -cpu host -overcommit cpu-pm=on
    is "late: all interrupts arrived" "$(figure timers_fired)" $COUNT
fi
