# shellcheck shell=sh
#: title   the selftest of IPIs: what arrives, what is refused, what others see of it
#: kernel  hpvm
#: models  skylake broadwell
#: cpus    4
#: cmdline isolcpus=domain,managed_irq,1-3 nohz_full=1-3 rcu_nocbs=1-3 irqaffinity=0
#: timeout 900
#: memory  1024
#: files   {build}/selftests-hpvm/x86_64/hpvm_ipi_test
#: groups  check
# Not in the svm lab: AMD's CPUs have no fast path; and see tests/lab/README.md.

report_selftests
untripped
