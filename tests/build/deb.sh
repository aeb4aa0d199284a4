#!/bin/bash
# The packages of make deb: built twice, looked at by lintian, and installed, upgraded, removed
# and purged beside Debian's QEMU in a Debian that has nothing else. As root.
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
[ "$(id -u)" = 0 ] || { skip "packages" "only root can install them"; finish; }

missing=()
for package in lintian debootstrap; do
    command -v $package >/dev/null || missing+=("$package")
done
mkdir -p build/log
[ ${#missing[@]} = 0 ] || APT_CONFIG=$CACHE/apt/apt.conf DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" >build/log/deb-check.log 2>&1 ||
    die "${missing[*]} can't be installed; see build/log/deb-check.log"
scratch
debs=$TOP/build/deb again=$CACHE/build/packages-again root=$CACHE/build/chroot
clean() {
    if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
    rm -rf "$again" "$root"
}
trap 'clean; rm -rf "$SCRATCH"' EXIT
clean
names=(hpvm-tools qemu-system-x86-hpvm)

# Elsewhere, with other surroundings, and compiled anew: no compiler's cache, unless called with
# the word "cached".
build_again() {
    [ "$1" = cached ] || export CCACHE_DISABLE=1
    umask 027
    TZ=Asia/Tokyo scripts/build-packages --in="$again/else/where" --to="$again"
}
same() { cmp "$1/$3"_*.deb "$2/$3"_*.deb; }
check "the packages are built" scripts/build-packages
check "and built again" build_again "${1:-}"
for name in "${names[@]}"; do
    check "$name: the same bytes" same "$debs" "$again" "$name"
done
for name in "${names[@]}"; do
    check "$name: lintian has nothing to say" lintian --allow-root --info \
        --fail-on error,warning "$debs/$name"_*.deb
done

# A Debian of this machine's release, with what its apt knows about mirrors.
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(awk -v suite="$release" '$1 == "deb" && $4 == suite { print $3; exit }' "$CACHE/apt/sources.list")
new_debian() {
    debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$release" "$root" "$mirror" || return
    grep -E "^deb .* $release(-updates|-security)? " "$CACHE/apt/sources.list" >"$root/etc/apt/sources.list"
    apt-config dump Acquire >"$root/etc/apt/apt.conf.d/of-the-host"
    cp /etc/resolv.conf "$root/etc/"
    mount -t proc proc "$root/proc"
    inside apt-get -q update && install_packages qemu-system-x86 apparmor
}
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
        DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}
install_packages() { inside apt-get -q -y --no-install-recommends install "$@"; }
# What the administrator sees in /etc.
etc() { (cd "$root/etc" && find . -type f ! -name 'ld.so.cache' ! -name '*-' -exec sha256sum {} + | sort -k 2); }
is() { [ "$1" = "$2" ] || { echo "it is '$1', and not '$2'"; return 1; }; }
# shellcheck disable=SC2016  # dpkg-query's
version_of() { inside dpkg-query -W -f '${Version}' "$1"; }
installed() {
    is "$(version_of "$1")" "$(dpkg-deb -f "$2/$1"_*.deb Version)" && inside dpkg -V "$1"
}
# older DEB: the same package with a version that is older than any.
older() {
    dpkg-deb -R "$1" "$SCRATCH/tree" && sed -i 's/^Version: .*/Version: 0~older/' "$SCRATCH/tree/DEBIAN/control" &&
        dpkg-deb -b "$SCRATCH/tree" "$root/older" && rm -r "$SCRATCH/tree"
}
hpvm="qemu-system-x86_64-hpvm"
# answers QEMU COMMAND ARGUMENT...: what the monitor says
answers() {
    local qemu=$1 command=$2
    printf '%s\nquit\n' "$command" | chroot "$root" timeout 60 "$qemu" -S -nodefaults -display none -monitor stdio "${@:3}" 2>&1
}
# shellcheck disable=SC2054  # QEMU's commas
machine=(-accel tcg -M q35 -m 64 -vga std -kernel /kernel
    -netdev user,id=n -device virtio-net-pci,netdev=n
    -drive if=none,id=d,file=/disk,format=raw,cache=none,aio=io_uring -device virtio-blk-pci,drive=d
    -device qemu-xhci -device usb-tablet -vnc unix:/vnc
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny)
starts() { # QEMU: a guest of many parts, and no complaint
    local said
    said=$(answers "$1" 'info status' "${machine[@]}")
    grep -q 'VM status: paused' <<<"$said" && ! grep -i 'warning\|could not\|not found\|failed' <<<"$said" && return
    echo "$said"
    return 1
}
devices() { chroot "$root" "$1" -device help | sed -n 's/^name "\([^"]*\)".*/\1/p' | sort; }
has_the_devices() { # PATTERN: but for these
    local lacks
    [ "$(devices qemu-system-x86_64 | wc -l)" -gt 200 ] || return
    lacks=$(comm -23 <(devices qemu-system-x86_64) <(devices "$hpvm") | grep -vxE "$1" || true)
    is "$lacks" ""
}

check "a Debian ($release) with Debian's QEMU" new_debian
mkdir -p "$root/new" "$root/older"
truncate -s 1M "$root/disk"
# The beginning of a bzImage, which QEMU looks at.
python3 -c 'import struct, sys
image = bytearray(8192)
image[0x1f1], image[0x1fe:0x206] = 4, b"\x55\xaa\xeb\x66HdrS"
image[0x206:0x208], image[0x211] = struct.pack("<H", 0x20f), 1
sys.stdout.buffer.write(image)' >"$root/kernel"
for name in "${names[@]}"; do
    cp "$debs/$name"_*.deb "$root/new"
    check "$name: an older one is made" older "$debs/$name"_*.deb
done
etc >"$SCRATCH/before"
inside dpkg -l >"$SCRATCH/debian"

check "they are installed beside Debian's QEMU" install_packages /older/hpvm-tools_0~older_amd64.deb /older/qemu-system-x86-hpvm_0~older_amd64.deb
check "and nothing of Debian's is gone" is "$(inside dpkg -l | grep -c '^ii  qemu-system-\(x86\|common\|data\) ')" 3
for name in "${names[@]}"; do
    check "$name: it has no maintainer scripts" \
        is "$(find "$root/var/lib/dpkg/info" -name "$name.p*inst" -o -name "$name.p*rm" -o -name "$name.triggers")" ""
    check "$name: nothing is started or set" \
        is "$(inside dpkg -L "$name" | grep -E '/(systemd|init\.d|cron|udev|sysctl\.d|tmpfiles\.d|sysusers\.d|hooks|profile\.d)' || true)" ""
done
etc >"$SCRATCH/after"
check "two files come to /etc" is "$(diff "$SCRATCH/before" "$SCRATCH/after" | awk '/^[<>]/ { print $1, $3 }' | paste -sd,)" \
    "> ./apparmor.d/abstractions/libvirt-qemu.d/hpvm,> ./modprobe.d/hpvm.conf"
check "all in modprobe.d is commented out" is "$(grep -v '^#' "$root/etc/modprobe.d/hpvm.conf" | tr -d '\n')" ""

echo 'options kvm hpvm_cpus=2-3' >>"$root/etc/modprobe.d/hpvm.conf"
cp "$root/etc/modprobe.d/hpvm.conf" "$SCRATCH"
new=("$root"/new/*.deb)
check "they are upgraded" install_packages "${new[@]#"$root"}"
check "hpvm-tools: it is the new one" is "$(version_of hpvm-tools)" "$(dpkg-deb -f "$debs"/hpvm-tools_*.deb Version)"
check "qemu-system-x86-hpvm: it is the new one, whole" installed qemu-system-x86-hpvm "$debs"
check "what the administrator wrote is kept" cmp "$SCRATCH/hpvm.conf" "$root/etc/modprobe.d/hpvm.conf"

check "QEMU says which one it is" grep -q "$(dpkg-deb -f "$debs"/qemu-system-x86-hpvm_*.deb Version)" <(inside $hpvm --version)
check "a guest starts" starts $hpvm
check "in Debian's QEMU, too" starts qemu-system-x86_64
# QEMU 10.0 has no pvrdma and sga any more; the others are for Debian's packages of modules.
check "each device of Debian's is there" has_the_devices \
    'pvrdma|sga|qxl(-vga)?|virtio-gpu-gl-pci|virtio-vga-gl'
refuses "hpvm=on needs KVM" "$(printf 'Could not access KVM kernel module')" inside $hpvm -display none -accel kvm,hpvm=on -cpu host
refuses "and isn't for anything else" "hpvm=on" inside $hpvm -display none -machine hpvm=on -accel tcg
for text in '-accel' 'hpvm-cpus' "$hpvm"; do
    check "the man page has $text" grep -qF -- "$text" <(zcat "$root/usr/share/man/man1/$hpvm.1.gz" | tr -d '\134')
done
check "hpvm-status says what is missing" refused "missing  the kernel has the hpvm patches" inside hpvm-status --check
check "and hpvm-verify refuses" refused "the kernel hasn't the hpvm patches" inside hpvm-verify --cpus 1
for file in bench.elf irq.elf selftests/hpvm_{abi,state,hostile,isolation,ipi}_test; do
    check "hpvm-verify has $file" test -s "$root/usr/lib/hpvm/$file"
done
for file in man/man8/hpvm-verify.8.gz bash-completion/completions/hpvm-verify; do
    check "there is $file" test -s "$root/usr/share/$file"
done
# Without KVM they say so, and don't crash.
check "the selftests start" refused "1..0 # SKIP" inside /usr/lib/hpvm/selftests/hpvm_abi_test
check "the guest is what QEMU boots" is "$(answers $hpvm 'info status' -accel tcg -m 64 -kernel /usr/lib/hpvm/bench.elf | grep -c 'VM status: paused')" 1

# AppArmor's parser, on the profile that libvirt makes for each guest.
local=$root/etc/apparmor.d/local/abstractions/libvirt-qemu
profile_of() { # PACKAGE[/SUITE]: the one that has libvirt's part
    (cd "$SCRATCH" && APT_CONFIG=$CACHE/apt/apt.conf apt-get -q download "$1" &&
        dpkg-deb -x "${1%/*}"_*.deb libvirt && rm "${1%/*}"_*.deb &&
        cp -r libvirt/etc/apparmor.d "$root/etc/" && rm -r libvirt) || return
    sed 's/LIBVIRT_TEMPLATE/guest/' "$root/etc/apparmor.d/libvirt/TEMPLATE.qemu" >"$root/etc/apparmor.d/guest"
}
allows() {
    inside apparmor_parser -Q -K /etc/apparmor.d/guest &&
        inside apparmor_parser -Q -K -p /etc/apparmor.d/guest >"$SCRATCH/profile" &&
        grep -q "^ */usr/bin/$hpvm rmix," "$SCRATCH/profile"
}
not() { ! "$@"; }
if [ "$release" = bookworm ]; then
    check "libvirt 9's profile" profile_of libvirt-daemon-system
    mkdir -p "${local%/*}"
    : >"$local"
    check "it doesn't let the emulator start" not allows
    echo 'include <abstractions/libvirt-qemu.d>' >"$local"
    check "but with the line that hpvm-status --check tells" allows
    rm "$local"
    check "libvirt 11's profile" profile_of libvirt-daemon-driver-qemu/bookworm-backports
else
    check "libvirt's profile" profile_of libvirt-daemon-driver-qemu
fi
check "it lets the emulator start" allows
rm -r "$root/etc/apparmor.d/guest" "$root/etc/apparmor.d/libvirt" "$root"/etc/apparmor.d/abstractions/libvirt-{qemu,lxc} 2>/dev/null

check "Debian's QEMU is removed" inside apt-get -q -y purge qemu-system-x86 qemu-system-common qemu-system-data
check "a guest starts without it" starts $hpvm
check "they are removed" inside apt-get -q -y remove "${names[@]}"
check "and gone" is "$(find "$root/usr" "$root/var/lib" -path "$root/var/lib/dpkg" -prune -o -name '*hpvm*' -print)" ""
check "but not what the administrator wrote" cmp "$SCRATCH/hpvm.conf" "$root/etc/modprobe.d/hpvm.conf"
check "they are purged" inside apt-get -q -y purge "${names[@]}"
check "and nothing is left in /etc" is "$(find "$root/etc" -name '*hpvm*')" ""
finish
