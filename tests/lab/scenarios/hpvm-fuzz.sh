# shellcheck shell=sh
#: title   random ioctls from racing threads, with many seeds
#: kernel  hpvm
#: labs    vmx svm
#: cpus    3
#: memory  1024
#: timeout 3600
#: groups  long
#: files   {build}/selftests-hpvm/x86_64/hpvm_fuzz_test

fuzz() {
    HPVM_FUZZ_SEED=$1 timeout 100 /files/hpvm_fuzz_test >/run/said 2>&1
    status=$?
    grep calls /run/said
    [ $status = 0 ] || cat /run/said
    return $status
}

fuzz 0
before=$(available)
good=0
for seed in $(seq "${SEEDS:-30}"); do
    if fuzz "$seed"; then good=$((good + 1)); else note "seed $seed fails"; fi
done
is "every seed ended well" $good "${SEEDS:-30}"
after=$(available)
check "memory is back ($before KiB before, $after after)" [ "$after" -gt $((before - 4096)) ]
is "no CPU is dedicated" "$(hpvm-status)" "No CPU is dedicated."
