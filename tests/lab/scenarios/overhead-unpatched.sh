# shellcheck shell=sh
#: title   instructions per exit of an ordinary VM on the unpatched kernel
#: kernel  stock
#: cpus    1
#: groups  overhead
# One CPU: with several, an instruction is not exactly one tick of the TSC.

measure_exits
