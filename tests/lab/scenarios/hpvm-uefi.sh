# shellcheck shell=sh
#: title   guests that UEFI's firmware boots, with variables in flash: direct, and again after a reset
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: memory  1024
#: files   /usr/share/OVMF/OVMF_CODE_4M.fd
#: files   /usr/share/OVMF/OVMF_VARS_4M.fd
#: timeout 900
#: groups  long

# Each write of a variable has QEMU change the flash's memory slot, for which KVM may drop
# what it has mapped.
boots() { [ "$(grep -c hpvm:.ready "$GUEST_LOG")" -ge "$1" ]; }
# uefi MACHINE VCPUS
uefi() {
    cp /files/OVMF_VARS_4M.fd /run/vars.fd
    linux_guest "idle=poll hpvm.timers=100000000" -M "$1" -smp "$2" -m 256 \
        -drive if=pflash,format=raw,readonly=on,file=/files/OVMF_CODE_4M.fd \
        -drive if=pflash,format=raw,file=/run/vars.fd \
        -accel kvm,hpvm=on,hpvm-cpus="1-$2" -cpu "$LINUX_CPU" -action reboot=reset
    check "$1, $2 vCPUs: the guest is up" await 200 boots 1
    check "$1, $2 vCPUs: it's direct" hpvm_direct
    check "$1, $2 vCPUs: the firmware wrote variables" not cmp -s /files/OVMF_VARS_4M.fd /run/vars.fd
    qmp system_reset >/dev/null
    check "$1, $2 vCPUs: it's up again after a reset" await 200 boots 2
    check "$1, $2 vCPUs: and direct" hpvm_direct
    hmp info hpvm
    qmp quit >/dev/null
    wait_guest 10
    is "$1, $2 vCPUs: QEMU ended well" $? 0
}
uefi pc 1
uefi q35 2
