# shellcheck shell=sh
#: title   the selftests of direct mode: ABI, state round trips, hostile guests
#: kernel  hpvm
#: models  skylake broadwell
#: labs    vmx svm
#: cmdline irqaffinity=0
#: timeout 600
#: memory  1024
#: files   {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test
#: groups  check
# CPU 1 is not isolated: the host's own work there is part of what is tested, and Linux
# 6.12 doesn't take an isolated CPU offline.

report_selftests
