# shellcheck shell=sh
#: title   two hosts and the network between them
#: labs    svm
#: hosts   2
#: cpus    2
#: memory  384
#: kernel.b hpvm
#: timeout 120
#: groups  svm

check "the other host answers" wait_for 20 ping -q -c 1 -W 1 "$(address "$PEER")"
case $HOST in
a) check "this kernel is stock" not test -e /sys/kernel/debug/hpvm ;;
b) check "this kernel has the patches" test -e /sys/kernel/debug/hpvm ;;
esac
meet
is "this is host a" "$HOST" a
# shellcheck disable=SC2016  # the other one expands it
peer eval 'is "this is host b" "$HOST" b'
check "host b says how a word ended" not peer false
peer export TEXT="two  words"
# shellcheck disable=SC2016
peer eval 'is "words keep their blanks" "$TEXT" "two  words"'
