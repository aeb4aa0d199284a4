# shellcheck shell=bash
# bash completion for hpvm-verify

_hpvm_verify() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
    --qemu | --guest | --output)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return ;;
    --selftests)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return ;;
    --device)
        mapfile -t COMPREPLY < <(compgen -W "$(cd /sys/bus/pci/devices && echo ./*)" -- "./$cur")
        COMPREPLY=("${COMPREPLY[@]#./}")
        return ;;
    --steps)
        mapfile -t COMPREPLY < <(compgen -W "selftests bench soak device" -- "$cur")
        return ;;
    --cpus | --seconds | --rounds) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W \
        "--cpus --qemu --device --guest --selftests --steps --seconds --rounds --output --dry-run --help" \
        -- "$cur")
}
complete -F _hpvm_verify hpvm-verify
