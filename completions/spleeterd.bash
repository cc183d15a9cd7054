# SPDX-License-Identifier: MIT
# bash completion for spleeterd.

_spleeterd_models() {
    spleeterd models list 2>/dev/null | tail -n +2 | while read -r name _; do
        case $name in
        spleeter-*) printf '%s\n' "${name#spleeter-}" "spleeter:${name#spleeter-}" ;;
        *) printf '%s\n' "$name" ;;
        esac
    done
}

_spleeterd() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'separate models evaluate bench serve worker health keys webhooks config audit help --version --help' -- "$current")
        return
    fi
    case ${COMP_WORDS[1]}:$previous in
    help:*)
        mapfile -t COMPREPLY < <(compgen -W 'separate models evaluate bench serve worker health keys webhooks config audit' -- "$current")
        return
        ;;
    separate:-c | separate:--codec)
        mapfile -t COMPREPLY < <(compgen -W 'wav flac mp3 ogg opus m4a wma' -- "$current")
        return
        ;;
    keys:--role)
        mapfile -t COMPREPLY < <(compgen -W 'user reader metrics admin' -- "$current")
        return
        ;;
    separate:--bit-depth)
        mapfile -t COMPREPLY < <(compgen -W '16 24 float' -- "$current")
        return
        ;;
    *:--bandwidth)
        mapfile -t COMPREPLY < <(compgen -W '11k 16k full' -- "$current")
        return
        ;;
    separate:-o | separate:--output_path | models:-o | models:--folder | evaluate:--estimates | keys:--data-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    models:pull)
        mapfile -t COMPREPLY < <(compgen -W '2stems 4stems 5stems' -- "$current")
        return
        ;;
    models:--from)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    separate:-p | separate:--params_filename | bench:-p | bench:--params_filename | evaluate:-p | evaluate:--params_filename | models:info | models:verify | models:use)
        mapfile -t COMPREPLY < <(compgen -W "$(_spleeterd_models)" -- "$current")
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        local options='--config --name --folder --licence --source --from --timeout --help'
        if [[ ${COMP_WORDS[1]} == separate ]]; then
            options='--inputs --params_filename --output_path --filename_format --offset --duration
                --codec --bitrate --bit-depth --stems --mix --bandwidth --mwf --keep-format --threads
                --json --verbose --quiet --adapter --version --help'
        elif [[ ${COMP_WORDS[1]} == bench ]]; then
            options='--params_filename --bandwidth --duration --threads --json --compare --help'
        elif [[ ${COMP_WORDS[1]} == evaluate ]]; then
            options='--estimates --params_filename --bandwidth --mwf --threads --json --plot --help'
        elif [[ ${COMP_WORDS[1]} == @(serve|worker|health) ]]; then
            options=$(spleeterd serve --help 2>/dev/null | grep -oE '^ +(-h, )?--[a-z0-9-]+' | grep -oE -- '--.*')
        elif [[ ${COMP_WORDS[1]} == keys ]]; then
            options='--role --of --rate-per-minute --jobs-per-key --storage-per-key-mb --priority --data-dir --help'
        elif [[ ${COMP_WORDS[1]} == webhooks ]]; then
            options='--id --timestamp --signature --secret-file --help'
        elif [[ ${COMP_WORDS[1]} == config ]]; then
            options='--offline --json --help'
        elif [[ ${COMP_WORDS[1]} == audit ]]; then
            options='--data-dir --help'
        fi
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    if [[ ${COMP_WORDS[1]} == models ]] && ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W 'list info verify use pull import' -- "$current")
        return
    fi
    if [[ ${COMP_WORDS[1]} == keys ]] && ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W 'add list rotate revoke' -- "$current")
        return
    fi
    if [[ ${COMP_WORDS[1]} == config ]] && ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W 'check table' -- "$current")
        return
    fi
    if [[ ${COMP_WORDS[1]} == @(audit|webhooks) ]] && ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W 'verify' -- "$current")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -o filenames -F _spleeterd spleeterd
