# shellcheck shell=sh
#: title   exits of the same guest in direct mode
#: kernel  hpvm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 900
#: groups  check demo

# None of the exits may be the timers'; some NMIs of the host may come. Stock KVM has
# more than 3.2 exits per timer, of which this is less than 0.1 %.
few() { check "$1: at most 3 exits per 1000 timers" [ "$(exits_total)" -le $((${TIMERS:-1000} * 3 / 1000)) ]; }

# The accelerator pins the vCPU and switches HLT exits off. MWAIT: see demo-stock.
set -- -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host,-monitor
measure_timers poll "idle=poll" "$@"
few poll
measure_timers default "" "$@"
few default
