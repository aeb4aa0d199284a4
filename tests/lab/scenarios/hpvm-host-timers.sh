# shellcheck shell=sh
#: title     the host's timers of a guest's CPU: none is lost, none late by more than a tick
#: kernel    hpvm
#: labs      vmx svm
#: memory    1024
#: timeout   600
#: exact.svm yes
#: groups    check svm
#: files     {build}/selftests-hpvm/x86_64/hpvm_isolation_test

report_selftests
