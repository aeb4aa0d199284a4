# shellcheck shell=sh
#: title   the microbenchmark on the bare machine
#: bare    bench.elf cpus=8 rounds=100
#: cpus    9
#: exact   yes
#: groups  check bench
