#!/bin/bash
# The kernel's unit tests of the stack, which the lab's kernel has in it, booted in
# QEMU's own emulation. With an IOMMU, which the kernel wants for x2APIC.
#
# Usage: tests/build/kunit.sh [KERNEL [CPU]]: another build of the kernel, on another CPU
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit

kernel=${1:-linux-hpvm}
[ $# -gt 0 ] || make kernel || exit
log=build/log/kunit-$kernel.log
timeout 300 "$CACHE/build/qemu-hpvm/qemu-system-x86_64" -accel tcg -M q35 \
    -cpu "${2:-max}" -m 512 -smp 2 -device intel-iommu,intremap=on,eim=on \
    -L "$CACHE/build/qemu-hpvm/pc-bios/optionrom" -bios /usr/share/seabios/bios-256k.bin \
    -kernel "$CACHE/build/$kernel/arch/x86/boot/bzImage" \
    -append 'console=ttyS0 panic=-1 kunit.filter_glob=hpvm* kunit_shutdown=reboot' \
    -display none -vga none -serial stdio -monitor none -nic none -no-reboot </dev/null >"$log" 2>&1
# The tests of a suite are one level in; the suite's own line only sums them up.
while read -r result text; do
    case $result,$text in
    ok,*SKIP*) check "$text" false ;;
    ok,*) check "$text" true ;;
    *)    check "$text" tail -n 30 -- "$log" /nowhere ;;
    esac
done < <(tr -d '\r' <"$log" | sed -nE 's/^(\[[^]]*\] )?    (not ok|ok) [0-9]+ /\2 /p' | sed 's/^not ok/not_ok/')
[ $((PASSED + FAILED)) -gt 0 ] || check "unit tests run (the console: $log)" tail -n 30 -- "$log" /nowhere
finish
