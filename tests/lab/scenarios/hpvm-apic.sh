# shellcheck shell=sh
#: title   a minimal guest's timer in all modes and self-IPIs, direct; and with a TSC offset
#: kernel  hpvm
#: models  skylake broadwell
#: labs    vmx svm
#: cmdline isolcpus=domain,managed_irq,1 nohz_full=1 rcu_nocbs=1 irqaffinity=0
#: timeout 600
#: groups  check

COUNT=500

# A host without the TSC deadline timer gives its guests none.
case $LAB in
vmx) set -- deadline "deadline hlt" oneshot periodic self ;;
svm) set -- "oneshot ahead=2000000" "oneshot hlt ahead=2000000" "periodic ahead=5000000" self ;;
esac
for words in "$@"; do
    # Where there is a deadline timer, the other modes aren't the hardware's by themselves.
    case $words in
    oneshot* | periodic*) timer=oneshot ;;
    *) timer=auto ;;
    esac
    measure_apic "$(echo "$words" | tr " " -)" "$words count=$COUNT" \
        -accel kvm,hpvm=on,hpvm-cpus=1,hpvm-timer=$timer -cpu host
    is "$words: all interrupts arrived" "$(figure timers_fired)" $COUNT
    check "$words: at most 2 exits" hardly_any_exits 2
done

# A guest that wrote its TSC has an offset: arming exits, firing doesn't.
[ "$LAB" = vmx ] || return
measure_apic tsc "deadline tsc count=$COUNT" -accel kvm,hpvm=on,hpvm-cpus=1 -cpu host
is "tsc: all interrupts arrived" "$(figure timers_fired)" $COUNT
check "tsc: one exit for each, to arm it" [ "$(exits_of "$EXIT_WRMSR")" -le $((COUNT + 1)) ]
check "tsc: no other exits" [ $(($(exits_total) - $(exits_of "$EXIT_WRMSR"))) -le 2 ]
