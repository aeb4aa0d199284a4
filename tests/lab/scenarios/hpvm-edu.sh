# shellcheck shell=sh
#: title   an assigned device's MSI goes straight to the guest, wherever the guest moves it; what can't, doesn't
#: kernel  hpvm
#: labs    svm
#: cpus    4
#: devices -device edu,addr=6
#: timeout 1800
#: groups  svm

# 'make check-long' raises 100,000.
: "${IRQS:=5000}" "${MOVE:=20}" "${PATIENCE:=300}"
check "the device can be assigned" assign_device 0000:00:06.0

measure_irqs one "irqs=2000" -accel kvm,hpvm=on,hpvm-cpus=1
check "at most 2 exits" hardly_any_exits 2
is "the host handled none" "$(host_irqs)" 0

# Three vCPUs, among which it moves while it fires.
measure_irqs moving "cpus=3 irqs=$IRQS move=$MOVE" -accel kvm,hpvm=on,hpvm-cpus=1-3 -smp 3
is "it moved" "$(figure moves)" $((IRQS / MOVE))
is "the host handled none" "$(host_irqs)" 0

# One that is raised while the vector is in service, and the guest left and entered.
run_irqs twice "cpus=2 irqs=1000 twice" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2

# Through the host, for comparison.
measure_irqs off "irqs=500" -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-irq=off
check "the host handled all" [ "$(host_irqs)" -ge 500 ]

# way WORD TIMES WAY STATUS [REASON]: other interrupts than an MSI to one CPU, each of which is
# handled so many times; what QMP and hpvm-status say of their way.
way() {
    # shellcheck disable=SC2086  # several words
    start_guest -kernel /guest/irq.elf -append "cpus=2 irqs=500 $1" -cpu host -smp 2 \
        -accel kvm,hpvm=on,hpvm-cpus=1-2 -no-shutdown $ASSIGNED
    check "$1: the guest did all" await_guest 60 hpvm:.done
    is "$1: every interrupt was handled" "$(figure irqs_handled)" $((500 * $2))
    is "$1: no interrupt but the expected" "$(figure unexpected)" 0
    hmp info hpvm
    hpvm-status | tee /run/status
    is "$1: its way is '$3'" "$(ways direct) direct, $(ways host) host" "$3"
    [ -z "$5" ] || check "$1: query-hpvm says why" sh -c "echo '$(qmp query-hpvm)' | grep -q '$5'"
    check "$1: hpvm-status says it" grep -q "assigned interrupt .* $4" /run/status
    qmp quit
    wait_guest 10
}
way intx 1 "0 direct, 1 host" "through the host .* not-msi" not-msi
way both 2 "0 direct, 1 host" "through the host .* not-one-vcpu" not-one-vcpu
# One of the two is chosen beforehand, by the vector, as KVM does for posted interrupts.
way lowest 1 "1 direct, 0 host" "straight to vector 65"

untripped
# Not remapped to a guest any more, the device is the host's.
return_device 0000:00:06.0
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
