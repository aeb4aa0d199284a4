# shellcheck shell=bash
# Sourced by the tests of the host's tools, after tap.sh: a host of files, and whether help, man
# page and completion of a tool fit its options.
# shellcheck disable=SC2317  # functions that check calls

tools=$TOP/packaging/hpvm-tools
host=$SCRATCH/host
export HPVM_STATUS_ROOT=$host

put() { # FILE TEXT
    mkdir -p "$host/$(dirname "$1")"
    printf '%s\n' "$2" >"$host/$1"
}
without() { # FILE COMMAND...: when the host doesn't have the file
    mv "$host/$1" "$SCRATCH/away"
    local got=0
    "${@:2}" || got=$?
    mv "$SCRATCH/away" "$host/$1"
    return "$got"
}

# ended STATUS COMMAND...: it ends with it, and its output is in $SCRATCH/said.
ended() {
    local want=$1 got=0
    shift
    "$@" >"$SCRATCH/said" 2>&1 || got=$?
    [ "$got" = "$want" ] || { echo "status $got"; cat "$SCRATCH/said"; return 1; }
}
said() { grep -qF -- "$1" "$SCRATCH/said" || { cat "$SCRATCH/said"; return 1; }; }
helps() { # TOOL TEXT
    ended 0 "$TOP/scripts/$1" --help && said "$2"
}
completes() { # TOOL OPTION
    COMP_WORDS=("$1" "$2") COMP_CWORD=1
    "_${1//-/_}"
    [ "${COMPREPLY[*]}" = "$2" ]
}

# documented TOOL COUNT: each of so many options is in its help, man page and completion.
documented() {
    local options option
    # shellcheck source=/dev/null
    . "$tools/$1.bash"
    mapfile -t options < <(sed -n '/^while \[ \$# /,/^done/p' "$TOP/scripts/$1" |
                           grep -oE -e '--[a-z-]+\)' | tr -d ')' | sort -u)
    check "it has options: ${options[*]}" [ ${#options[@]} = "$2" ]
    # Hyphens of options are escaped there.
    tr -d '\134' <"$tools/$1.8" >"$SCRATCH/page"
    for option in "${options[@]}"; do
        check "--help explains $option" helps "$1" "  $option"
        check "the man page explains $option" grep -qE "^\.(B|BR|BI) .*$option" "$SCRATCH/page"
        check "completion knows $option" completes "$1" "$option"
    done
    man --warnings -E UTF-8 -l -Tutf8 -Z "$tools/$1.8" >"$SCRATCH/formatted" 2>"$SCRATCH/warnings"
    check "the man page is one" grep -q tCPU "$SCRATCH/formatted"
    check "and has no warnings" [ ! -s "$SCRATCH/warnings" ]
}
