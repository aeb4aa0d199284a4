# shellcheck shell=sh
#: title       KASAN has nothing to say
#: kernel      debug-kasan
#: labs        vmx svm
#: cpus.svm    4
#: memory      2048
#: devices.svm -device edu,addr=6
#: timeout     3600
#: groups      debug
#: files       {build}/selftests-hpvm/x86_64/hpvm_[!i]*_test

watched_run
