# shellcheck shell=sh
#: title   instructions per exit of an ordinary VM on the unpatched kernel
#: kernel  stock
#: exact   yes
#: groups  overhead

measure_exits exits
