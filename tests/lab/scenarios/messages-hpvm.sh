# shellcheck shell=sh
#: title   a guest of 8 vCPUs passes messages like hackbench: direct mode
#: kernel  hpvm
#: cpus    9
#: timeout 1500
#: groups  bench long
#: atmost  0.01 messages-stock messages.besides_ipis

: "${LOOPS:=100}"
measure_hackbench messages 8 -accel kvm,hpvm=on,hpvm-cpus=1-8 -cpu "$LINUX_CPU" -smp 8
check "IPIs were sent" [ "$IPIS" -gt 0 ]
