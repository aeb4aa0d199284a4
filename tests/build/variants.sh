#!/bin/bash
# The kernel with what distributions switch on: preemption, paravirt, page table
# isolation, indirect branch tracking checked by objtool, KVM as modules.
set -uo pipefail
. "$(dirname "$0")/tap.sh"
cd "$TOP" || exit

check "the hardened kernel builds, modules and all" scripts/build-kernel linux-hardened \
    linux-hpvm lab.config hpvm.config hardened.config -- bzImage modules
check "objtool has nothing to say" bash -c \
    "! grep -E 'objtool: |warning:' build/log/linux-hardened.log"
check "KVM is a module" test -e "$CACHE/build/linux-hardened/arch/x86/kvm/kvm.ko"
finish
