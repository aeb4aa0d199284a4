#!/bin/bash
# The patch stacks are fresh, and scripts/stack does what it says, bad input included.
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch

check "the kernel's stack applies and is as exported" scripts/stack check kernel
check "QEMU's stack applies and is as exported" scripts/stack check qemu
check "so says check of both" scripts/stack check

# The rest works on a copy, with a base of a few files.
copy=$SCRATCH/copy cache=$SCRATCH/cache
mkdir -p "$copy"/{build,qemu-hpvm/overlay/hw,qemu-hpvm/patches,kernel-patches} "$cache/src/qemu-base"
cp -r scripts "$copy"
stack=$copy/scripts/stack
printf 'CACHE=%s\n' "$cache" >"$copy/build/config.mk"
printf 'From: A <a@localhost>\nDate: Thu, 1 Jan 1970 00:00:00 +0000\nSubject: Overlay\n\nBody.\n' \
    >"$copy/qemu-hpvm/overlay.msg"
echo new >"$copy/qemu-hpvm/overlay/hw/new.c"
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@localhost
base=$cache/src/qemu-base
{
    git init -q -b pristine "$base"
    seq 100 >"$base/numbers"
    echo same >"$base/same"
    git -C "$base" add -A
    git -C "$base" commit -q -m "qemu 10.0.0"
    git -C "$base" tag base
} >/dev/null

work=$SCRATCH/work
patches=$copy/qemu-hpvm/patches
check "import makes a tree" "$stack" import qemu "$work"
check "the tree has the overlay" cmp "$copy/qemu-hpvm/overlay/hw/new.c" "$work/hw/new.c"
sed -i 's/^50$/fifty/' "$work/numbers"
refuses "export wants everything committed" "changes that aren't committed" "$stack" export qemu "$work"
git -C "$work" commit -q -a -m "numbers: Spell one out" -m "Because."
check "export writes the commit" "$stack" export qemu "$work"
check "it's one patch, number 2" test -e "$patches/0002-numbers-Spell-one-out.patch"
check "an exported stack is fresh" "$stack" check qemu
cp -r "$copy/qemu-hpvm" "$SCRATCH/before"
check "import again" "$stack" import qemu "$SCRATCH/again"
check "export again" "$stack" export qemu "$SCRATCH/again"
check "the same bytes come back" diff -r "$SCRATCH/before" "$copy/qemu-hpvm"
check "series" "$stack" series qemu "$SCRATCH/series"
am() {
    git clone -q "$base" "$SCRATCH/am" && git -C "$SCRATCH/am" am -q "$SCRATCH"/series/*.patch &&
        diff -r -x .git "$work" "$SCRATCH/am"
}
check "git am takes the series, and makes the same tree" am

check "sync makes the tree to build from" "$stack" sync qemu-hpvm
built=$cache/src/qemu-hpvm
touch -d 2000-01-01 "$built"/{numbers,same,hw/new.c}
git -C "$built" update-index --refresh >/dev/null
echo newer >"$copy/qemu-hpvm/overlay/hw/new.c"
check "sync follows the stack" "$stack" sync qemu-hpvm
check "a changed file is new" test "$built/hw/new.c" -nt "$base/same"
check "an unchanged file keeps its time" test "$built/numbers" -ot "$base/same"
cp "$patches"/0002* "$SCRATCH/patch"
sed -i '/^index /s/ 100644//' "$patches"/0002*
refuses "a stack that wasn't exported" "is not as export writes it" "$stack" check qemu
cp "$SCRATCH/patch" "$patches"/0002*
echo mine >"$built/same"
refuses "sync doesn't overwrite changes" "has changes of its own" "$stack" sync qemu-hpvm

refuses "an unknown stack" "there is no stack" "$stack" check nothing
refuses "a missing directory" "needs a directory" "$stack" import qemu
refuses "a directory that exists" "exists already" "$stack" import qemu "$work"
refuses "a directory that's no tree" "isn't a tree made by" "$stack" export qemu "$SCRATCH"
refuses "a base that isn't there" "run ./configure first" "$stack" check kernel

# The kernel for comparison begins as a copy of the other one.
cp -rT "$copy/qemu-hpvm" "$copy/kernel-patches"
git clone -q "$base" "$cache/src/linux-base"
git -C "$cache/src/linux-base" tag -f base >/dev/null
check "sync makes the tree of the kernel" "$stack" sync linux-hpvm
kernel=$cache/src/linux-hpvm stock=$cache/src/linux-stock
object=arch/x86/boot/bzImage
mkdir -p "$kernel/obj-linux-hpvm/${object%/*}"
touch -d 2000-01-01 "$kernel/obj-linux-hpvm/$object" "$kernel/same"
check "sync copies it for comparison" "$stack" sync linux-stock
check "the copy is the base without the stack" diff -r -x .git -x 'obj-*' "$base" "$stock"
check "what is the same is as old" test "$stock/same" -ot "$base/same"
check "so are the objects" test "$stock/obj-linux-stock/$object" -ot "$base/same"
check "the other tree has the stack" cmp "$kernel/hw/new.c" "$copy/kernel-patches/overlay/hw/new.c"
check "and no change" test -z "$(git -C "$kernel" status --porcelain -uno)"
check "sync makes QEMU's for comparison" "$stack" sync qemu-stock
check "it's the base without the stack" diff -r -x .git "$base" "$cache/src/qemu-stock"

echo more >>"$SCRATCH/again/hw/new.c"
git -C "$SCRATCH/again" commit -q -a -m "Touch the overlay"
refuses "a patch of an overlay file" "may not touch overlay files" "$stack" export qemu "$SCRATCH/again"
echo more >"$work/more.c"
git -C "$work" add more.c
git -C "$work" commit -q -m "Add a file"
refuses "a patch that adds a file" "may not add files" "$stack" export qemu "$work"
echo x >"$copy/qemu-hpvm/overlay/same"
refuses "an overlay file that upstream has" "exists upstream" "$stack" check qemu
rm "$copy/qemu-hpvm/overlay/same"
sed -i 's/^-50$/-49/' "$patches"/0002*
refuses "a patch that doesn't apply" "doesn't apply to the base, qemu 10.0.0" "$stack" check qemu
check "nothing half made is left" test ! -e "$SCRATCH/again.part"
finish
