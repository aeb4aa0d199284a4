# shellcheck shell=sh
#: title   the selftests of direct mode: ABI, state round trips, hostile guests
#: kernel  hpvm
#: labs    vmx svm
#: cmdline irqaffinity=0
#: timeout 600
#: memory  1024
#: files   {build}/selftests-hpvm/x86_64/hpvm_*_test
#: groups  check
# CPU 1 is not isolated: the host's own work there is part of what is tested, and Linux
# 6.12 doesn't take an isolated CPU offline.

# report PROGRAM: each test of its TAP is a check here.
report() {
    ended=
    while read -r line; do
        echo "$line"
        case $line in
        "ok "*" # SKIP "*) skip "$1: ${line#ok * }" ;;
        "ok "*) ok "$1: ${line#ok * }" ;;
        "not ok "*) not_ok "$1: ${line#not ok * }" ;;
        "1..0 # SKIP "*) not_ok "$1: skipped:${line#*SKIP}" ;;
        "# Totals: "*) ended=yes ;;
        esac
    done
    [ -n "$ended" ] || not_ok "$1: ended before its last test"
}

for file in /files/*; do
    stage "${file##*/}"
    timeout 100 "$file" 2>&1 | report "${file##*/}"
done
