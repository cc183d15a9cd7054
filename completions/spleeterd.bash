# SPDX-License-Identifier: MIT
# bash completion for spleeterd.

# Prints the table of models: NAME, STEMS, SIZE, CALLED, separated by tabs.
_spleeterd_table() {
    spleeterd models list 2>/dev/null | tail -n +2 | sed 's/   */\t/g'
}

# Prints the names for -p.
_spleeterd_models() {
    local called name
    _spleeterd_table | while IFS=$'\t' read -r _ _ _ called; do
        for name in $called; do
            printf '%s\n' "$name"
            [[ $name != spleeter:* ]] || printf '%s-16kHz\n' "$name"
        done
    done
}

# Prints the stems of the model $1, a value of -p.
_spleeterd_stems() {
    local folder stems called
    _spleeterd_table | while IFS=$'\t' read -r folder stems _ called; do
        [[ " $folder $called " != *" ${1%-16kHz} "* ]] || printf '%s\n' "${stems//,/ }"
    done
}

# Sets `words` to the words up to the cursor as the program will receive them, because readline
# splits at ":" and "=". The value in --option=value becomes a separate word.
_spleeterd_split() {
    local i joined=0
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if ((i > 0)) && [[ ${COMP_WORDS[i]} == [:=] || $joined == 1 ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        joined=0
        [[ ${COMP_WORDS[i]} != [:=] ]] || joined=1
    done
    [[ ${words[-1]} != --*=* ]] || words=("${words[@]::${#words[@]}-1}" "${words[-1]%%=*}" "${words[-1]#*=}")
    current=${words[-1]}
    previous=${words[-2]}
}

# Offers words without the prefix that readline keeps.
_spleeterd_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
    local kept=${current%"${current##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    compopt +o filenames 2>/dev/null
}

# Offers one more item of a list, after the items that are already there.
_spleeterd_offer_more() {
    local separator=$1 items=$2 start=$3 before item offered=''
    before=${current%"${current##*["$separator$start"]}"}
    for item in $items; do
        [[ $separator$before == *["$separator$start"]$item$separator* ]] || offered+=" $before$item"
    done
    _spleeterd_offer "$offered"
    compopt -o nospace 2>/dev/null
}

_spleeterd() {
    local words current previous command model=2stems i
    local commands='separate models evaluate bench serve worker health keys webhooks config audit'
    COMPREPLY=()
    _spleeterd_split
    command=${words[1]}
    if ((${#words[@]} == 2)); then
        _spleeterd_offer "$commands help --version --help"
        return
    fi
    for ((i = 2; i < ${#words[@]} - 1; i++)); do
        [[ ${words[i]} != @(-p|--params_filename) ]] || model=${words[i + 1]}
    done
    case $command:$previous in
    help:*)
        _spleeterd_offer "$commands"
        return
        ;;
    separate:-c | separate:--codec)
        _spleeterd_offer 'wav flac mp3 ogg opus m4a wma'
        return
        ;;
    separate:-b | separate:--bitrate)
        _spleeterd_offer '128k 192k 256k 320k'
        return
        ;;
    separate:--stems)
        _spleeterd_offer_more , "$(_spleeterd_stems "$model")" ''
        return
        ;;
    separate:--mix)
        [[ $current != *=* ]] || _spleeterd_offer_more + "$(_spleeterd_stems "$model")" =
        return
        ;;
    keys:--role)
        _spleeterd_offer 'user reader metrics admin'
        return
        ;;
    separate:--bit-depth)
        _spleeterd_offer '16 24 float'
        return
        ;;
    *:--bandwidth)
        _spleeterd_offer '11k 16k full'
        return
        ;;
    separate:-o | separate:--output_path | models:-o | models:--folder | evaluate:--estimates | keys:--data-dir | audit:--data-dir | models:--from)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    models:pull)
        _spleeterd_offer '2stems 4stems 5stems'
        return
        ;;
    separate:-p | separate:--params_filename | bench:-p | bench:--params_filename | evaluate:-p | evaluate:--params_filename | models:info | models:verify | models:use)
        _spleeterd_offer "$(_spleeterd_models)"
        ((${#COMPREPLY[@]} > 0)) || mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    separate:-f | separate:--filename_format | separate:-s | separate:--offset | separate:-d | separate:--duration | *:--threads | *:--timeout | \
        bench:-d | bench:--duration | models:--name | models:--licence | models:--source | webhooks:--id | webhooks:--timestamp | webhooks:--signature | \
        keys:--rate-per-minute | keys:--jobs-per-key | keys:--storage-per-key-mb | keys:--priority | keys:--of | separate:-a | separate:--adapter)
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        local options
        case $command in
        separate)
            options='--inputs --params_filename --output_path --filename_format --offset --duration
                --codec --bitrate --bit-depth --stems --mix --bandwidth --mwf --keep-format --threads
                --json --verbose --quiet --adapter --version --help'
            ;;
        models) options='--config --name --folder --licence --source --from --timeout --json --help' ;;
        bench) options='--params_filename --bandwidth --duration --threads --json --compare --help' ;;
        evaluate) options='--estimates --params_filename --bandwidth --mwf --threads --json --plot --help' ;;
        serve | worker | health)
            options=$(spleeterd serve --help 2>/dev/null | grep -oE '^ +(-h, )?--[a-z0-9-]+' | grep -oE -- '--.*')
            ;;
        keys) options='--role --of --rate-per-minute --jobs-per-key --storage-per-key-mb --priority --data-dir --json --help' ;;
        webhooks) options='--id --timestamp --signature --secret-file --help' ;;
        config) options='--offline --json --help' ;;
        audit) options='--data-dir --help' ;;
        esac
        _spleeterd_offer "$options"
        return
    fi
    if ((${#words[@]} == 3)); then
        case $command in
        models) _spleeterd_offer 'list info verify use pull import' ;;
        keys) _spleeterd_offer 'add list rotate revoke' ;;
        config) _spleeterd_offer 'check table' ;;
        audit | webhooks) _spleeterd_offer 'verify' ;;
        esac
        ((${#COMPREPLY[@]} == 0)) || return
    fi
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -o filenames -F _spleeterd spleeterd
