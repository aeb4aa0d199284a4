# shellcheck shell=sh
#: title   redis, nginx and others in a guest of 4 vCPUs: direct mode
#: kernel  hpvm
#: cpus    5
#: loads   yes
#: timeout 2700
#: groups  workloads

VCPUS=4
ACCEL=kvm,hpvm=on,hpvm-cpus=1-4
measure_loads "" -accel $ACCEL -cpu "$LINUX_CPU"
