# shellcheck shell=sh
#: title   a direct guest of 4 vCPUs sends IPIs
#: kernel  hpvm
#: labs    vmx svm
#: cpus    5
#: cmdline isolcpus=domain,managed_irq,1-4 nohz_full=1-4 rcu_nocbs=1-4 irqaffinity=0
#: timeout 900
#: groups  check

measure_messages messages 4 -accel kvm,hpvm=on,hpvm-cpus=1-4 -cpu "$LINUX_CPU"
# AMD's CPUs have no fast path for IPIs. In real time the threads wait in turns, and few
# IPIs are needed.
case $LAB in
vmx) check "at most 1 % of the exits are other than IPIs sent" [ "$(exits_total)" -le $((IPIS / 100)) ] ;;
svm) note "exits besides IPIs and the host's NMIs: $(($(exits_besides_ipis) - $(exits_of "$EXIT_NMI")))" ;;
esac
untripped
