# shellcheck shell=sh
#: title   what an IPI to all CPUs costs the patched host
#: kernel  hpvm
#: cpus    8
#: exact   yes
#: timeout 600
#: groups  overhead

measure_broadcasts
