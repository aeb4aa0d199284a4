# shellcheck shell=sh
#: title   a guest that gives its device any message reaches nobody else
#: kernel  hpvm
#: labs    svm
#: cpus    4
#: devices -device edu,addr=6
#: timeout 900
#: groups  svm

: "${MESSAGES:=1000}" "${PATIENCE:=300}"
errors() { awk '$1 == "ERR:" || $1 == "MIS:" { n += $2 } END { print n + 0 }' /proc/interrupts; }

# The witness, with its timer on CPU 3: any other interrupt there is unexpected.
mkfifo /run/witness.in /run/witness.out
qemu -L /share -nodefaults -no-user-config -display none -m 64 -no-reboot \
    -chardev pipe,id=serial,path=/run/witness -serial chardev:serial \
    -accel kvm,hpvm=on,hpvm-cpus=3 -cpu host -name witness \
    -kernel /guest/apic.elf -append "listen oneshot count=1000000 ahead=2000000" &
witness=$!
exec 7<>/run/witness.in 8<>/run/witness.out
witness_says() {
    # shellcheck disable=SC3045  # busybox has it
    while read -r -t 30 line <&8; do
        line=${line%"$CR"}
        case $line in
        "hpvm: $1="*)
            echo "${line#*=}"
            return
            ;;
        esac
    done
}
is "another guest is up" "$(witness_says ready_after_ms)" 0
errors_before=$(errors)

check "the device can be assigned" assign_device 0000:00:06.0
run_irqs hostile "cpus=2 irqs=1000 hostile=$MESSAGES storm=200" -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2
is "it sent them" "$(figure hostile_messages)" "$MESSAGES"
check "some were its own NMIs" [ "$(figure hostile_nmis)" -gt 0 ]
is "it got on in a storm of interrupts" "$(figure storm_exits)" 200
check "which came" [ "$(figure storm_handled)" -gt 10 ]

is "the host got no strange interrupt" "$(errors)" "$errors_before"
echo >&7
check "the other guest's timer fired" [ "$(witness_says timers_fired)" -gt 100 ]
is "and nothing else" "$(witness_says unexpected)" 0
wait $witness

# Killed in a storm that has no end.
# shellcheck disable=SC2086  # several words
start_guest -kernel /guest/irq.elf -append "cpus=2 storm=1000000000" -cpu host \
    -accel kvm,hpvm=on,hpvm-cpus=1-2 -smp 2 $ASSIGNED
check "a storm begins" await_guest 60 hpvm:.storm_begins
sleep 1
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 20 guest_ended
check "its CPUs are the host's" wait_for 20 none_dedicated
check "they sleep and wake" taskset -c 1 timeout 10 sleep 1
