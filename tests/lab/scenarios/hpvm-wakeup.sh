# shellcheck shell=sh
#: title     tasks on a guest's idle CPU are woken, at whatever moment that goes idle
#: kernel    hpvm
#: labs      svm
#: memory    1024
#: groups    check svm
#: files     {build}/selftests-hpvm/x86_64/hpvm_isolation_test
# In real time: CPUs that take turns would meet in few moments.

TESTS=-twakeup
report_selftests
