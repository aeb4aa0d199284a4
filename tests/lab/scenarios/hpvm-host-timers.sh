# shellcheck shell=sh
#: title     the host on a guest's CPU: no timer is lost or late by a tick, IPIs are NMIs
#: kernel    hpvm
#: labs      vmx svm
#: cpus      3
#: memory    1024
#: timeout   600
#: exact.svm yes
#: groups    check svm
#: files     {build}/selftests-hpvm/x86_64/hpvm_isolation_test

# All the others; hpvm-wakeup has that one.
TESTS=-Twakeup
report_selftests
