# shellcheck shell=sh
#: title       the microbenchmark under stock KVM, tuned as well as it goes
#: labs        vmx svm
#: kernel      stock
#: cpus        9
#: cmdline     isolcpus=domain,managed_irq,1-8 nohz_full=1-8 rcu_nocbs=1-8 irqaffinity=0
#: exact       yes
#: witness.vmx 1 2 3 4 5 6 7 8
#: timeout     900
#: groups      bench
# MWAIT is hidden from the guest in all columns, so that it idles with HLT.

export PIN_CPU=1
keep_awake
VCPUS=$BENCH_VCPUS
ROUNDS=100
measure_bench -accel kvm -cpu host,-monitor -overcommit cpu-pm=on -smp "$VCPUS"
