# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 2 vCPUs: direct mode
#: kernel  hpvm
#: cpus    3
#: loads   yes
#: timeout 1500
#: groups  workloads

VCPUS=2
ACCEL=kvm,hpvm=on,hpvm-cpus=1-2
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
