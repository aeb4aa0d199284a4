# shellcheck shell=sh
#: title   from an interrupt's raising to its handler, on the bare machine
#: labs    svm
#: bare    irq.elf irqs=3000 pause=100000
#: cpus    2
#: exact   yes
#: devices -device edu,addr=6
#: groups  irq
