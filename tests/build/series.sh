#!/bin/bash
# Each patch of both series compiles on top of those before it: the files that it
# touches, and where it touches a header, the header's directory; with "all" everything
# in the directories that the series touches, which is compiled at the end in any case.
# (The overlay alone is nothing to compile: no Makefile names it yet.)
# Usage: tests/build/series.sh [all]
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit

how=${1:-touched}
[ $# = 0 ] || [ "$*" = all ] || { echo "Usage: $0 [all]" >&2; exit 2; }

# commits NAME TREE STACK: bring the tree up to date, and list its hook commits and the
# files that they and the overlay touch.
commits() {
    local overlay tree=$CACHE/src/$2
    scripts/stack sync "$2" || exit
    overlay=$(git -C "$tree" log --format=%H --fixed-strings \
        --grep="$(sed -n 's/^Subject: //p' "$3/overlay.msg")" refs/tags/base..HEAD | tail -n 1)
    git -C "$tree" rev-list --reverse "$overlay..HEAD" >"$SCRATCH/$1"
    check "$1: the series has patches after the overlay" test -s "$SCRATCH/$1"
    git -C "$tree" diff --name-only "$overlay^" HEAD | grep -E '\.[chS]$' >"$SCRATCH/$1.files"
}

title() {
    git -C "$CACHE/src/$1" log -1 --format=%s "$2"
}

scratch
# QEMU's configure keeps one CPU busy for most of a minute: begin with it. Whether it
# succeeds is seen below, where its tree is built.
TREE=qemu-series scripts/build-qemu build.ninja >/dev/null 2>&1 &
commits linux linux-series kernel-patches
src=$CACHE/src/linux-series
# The directory of a file as the kernel's make knows it: one with a Makefile.
directory() {
    local dir=${1%/*}
    until [ -e "$src/$dir/Makefile" ] || [ -e "$src/$dir/Kbuild" ]; do dir=${dir%/*}; done
    echo "$dir/"
}
directories() {
    while read -r file; do directory "$file"; done | sort -u
}
# The object of a source; for a header, or a source that others include, the directory.
objects() {
    local file object
    while read -r file; do
        object=${file%.*}.o
        if [ "${file##*.}" != h ] && grep -qsw "${object##*/}" "$src/$(directory "$file")"/{Makefile,Kbuild}; then
            echo "$object"
        else
            directory "$file"
        fi
    done | sort -u
}
# Built for other files, or by themselves: not by this kernel's make; nor what the lab's
# configuration doesn't have, machine checks, of which "make kernel-deb" has all.
elsewhere='^(tools|Documentation|samples)/|/include/|^include/|^arch/x86/kernel/cpu/mce/'
mapfile -t all < <(grep -vE "$elsewhere" "$SCRATCH/linux.files" | directories)
touched() {
    git -C "$src" diff --name-only "$1^" "$1" | grep -vE "$elsewhere" | grep -E '\.[chS]$' | objects
}
# Without the last one, which has nothing of its own: it switches on what is compiled below.
while read -r rev; do
    targets=()
    [ "$how" = all ] || mapfile -t targets < <(touched "$rev")
    [ ${#targets[@]} != 0 ] || targets=("${all[@]}")
    check "Linux builds: $(title linux-series "$rev")" \
        env REV="$rev" scripts/build-kernel linux-series linux-series lab.config -- "${targets[@]}"
done < <(sed '$d' "$SCRATCH/linux")
check "Linux builds with all of it switched on" \
    scripts/build-kernel linux-series linux-series lab.config hpvm.config kunit.config -- "${all[@]}"

wait
commits qemu qemu-series qemu-hpvm
# The names of objects have their source's path in them, with _ for /.
grep '\.c$' "$SCRATCH/qemu.files" | sed -E 's,/[^/]*$,,; s,/,_,g' | sort -u >"$SCRATCH/dirs"
qemu_builds() {
    local objects
    export TREE=qemu-series REV=$1
    scripts/build-qemu build.ninja || return
    mapfile -t objects < <(ninja -C "$CACHE/build/qemu-series" -t targets all |
        sed -nE 's,^(libqemu-x86_64-softmmu\.a\.p/[^:]*\.c\.o): c_.*,\1,p' |
        grep -E "/($(paste -sd'|' "$SCRATCH/dirs"))_[^_]*\.c\.o")
    scripts/build-qemu "${objects[@]}"
}
while read -r rev; do
    check "QEMU builds: $(title qemu-series "$rev")" qemu_builds "$rev"
done <"$SCRATCH/qemu"
finish
