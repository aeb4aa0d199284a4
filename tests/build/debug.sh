#!/bin/bash
# The lab's kernel with lock debugging, and with KASAN: neither may have anything to say.
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit

for kernel in debug-locks debug-kasan; do
    check "the kernel $kernel builds" scripts/build-kernel linux-$kernel linux-hpvm \
        lab.config hpvm.config kunit.config $kernel.config
done
finish
