# shellcheck shell=sh
#: title   a direct guest of 2 vCPUs starts another kernel by kexec
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: timeout 1500
#: groups  long

# The guest finds the kernel to start in its own initramfs.
{
    cat /guest/initrd
    (cd /guest && printf 'vmlinuz\ninitrd\n' | cpio -o -H newc)
} >/run/kexec-initrd
linux_guest "hpvm.kexec=1 hpvm.messages=2000" -m 256 -initrd /run/kexec-initrd -smp 2 -no-shutdown \
    -accel kvm,hpvm=on,hpvm-cpus=1-2 -cpu "$LINUX_CPU"
check "the guest starts another kernel" await_guest 200 hpvm:.kexec=1
check "that one passes its messages" await_guest 400 hpvm:.nmi=
is "with all vCPUs" "$(figure cpus)" 2
check "in direct mode" [ "$(qmp query-hpvm | grep -o -E '"direct-entries": ([2-9]|[1-9][0-9])' | wc -l)" = 2 ]
hmp info hpvm
qmp quit
wait_guest 10
is "QEMU ended well" $? 0
