#!/bin/bash
# ./configure with bad input and on bad days: it must say what to do, and leave
# nothing half made. On a copy, with stand-ins for apt and sources of a few files.
# shellcheck disable=SC2317  # functions that check calls
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit
scratch
unset HPVM_CACHE OFFLINE

copy=$SCRATCH/copy
mkdir -p "$copy"/{kernel-patches,qemu-hpvm,tests/lab/bochs} "$SCRATCH"/{bin,empty,files}
cp -r configure scripts "$copy"
cache=$SCRATCH/cache
conf() {
    (cd "$copy" && PATH=$SCRATCH/bin:$PATH ./configure --cache-dir="$cache" "$@")
}

# Sources, as Debian packs them.
mkdir -p "$SCRATCH"/{linux/arch/x86/kvm,qemu/target/i386/kvm,old,deb/usr/src,guest/DEBIAN,deb/DEBIAN}
printf '# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\n' >"$SCRATCH/linux/Makefile"
touch "$SCRATCH/linux/arch/x86/kvm/x86.c" "$SCRATCH/qemu/target/i386/kvm/kvm.c"
echo 10.0.9 >"$SCRATCH/qemu/VERSION"
cp -r "$SCRATCH/qemu" "$SCRATCH/old"
echo 9.2.0 >"$SCRATCH/old/qemu/VERSION"
tar -C "$SCRATCH" -cJf "$SCRATCH/deb/usr/src/linux-source-6.12.tar.xz" linux
# Somebody else's, which git wouldn't touch.
tar -C "$SCRATCH" --owner=1234 -cJf "$SCRATCH/files/qemu_1.orig.tar.xz" qemu
# These are only fetched.
echo bochs >"$SCRATCH/files/bochs_1.orig.tar.xz"
echo load >"$SCRATCH/files/load_1_all.deb"
for package in deb=linux-source-6.12 guest=linux-image-6.1.0-1-cloud-amd64; do
    printf 'Package: %s\nVersion: 6.12.7-1\nArchitecture: all\nMaintainer: A <a@localhost>\nDescription: test\n' \
        "${package#*=}" >"$SCRATCH/${package%=*}/DEBIAN/control"
    dpkg-deb -b "$SCRATCH/${package%=*}" "$SCRATCH/files/${package#*=}_1_all.deb" >/dev/null
done
sum() {
    sha256sum <"$SCRATCH/files/$1" | cut -c1-64
}
locks() { # VERSION of the Linux package that is locked
    printf 'linux-source-6.12 %s linux-source-6.12_1_all.deb %s\nlinux-image-6.1.0-1-cloud-amd64 1 %s %s\n' \
        "$1" "$(sum linux-source-6.12_1_all.deb)" linux-image-6.1.0-1-cloud-amd64_1_all.deb \
        "$(sum linux-image-6.1.0-1-cloud-amd64_1_all.deb)" >"$copy/kernel-patches/base.lock"
    printf 'src:qemu 1 qemu_1.orig.tar.xz %s\n' "$(sum qemu_1.orig.tar.xz)" >"$copy/qemu-hpvm/base.lock"
    printf 'src:bochs 1 bochs_1.orig.tar.xz %s\n' "$(sum bochs_1.orig.tar.xz)" \
        >"$copy/tests/lab/bochs/base.lock"
    printf '# Of the loads.\nload 1 load_1_all.deb %s\n' "$(sum load_1_all.deb)" >"$copy/tests/lab/loads.lock"
}
locks 1

