# shellcheck shell=sh
#: title       the microbenchmark in direct mode: no exits, and what the bare machine takes
#: labs        vmx svm
#: kernel      hpvm
#: cmdline     isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: exact       yes
#: witness.vmx 1
#: timeout     400
#: groups      check bench svm
#: exitless    timer_arm timer_fire self_ipi eoi msr_write hlt_wake_timer
#: atmost      1.02 bench-bare bench.timer_arm_median bench.self_ipi_median bench.eoi_median
#: atmost      bench.msr_write_median
#: atmost.vmx  bench.timer_fire_median bench.hlt_wake_timer_median

VCPUS=1
ROUNDS=100
measure_bench -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
