# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 4 vCPUs: stock KVM as it comes
#: kernel  stock
#: cpus    5
#: loads   yes
#: timeout 2700
#: groups  workloads

VCPUS=4
ACCEL=kvm
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
