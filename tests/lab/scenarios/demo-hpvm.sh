# shellcheck shell=sh
#: title   exits of the same guest in direct mode
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 900
#: groups  check demo

# The accelerator pins the vCPU and switches HLT exits off. MWAIT: see demo-stock.
set -- -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
measure_timers poll "idle=poll" "$@"
check "poll: at most 2 exits" [ "$(exits_total)" -le 2 ]
measure_timers default "" "$@"
check "default: at most 2 exits" [ "$(exits_total)" -le 2 ]
