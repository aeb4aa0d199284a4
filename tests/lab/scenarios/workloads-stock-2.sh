# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 2 vCPUs: stock KVM as it comes
#: kernel  stock
#: cpus    3
#: loads   yes
#: timeout 1500
#: groups  workloads

VCPUS=2
ACCEL=kvm
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
