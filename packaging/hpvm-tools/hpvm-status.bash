# shellcheck shell=bash
# bash completion for hpvm-status

_hpvm_status() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
    --prometheus | --report) [[ $cur = -* ]] || { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return; } ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W \
        "--check --json --where --watch --prometheus --report --help" -- "$cur")
}
complete -F _hpvm_status hpvm-status
