# shellcheck shell=sh
#: title       the microbenchmark in an hpvm VM that is held in ordinary mode
#: labs        vmx svm
#: kernel      hpvm
#: cpus        9
#: cmdline     isolcpus=domain,managed_irq,1-8 nohz_full=1-8 rcu_nocbs=1-8 irqaffinity=0
#: exact       yes
#: witness.vmx 1 2 3 4 5 6 7 8
#: timeout     900
#: groups      bench
#: atmost.vmx  1.05 bench-tuned bench.timer_arm_median bench.timer_fire_median
#: atmost.vmx  bench.hlt_wake_timer_median bench.self_ipi_median bench.eoi_median
#: atmost.vmx  bench.msr_write_median bench.tsc_aux_write_median bench.cpuid_exit_median
#: atmost.vmx  bench.exit_in_service_median bench.exit_with_irq_pending_median
#: atmost.vmx  bench.pio_exit_median bench.ipi_send_median bench.ipi_deliver_median
#: atmost.vmx  bench.hlt_wake_ipi_median bench.ipi_round_trip_median bench.multicast_send_median

# As bench-tuned.
keep_awake
HOLD=yes
VCPUS=$BENCH_VCPUS
ROUNDS=100
measure_bench -S -accel kvm,hpvm=on,hpvm-cpus="1-$VCPUS" -cpu host,-monitor -smp "$VCPUS"
