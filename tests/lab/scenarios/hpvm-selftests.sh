# shellcheck shell=sh
#: title   the selftests of direct mode: ABI, state round trips, hostile guests
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 400
#: memory  1024
#: files   {build}/selftests-hpvm/x86_64/hpvm_*_test
#: groups  check

run_selftests all-pass