# Stand-ins: a mirror that offers version 1 (or what $SCRATCH/offer says) of all.
cat >"$SCRATCH/bin/apt-get" <<END
#!/bin/bash
[ ! -e "$SCRATCH/unplugged" ] || { echo "E: Failed to fetch" >&2; exit 100; }
for last; do :; done
case " \$* " in
*' download '* | *' source '*) cp "$SCRATCH/files/\${last%%=*}"_* . ;;
*' install '*) echo "\$@" >"$SCRATCH/installed" ;;
esac
END
cat >"$SCRATCH/bin/apt-cache" <<END
#!/bin/bash
echo "Version: \$(cat "$SCRATCH/offer" 2>/dev/null || echo 1)"
END
cat >"$SCRATCH/bin/df" <<END
#!/bin/bash
if [ -e "$SCRATCH/full" ]; then echo 1; else echo 99999999; fi
END
cat >"$SCRATCH/bin/id" <<END
#!/bin/bash
cat "$SCRATCH/uid" 2>/dev/null || echo 0
END
cat >"$SCRATCH/bin/dpkg-query" <<END
#!/bin/bash
[ "\${!#}" = "\$(cat "$SCRATCH/lacks" 2>/dev/null)" ] || echo installed 9
END
chmod +x "$SCRATCH"/bin/*

for option in with-qemu-src with-linux-src cache-dir jobs offline; do
    check "--help explains --$option" bash -c "./configure --help | grep -e '^  --$option' >/dev/null"
done
refuses "an unknown option" "no option '--fast'" conf --fast
refuses "an option without its value" "--jobs needs a value" conf --jobs
refuses "no number of jobs" "give a number of processes" conf --jobs=many
refuses "sources that aren't there" "can't be read" conf --with-linux-src="$SCRATCH/none"
refuses "a cache in a path with blanks" "can't work in paths" conf --cache-dir="$SCRATCH/a b"
refuses "a cache that can't be made" "can't write to" conf --cache-dir=/proc/none

# What /etc/apt of a machine may have.
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
has_mirrors() { # MAIN SECURITY: has configure taken these?
    touch "$SCRATCH/unplugged"
    conf --jobs=1
    rm "$SCRATCH/unplugged"
    grep -qx "deb \[.*\] $1 $release main" "$cache/apt/sources.list" &&
        grep -qx "deb \[.*\] $2 $release-security main" "$cache/apt/sources.list"
}
mkdir -p "$SCRATCH/etc/sources.list.d"
echo "Dir::Etc \"$SCRATCH/etc\";" >"$SCRATCH/apt.conf"
export APT_CONFIG=$SCRATCH/apt.conf
check "no mirrors: Debian's" has_mirrors \
    http://deb.debian.org/debian http://deb.debian.org/debian-security
echo 'deb [arch=amd64] http://one.test/debian/ '"$release main" >"$SCRATCH/etc/sources.list"
check "mirrors, one a line" has_mirrors \
    http://one.test/debian http://one.test/debian-security
printf 'Types: deb\nURIs: http://%s.test/debian\nSuites: %s\n\n' \
    off "$release" two "$release $release-updates" sec "$release-security" |
    sed '/off/i Enabled: no' >"$SCRATCH/etc/sources.list.d/debian.sources"
rm "$SCRATCH/etc/sources.list"
check "mirrors in deb822 format" has_mirrors http://two.test/debian http://sec.test/debian
unset APT_CONFIG

touch "$SCRATCH/full"
refuses "a full disk" "make room" conf
rm "$SCRATCH/full"
echo ninja-build >"$SCRATCH/lacks"
echo 1000 >"$SCRATCH/uid"
refuses "a missing package, not as root" "--no-install-recommends ninja-build" conf
rm "$SCRATCH/uid"
refuses "a missing package, --offline" "--offline forbids" conf --offline
touch "$SCRATCH/unplugged"
refuses "no network" "is the network there" conf
rm "$SCRATCH/lacks"
refuses "no network for the sources" "run this again to go on" conf
refuses "nothing cached, --offline" "--offline forbids" conf --offline
rm "$SCRATCH/unplugged"
check "nothing is called ready by then" test ! -e "$copy/build/config.mk"

cp "$copy/qemu-hpvm/base.lock" "$SCRATCH/lock"
sed -i 's/[0-9a-f]*$/0123/' "$copy/qemu-hpvm/base.lock"
refuses "a wrong checksum" "Don't use it" conf
check "the wrong file isn't kept" test ! -e "$cache/dl/qemu_1.orig.tar.xz"
cp "$SCRATCH/lock" "$copy/qemu-hpvm/base.lock"

# As an interrupted run leaves it.
rm -rf "$cache/src"/*
mkdir -p "$cache/src/linux-base.part" "$cache/src/qemu-base.part.x" "$cache/dl/part"
echo half >"$cache/src/linux-base.part/half"
echo half >"$cache/dl/part/half"
check "an interrupted run continues" conf --jobs=3
check "the tree is the package's" cmp "$SCRATCH/linux/Makefile" "$cache/src/linux-base/Makefile"
check "nothing of the interrupted run is in it" test ! -e "$cache/src/linux-base/half"
check "make is told" grep -qx JOBS=3 "$copy/build/config.mk"
echo ninja-build >"$SCRATCH/lacks"
check "root gets what is missing installed" conf
check "that package" grep -q ninja-build "$SCRATCH/installed"
rm "$SCRATCH/lacks"
touch "$SCRATCH/unplugged"
check "a second run needs no network" conf
rm "$SCRATCH/unplugged"
echo damaged >>"$cache/dl/qemu_1.orig.tar.xz"
check "a damaged file is fetched again" conf

refuses "a tarball that isn't one" "can't be unpacked" conf --with-qemu-src="$copy/configure"
refuses "a directory of something else" "doesn't hold the sources of qemu" conf --with-qemu-src="$SCRATCH/empty"
refuses "another series" "is qemu 9.2.0, and the patches are for 10.0" conf --with-qemu-src="$SCRATCH/old/qemu"
check "the good tree is still there" grep -qx 10.0.9 "$cache/src/qemu-base/VERSION"
check "no half made one" bash -c "! ls -d '$cache'/src/*.part* 2>/dev/null"
check "a directory" conf --with-qemu-src="$SCRATCH/qemu"
check "a tarball" conf --with-qemu-src="$SCRATCH/files/qemu_1.orig.tar.xz"
mkdir "$copy/qemu-hpvm/patches"
printf 'From: A <a@localhost>\nDate: Thu, 1 Jan 1970 00:00:00 +0000\nSubject: X\n\n---\n%s\n' \
    "--- a/VERSION
+++ b/VERSION
@@ -1 +1 @@
-10.0.1
+10.0.1-hpvm" >"$copy/qemu-hpvm/patches/0002-x.patch"
refuses "a base that the patches don't fit" "doesn't apply to the base, qemu 10.0.9" conf
rm -r "$copy/qemu-hpvm/patches"

locks 6.12.6-1
echo 6.12.7-1 >"$SCRATCH/offer"
rm -rf "$cache/dl"
mv "$SCRATCH/files/linux-source-6.12_1_all.deb" "$SCRATCH/files/linux-source-6.12_6.12.7-1_all.deb"
newer() { # PATTERN: fetch the locked one; what it says must match
    (cd "$copy" && rm -f build/config.mk && PATH=$SCRATCH/bin:$PATH HPVM_CACHE=$cache \
        scripts/fetch kernel-patches/base.lock linux-source-6.12) 2>&1 | tee /dev/stderr | grep -- "$1" >/dev/null
}
check "a newer point release is taken, with a warning" newer "WARNING: linux-source-6.12 6.12.6-1 is gone; taking 6.12.7-1"
touch "$SCRATCH/unplugged"
check "and taken from the cache the next time" newer "^$cache/dl/linux-source-6.12_6.12.7-1_all.deb"
rm "$SCRATCH/unplugged"
echo 6.13.1-1 >"$SCRATCH/offer"
rm -rf "$cache/dl"
refuses "no other series is taken" "a newer one of its series" newer WARNING
finish
