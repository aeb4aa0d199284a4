# shellcheck shell=sh
#: title   instructions per exit of an ordinary VM on the patched kernel
#: kernel  hpvm
#: exact   yes
#: groups  overhead

measure_exits exits
