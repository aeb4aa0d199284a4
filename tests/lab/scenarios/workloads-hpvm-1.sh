# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 1 vCPU: direct mode
#: kernel  hpvm
#: cpus    2
#: loads   yes
#: timeout 2000
#: groups  workloads check
#: atmost  0.001 workloads-stock-1 redis-1.default.besides_ipis

VCPUS=1
MORE_LOADS=$ONE_VCPU_LOADS
ACCEL=kvm,hpvm=on,hpvm-cpus=1
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
