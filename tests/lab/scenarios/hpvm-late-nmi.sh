# shellcheck shell=sh
#: title   work of the host that comes at each of the last instructions of a slow exit
#: kernel  hpvm
#: labs    vmx svm
#: timeout 600
#: groups  check
#: groups.svm check svm

# The guest makes exits all the time. At the given instruction the host gets work for its
# CPU, as by an NMI there. If that left an exit forced, the guest would never run again.
RAISE_AT=/sys/kernel/debug/hpvm/raise_at
short_nap() {
    # shellcheck disable=SC3045  # busybox has it
    read -r -t 0.03 _ <&9
    return 0
}
# extent FUNCTION: its address, and that of the next symbol.
extent() {
    sort /run/symbols | awk -v f="$1" '
        found && $1 != begin { print begin, $1; exit }
        $3 == f { found = 1; begin = $1 }'
}

case $LAB in
vmx) timer=deadline vendor=vmx ;;
svm) timer=oneshot vendor=svm ;;
esac
start_guest -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host \
    -kernel /guest/apic.elf -append "$timer exits count=1000000000"
check "the guest is up" await_guest 20 hpvm:.ready
check "and in direct mode" hpvm_direct
grep ' [tT] ' /proc/kallsyms >/run/symbols
for function in ${vendor}_hpvm_exited hpvm_force_exit_clear __kvm_hpvm_leave_irqoff; do
    tried=0 hit=0 stuck=
    # shellcheck disable=SC2046  # two words
    set -- $(extent "$function")
    while [ $tried -lt $((0x$2 - 0x$1)) ]; do
        printf '0x%x\n' $((0x$1 + tried)) >$RAISE_AT
        short_nap
        read -r before <$RAISE_AT
        if [ "$before" -gt 0 ]; then
            hit=$((hit + 1))
            short_nap
            read -r after <$RAISE_AT
            [ "$after" -gt "$before" ] || stuck="$stuck $tried"
        fi
        tried=$((tried + 1))
    done
    echo 0 >$RAISE_AT
    note "$function: $hit instructions of $tried bytes"
    check "$function: instructions were hit" [ $hit -gt 3 ]
    is "$function: the guest went on after each (but after offsets)" "$stuck" ""
done
check "the guest is still direct" hpvm_direct
kill -9 "$GUEST_PID"
check "QEMU is gone" wait_for 10 guest_ended
