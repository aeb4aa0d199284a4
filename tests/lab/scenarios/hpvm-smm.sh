# shellcheck shell=sh
#: title   firmware that keeps its variables in SMM: direct, also after a reset; a storm of SMIs loses no timer
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: memory  1024
#: files   /usr/share/OVMF/OVMF_CODE_4M.secboot.fd
#: files   /usr/share/OVMF/OVMF_VARS_4M.fd
#: modules efivarfs
#: timeout 900
#: groups  long

: "${SMIS:=200}" "${PATIENCE:=300}"
VCPUS=2
PERIOD_US=20000
SERIAL_INPUT=/run/input
mkfifo $SERIAL_INPUT
exec 8<>$SERIAL_INPUT

SMM=/sys/kernel/tracing/instances/smm
mkdir $SMM
echo 'hist:keys=vcpu_id,entering' >$SMM/events/kvm/kvm_smm_transition/trigger
# smis VCPU: so many have been taken until now.
smis() {
    sed -n "s/^{ vcpu_id: *$1, entering: *1 } hitcount: *\([0-9]*\)$/\1/p" \
        $SMM/events/kvm/kvm_smm_transition/hist | grep . || echo 0
}
boots() { [ "$(grep -c hpvm:.ready "$GUEST_LOG")" -ge "$1" ]; }
boots_or_ends() { boots "$1" || guest_ended; }
# booted N: it's up for the Nth time, or the scenario ends.
booted() {
    await "$PATIENCE" boots_or_ends "$1"
    check "the guest is up" boots "$1" && return
    kill -9 "$GUEST_PID"
    wait_guest 10
    return 1
}
# In the flash the name has two bytes a letter.
in_flash() { tr -d '\0' <"$1" | grep -q hpvmWrites; }

cp /files/OVMF_VARS_4M.fd /run/vars.fd
check "the flash hasn't the variable" not in_flash /run/vars.fd
linux_guest "hpvm.variable=1 hpvm.smis=$SMIS hpvm.timers=100000000 hpvm.period_us=$PERIOD_US hpvm.stay=1" \
    -machine q35,smm=on -smp $VCPUS -m 256 \
    -global driver=cfi.pflash01,property=secure,value=on \
    -drive if=pflash,format=raw,readonly=on,file=/files/OVMF_CODE_4M.secboot.fd \
    -drive if=pflash,format=raw,file=/run/vars.fd \
    -accel kvm,hpvm=on,hpvm-cpus=1-$VCPUS -cpu "$LINUX_CPU" -action reboot=reset

stage "boot"
booted 1 || return 0
check "both vCPUs are direct" wait_for 10 all_direct
hmp info hpvm
first=$(smis 0)
second=$(smis 1)
note "SMIs until now: $first and $second"
check "the first has been in SMM" [ "$first" -gt 0 ]
check "so has the second" [ "$second" -gt 0 ]
is "the variable is new" "$(figure found)" 0
check "it is in the flash" in_flash /run/vars.fd

stage "storm"
echo >&8
answers "in the storm" 20 guest_said hpvm:.elapsed_us
check "the storm is over" guest_said hpvm:.elapsed_us || show_guest
first=$(($(smis 0) - first))
second=$(($(smis 1) - second))
note "SMIs in the storm: $first and $second"
check "the first has taken its SMIs" [ $first -ge "$SMIS" ]
check "so has the second" [ $second -ge "$SMIS" ]
is "each timer came" $(($(figure timers_fired) + $(figure timers_missed))) "$(figure timers)"
check "none was early" [ "$(figure elapsed_us)" -ge $(($(figure timers) * PERIOD_US)) ]
check "none took seconds" [ "$(figure longest_gap_us)" -lt 10000000 ]
note "$(figure timers_missed) of $(figure timers) timers missed, $(figure worst_late_us) us late at most"
check "both vCPUs are direct again" wait_for 10 all_direct
hmp info hpvm

stage "reset"
written=$(figure written | tail -n 1)
qmp system_reset >/dev/null
booted 2 || return 0
check "both vCPUs are direct after the reset" wait_for 10 all_direct
is "the variable is as it was written in the storm" "$(figure found | tail -n 1)" "$written"

stage "end"
# In the midst of another storm.
echo >&8
sleep 1
qmp quit >/dev/null
wait_guest 10
is "QEMU ended well" $? 0
check "the variable is still in the flash" in_flash /run/vars.fd
check "no CPU is left behind" wait_for 20 none_dedicated
untripped
