# shellcheck shell=bash disable=SC2034
# Sourced by the build scripts: where things are, and how to say what went wrong.

# The builds of Linux and QEMU have makes of their own, which must not inherit
# anything; and what programs say is read, so let them say it in English.
unset MAKEFLAGS MFLAGS MAKELEVEL ARCH KBUILD_OUTPUT
export LC_ALL=C.UTF-8

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${HPVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hpvm}
JOBS=$(nproc)
if [ -e "$TOP/build/config.mk" ]; then
    # Plain NAME=value lines, for make and for the shell.
    # shellcheck source=/dev/null
    . "$TOP/build/config.mk"
fi
# What a file includes is what the compiler says: it needn't be preprocessed for that.
export CCACHE_DIR=$CACHE/ccache CCACHE_DEPEND=1

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# A private directory that goes away with the script.
scratch() {
    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/hpvm.XXXXXX")
    trap 'rm -rf "$SCRATCH"' EXIT
}

# lock DESCRIPTOR WHO: wait until no other process has that file locked.
lock() {
    flock -n "$1" || { say "waiting for another $2"; flock "$1"; }
}

# took SECONDS: the time since then, for people.
took() {
    local t=$((SECONDS - $1))
    if [ $t -lt 60 ]; then
        echo "${t} s"
    else
        echo "$((t / 60)) min $((t % 60)) s"
    fi
}

# logged NAME LOG COMMAND...: run the command with its output in LOG, and say every
# minute how far it is.
logged() {
    local name=$1 log=$2 start=$SECONDS beat status=0
    shift 2
    # Nothing here may keep a pipe or a lock open after the command's end.
    (while sleep 60 >/dev/null 2>&1 9>&-; do
        say "$name: $(took $start), at: $(tail -n 1 "$log" | cut -c1-70)"
    done) 9>&- &
    beat=$!
    "$@" >"$log" 2>&1 || status=$?
    kill $beat
    wait $beat 2>/dev/null || true
    return $status
}
