# shellcheck shell=bash
# Sourced by the tests here: results as TAP.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"
PASSED=0 FAILED=0 SKIPPED=0

# check TEXT COMMAND...: passes when the command succeeds; shows what it said if not.
check() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        PASSED=$((PASSED + 1))
        echo "ok $((PASSED + FAILED + SKIPPED)) - $text"
    else
        FAILED=$((FAILED + 1))
        echo "not ok $((PASSED + FAILED + SKIPPED)) - $text"
        tail -n 60 <<<"$output" | sed 's/^/# /'
    fi
}

# refuses TEXT SENTENCE COMMAND...: passes when the command fails and says SENTENCE.
refuses() {
    check "$1" refused "${@:2}"
}

refused() {
    local sentence=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "it succeeded: $output"
        return 1
    fi
    grep -qF -- "$sentence" <<<"$output" && return 0
    echo "it didn't say '$sentence' but: $output"
    return 1
}

skip() {
    SKIPPED=$((SKIPPED + 1))
    echo "ok $((PASSED + FAILED + SKIPPED)) - $1 # SKIP $2"
}

finish() {
    echo "1..$((PASSED + FAILED + SKIPPED))"
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ $FAILED = 0 ]
    exit
}
