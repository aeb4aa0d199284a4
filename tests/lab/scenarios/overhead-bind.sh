# shellcheck shell=sh
#: title   what the host does to take 1, 4 and 8 CPUs in one call, and to have them back
#: kernel  hpvm
#: labs    vmx svm
#: cpus    9
#: memory  1024
#: timeout 900
#: exact   yes
#: files   {build}/selftests-hpvm/x86_64/hpvm_bind_cost
#: groups  overhead svm

# bound CPUS: the program's figure.
bound() { /files/hpvm_bind_cost "$1" | sed -n 's/^hpvm: bind_instructions=//p'; }
rebuilt() { dmesg | grep -c 'root domain span'; }

# What only the first CPU does: memory that stays, keys that are patched.
bound 1 >/dev/null
for n in 1 4 8; do
    count=$(bound $n)
    check "$n CPUs were taken and are back" [ "${count:-0}" -gt 0 ]
    data "bind.instructions_$n $count"
    eval "instructions_$n=$count"
done
# shellcheck disable=SC2154  # set above
check "8 CPUs take less than 4 times what 1 takes" \
    [ "$instructions_8" -lt $((4 * instructions_1)) ]

# The kernel's log costs, too.
echo Y >/sys/kernel/debug/sched/verbose
for n in 1 4 8; do
    before=$(rebuilt)
    bound $n >/dev/null
    is "$n CPUs: the scheduling domains were rebuilt twice" $(($(rebuilt) - before)) 2
done
