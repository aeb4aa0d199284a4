# shellcheck shell=sh
#: title   the microbenchmark under stock KVM as it comes
#: kernel  stock
#: cpus    9
#: exact   yes
#: witness 0 1 2 3 4 5 6 7 8
#: timeout 900
#: groups  bench

VCPUS=8
ROUNDS=100
measure_bench -accel kvm -cpu host,-monitor -smp 8
