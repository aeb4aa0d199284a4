# shellcheck shell=sh
#: title   level-triggered interrupts in direct mode: a PCI serial port
#: kernel  hpvm
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 600
#: groups.vmx long
#: groups.svm check svm

LINES=200
linux_guest "idle=poll hpvm.serial=$LINES" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU" \
    -chardev file,id=pci,path=/run/pci-serial.log -device pci-serial,chardev=pci
check "the guest is up" await_guest 60 hpvm:.ready
check "the guest is in direct mode" hpvm_direct
wait_guest 120
is "QEMU ended well" $? 0
is "the guest wrote all lines" "$(figure serial_lines)" $LINES
is "all of them arrived whole" \
    "$(grep -c '^a line that needs several level-triggered interrupts' /run/pci-serial.log)" $LINES
