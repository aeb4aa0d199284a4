# shellcheck shell=sh
#: title   instructions per exit of an ordinary VM on the patched kernel
#: kernel  hpvm
#: cpus    1
#: groups  overhead
# One CPU: with several, an instruction is not exactly one tick of the TSC.

measure_exits
