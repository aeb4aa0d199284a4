# shellcheck shell=sh
#: title       the microbenchmark in an hpvm VM that is held in ordinary mode
#: labs        vmx svm
#: kernel      hpvm
#: cpus        9
#: cmdline     isolcpus=domain,managed_irq,1-8 nohz_full=1-8 rcu_nocbs=1-8 irqaffinity=0
#: exact       yes
#: witness.vmx 1 2 3 4 5 6 7 8
#: timeout     900
#: groups      bench

# As bench-tuned.
keep_awake
HOLD=yes
VCPUS=$BENCH_VCPUS
ROUNDS=100
measure_bench -S -accel kvm,hpvm=on,hpvm-cpus="1-$VCPUS" -cpu host,-monitor -smp "$VCPUS"
