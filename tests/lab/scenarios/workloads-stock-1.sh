# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 1 vCPU: stock KVM as it comes
#: kernel  stock
#: cpus    2
#: loads   yes
#: timeout 2000
#: groups  workloads check

VCPUS=1
MORE_LOADS=$ONE_VCPU_LOADS
ACCEL=kvm
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
