# shellcheck shell=sh disable=SC2154  # the variables of snapshot
#: title   KVM's recovery of huge pages (iTLB multihit) stays off the guest's CPU
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: timeout 600
#: groups.vmx long
#: groups.svm check svm

# What an Intel host with that erratum has by itself, but more often: 60 s there.
echo force >/sys/module/kvm/parameters/nx_huge_pages
echo 500 >/sys/module/kvm/parameters/nx_huge_pages_recovery_period_ms
direct_guest 120
for t in /proc/"$GUEST_PID"/task/*; do
    echo "$(cat "$t/comm"): $(allowed_cpus "$t")"
done >/run/threads
cat /run/threads
check "the recovery has a thread" grep -q '^kvm-nx-lpage' /run/threads
check "no thread but the vCPU's may run on CPU 1 only" \
    not eval 'grep -v "^CPU 0/KVM" /run/threads | grep -q ": 1$"'
for _ in $(seq 20); do nap; done
snapshot was
for _ in $(seq 50); do nap; done
snapshot now
is "in 5 s: context switches" $((now_context_switches - was_context_switches)) 0
kill -9 "$GUEST_PID"
check "no CPU is dedicated" wait_for 10 none_dedicated
