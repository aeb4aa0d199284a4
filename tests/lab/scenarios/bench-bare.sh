# shellcheck shell=sh
#: title    the microbenchmark on the bare machine
#: labs     vmx svm
#: bare.vmx bench.elf cpus=8 rounds=100
#: bare.svm bench.elf cpus=4 rounds=100 turns
#: cpus     9
#: exact    yes
#: groups   check bench
