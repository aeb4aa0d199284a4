# shellcheck shell=sh
#: title   between direct and ordinary mode, and stopped, under a running guest
#: kernel  hpvm
#: models  skylake broadwell
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 600
#: groups  check

# Long enough for what follows.
case $LAB in
vmx) COUNT=400 period=4000 ;;
svm) COUNT=1000 period=20000 ;;
esac
linux_guest "idle=poll hpvm.timers=$COUNT hpvm.period_us=$period" \
    -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU"
check "the guest is up" await_guest 60 hpvm:.ready
check "the guest is in direct mode" hpvm_direct
switched=0
for _ in 1 2 3 4 5 6 7 8; do
    qmp hpvm-set-mode '{"mode":"ordinary"}' >/dev/null
    wait_for 5 hpvm_state ordinary && switched=$((switched + 1))
    usleep 50000
    qmp hpvm-set-mode '{"mode":"auto"}' >/dev/null
    wait_for 5 hpvm_state direct && switched=$((switched + 1))
    usleep 50000
done
is "each switch took place" $switched 16
qmp stop >/dev/null
usleep 200000
qmp cont >/dev/null
check "direct again after it was stopped" hpvm_direct
hmp info hpvm
wait_guest 60
is "QEMU ended well" $? 0
is "no timer was lost" $(($(figure timers_fired) + $(figure timers_missed))) "$COUNT"
check "hardly one was passed over" [ "$(figure timers_missed)" -le $((COUNT / 10)) ]
check "none was late by more than 0.1 s" [ "$(figure worst_late_us)" -lt 100000 ]
