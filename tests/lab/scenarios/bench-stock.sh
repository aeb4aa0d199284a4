# shellcheck shell=sh
#: title       the microbenchmark under stock KVM as it comes
#: labs        vmx svm
#: kernel      stock
#: cpus        9
#: exact       yes
#: witness.vmx 0 1 2 3 4 5 6 7 8
#: timeout     900
#: groups      bench

VCPUS=$BENCH_VCPUS
ROUNDS=100
measure_bench -accel kvm -cpu host,-monitor -smp "$VCPUS"
