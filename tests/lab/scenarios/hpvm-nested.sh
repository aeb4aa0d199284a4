# shellcheck shell=sh
#: title   a guest whose kernel has KVM loaded, and no VM of its own, is direct
#: kernel  hpvm
#: labs    vmx svm
#: cpus    2
#: memory  1024
#: files   {build}/linux-stock/arch/x86/boot/bzImage
#: timeout 400
#: groups  check
#: groups.svm check svm

# The guest's kernel is the lab's stock one: Linux 6.12 with KVM built in, which sets
# EFER.SVME or executes VMXON at once. "hpvm_lab" lets it use x2APIC mode, as
# CONFIG_HYPERVISOR_GUEST does in a distribution's.
mkdir -p /run/n/bin /run/n/dev /run/n/proc
cp /bin/busybox /run/n/bin/
cat >/run/n/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox echo "hpvm: ready=1 $(/bin/busybox ls /dev/kvm)"
while :; do /bin/busybox usleep 10000; done
END
chmod +x /run/n/init
(cd /run/n && find . | cpio -o -H newc 2>/dev/null) >/run/n.cpio
clock=$(grep -o -E '(tsc_early_khz|lpj)=[^ ]*' /proc/cmdline | tr '\n' ' ')
[ "$LAB" = vmx ] || clock="$clock hpvm_lab_lapic_khz=1000000 no_timer_check"

# run WHAT HPVM-OPTIONS GUEST-CMDLINE
run() {
    start_guest -m 256 -kernel /files/bzImage -initrd /run/n.cpio \
        -accel "kvm,hpvm=on,hpvm-cpus=1$2" -cpu "$LINUX_CPU" \
        -append "console=ttyS0 quiet nokaslr mitigations=off panic=-1 idle=poll tsc=reliable \
$clock hpvm_lab kunit.enable=0 random.trust_cpu=on $3"
    check "$1: the guest is up" await_guest 100 hpvm:.ready
    check "$1: it has KVM" guest_said "ready=1 /dev/kvm"
    check "$1: it's direct" hpvm_direct
    check "$1: it runs" guest_is running
    hmp info hpvm
    qmp quit >/dev/null
    wait_guest 10
}
run "virtualization on" "" ""
run "virtualization on, hpvm-leave=stop" ",hpvm-leave=stop" ""
run "virtualization off" "" kvm.enable_virt_at_load=0
