#!/bin/bash
# Style of what this project wrote: shell, Python, the kernel's and QEMU's own rules.
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch
# checkpatch's helpers want Debian's Python, which has the modules they need.
PATH=/usr/bin:$PATH

# Files by what their first line says, tracked or about to be.
mapfile -t files < <(git ls-files --cached --others --exclude-standard | while read -r f; do
    [ -f "$f" ] && echo "$f"
done)
mapfile -t ours < <(printf '%s\n' "${files[@]}" | grep -vE '^(kernel-patches|qemu-hpvm)/(overlay|patches|lab|stock)/')
shell=() scenarios=() python=()
for f in "${ours[@]}"; do
    case $f:$(head -n 1 "$f" | tr -d '\0') in
    tests/lab/scenarios/*) scenarios+=("$f") ;;
    *:'#!'*/sh* | *:'#!'*bash* | *:'# shellcheck shell='*) shell+=("$f") ;;
    *:'#!'*python* | *:'"""'*) python+=("$f") ;;
    esac
done

check "shellcheck: ${#shell[@]} scripts" shellcheck -x -P SCRIPTDIR "${shell[@]}"
# Their variables are for tests/lab/l1/lab.sh, which reads them in.
check "shellcheck: ${#scenarios[@]} scenarios" shellcheck -e SC2034 "${scenarios[@]}"
check "Python parses: ${#python[@]} files" /usr/bin/python3 -c '
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)' "${python[@]}"

# none TEXT PATTERN FILE...: no line of the files has the pattern.
none() {
    check "$1" without "${@:2}"
}

without() {
    ! grep -nP -- "$1" "${@:2}" /dev/null
}

mapfile -t text < <(printf '%s\n' "${ours[@]}" | grep -vE '\.(patch|svg|json)$')
none "no blanks at the end of a line" '[ \t]+$' "${text[@]}"
mapfile -t tables < <(printf '%s\n' "${ours[@]}" | grep -E '\.(md|lock|config|py)$')
none "no tabs in tables and texts" '\t' "${tables[@]}"
# Spelled so that this line isn't found itself.
none "nothing left to do in the tree" "\\b(TO""DO|FIX""ME|XX""X|HA""CK)\\b" "${files[@]}"

habits=FILE_PATH_CHANGES,CONFIG_DESCRIPTION,BIT_MACRO,COMPLEX_MACRO,TRAILING_SEMICOLON
habits+=,ARCH_INCLUDE_LINUX,FUNCTION_ARGUMENTS,EXPORT_SYMBOL,LINE_SPACING,LOGICAL_CONTINUATIONS

# checkpatch, on the complete series, which has the overlay too.
scripts/stack series kernel "$SCRATCH/linux"
# A copy: checkpatch takes a file that git knows for a source.
for patch in kernel-patches/{lab,stock}/*.patch; do
    copy=${patch#*/}
    cp "$patch" "$SCRATCH/linux/${copy/\//-}"
done
# What is ignored are KVM's own habits (lists of fields and statistics as macros,
# <asm/...> in arch/x86, one-line stubs, conditions that upstream begins with the
# operator) and rules for patches that go upstream.
kernel() {
    perl "$CACHE/src/linux-base/scripts/checkpatch.pl" --root="$CACHE/src/linux-base" \
        --strict --quiet --terse --show-types --ignore "$habits" "$@"
}
qemu() {
    (cd "$CACHE/src/qemu-base" && perl scripts/checkpatch.pl --quiet --terse "$@")
}
# The overlay's takes as long as all others together: it runs beside them.
kernel "$SCRATCH"/linux/0001-*.patch >"$SCRATCH/overlay" 2>&1 &
overlay=$!
for patch in "$SCRATCH"/linux/*.patch; do
    [[ ${patch##*/} = 0001-* ]] || check "Linux checkpatch: ${patch##*/}" kernel "$patch"
done
# QEMU's wants imported headers in a patch of their own, so for the overlay it gets
# the files; the header is the kernel's, which has other rules.
qemu_overlay() {
    cd qemu-hpvm/overlay && find . -name linux-headers -prune -o -type f -printf '%P\0' |
        xargs -0 -n 1 perl "$CACHE/src/qemu-base/scripts/checkpatch.pl" --no-tree --quiet --terse -f
}
check "QEMU checkpatch: overlay" qemu_overlay
for patch in qemu-hpvm/patches/*.patch; do
    check "QEMU checkpatch: ${patch##*/}" qemu "$TOP/$patch"
done
# Programs for the lab's guests: the kernel's style without the kernel's helpers.
mapfile -t programs < <(printf '%s\n' "${ours[@]}" | grep -E '\.[ch]$')
for file in "${programs[@]}"; do
    check "Linux checkpatch: $file" kernel --file --ignore \
        PREFER_KERNEL_TYPES,EMBEDDED_FUNCTION_NAME,SPDX_LICENSE_TAG,VOLATILE,PREFER_DEFINED_ATTRIBUTE_MACRO "$file"
done
kernel_overlay() {
    cat "$SCRATCH/overlay"
    return "$1"
}
wait $overlay
check "Linux checkpatch: overlay" kernel_overlay $?
finish
