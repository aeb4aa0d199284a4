# shellcheck shell=sh
#: title   exits of the same guest in direct mode
#: kernel  hpvm
#: labs    vmx svm
#: timeout 900
#: groups.vmx demo long
#: groups.svm check demo svm

# None of the exits may be the timers'; some NMIs of the host may come. Stock KVM has
# more than 3.2 exits per timer, of which this is less than 0.1 %.
few() { check "$1: at most 3 exits per 1000 timers" hardly_any_exits $((TIMERS * 3 / 1000)); }

# The accelerator pins the vCPU and switches HLT exits off.
set -- -accel kvm,hpvm=on,hpvm-cpus=1 -cpu "$LINUX_CPU"
measure_timers poll "idle=poll" "$@"
few poll
measure_timers default "" "$@"
few default
