# SPDX-License-Identifier: MIT
# fish completion for spleeterd.

# Prints the table of models: NAME, STEMS, SIZE, CALLED, separated by tabs.
function __spleeterd_table
    spleeterd models list 2>/dev/null | tail -n +2 | string replace -ra '   *' \t
end

function __spleeterd_models
    for name in (__spleeterd_table | string split -f 4 \t | string split ' ')
        echo $name
        string match -q 'spleeter:*' -- $name; and echo $name-16kHz
    end
end

# Offers the stems of the model given by -p, after the items already in a list with the separator
# $argv[1].
function __spleeterd_stems
    set -l words (commandline -opc)
    set -l model 2stems
    for i in (seq 2 (count $words))
        contains -- $words[$i] -p --params_filename; and set model $words[(math $i + 1)]
    end
    set model (string replace -r -- '-16kHz$' '' $model)
    set -l before (commandline -ct | string replace -rf '^(--[a-z]+=)?((.*['$argv[1]'=])?)[^'$argv[1]'=]*$' '$2')
    for line in (__spleeterd_table)
        set -l cells (string split \t -- $line)
        if contains -- $model $cells[1] (string split ' ' -- $cells[4])
            string split , -- $cells[2] | string replace -r '^' -- "$before"
            return
        end
    end
end

set -l in_separate -c spleeterd -n '__fish_seen_subcommand_from separate'
set -l in_evaluate -c spleeterd -n '__fish_seen_subcommand_from evaluate'
set -l in_bench -c spleeterd -n '__fish_seen_subcommand_from bench'
set -l in_keys -c spleeterd -n '__fish_seen_subcommand_from keys'
set -l in_webhooks -c spleeterd -n '__fish_seen_subcommand_from webhooks'
set -l in_config -c spleeterd -n '__fish_seen_subcommand_from config'
set -l in_audit -c spleeterd -n '__fish_seen_subcommand_from audit'
set -l in_models -c spleeterd -n '__fish_seen_subcommand_from models'

complete -c spleeterd -n __fish_use_subcommand -f -a separate -d 'Separate songs into stems'
complete -c spleeterd -n __fish_use_subcommand -f -a models -d 'List, describe, check, choose, download and import models'
complete -c spleeterd -n __fish_use_subcommand -f -a evaluate -d 'Measure how good a separation is'
complete -c spleeterd -n __fish_use_subcommand -f -a bench -d 'Measure the speed of separation'
complete -c spleeterd -n __fish_use_subcommand -f -a serve -d 'Run the REST service'
complete -c spleeterd -n __fish_use_subcommand -f -a worker -d 'Do the jobs of a service on another machine'
complete -c spleeterd -n __fish_use_subcommand -f -a health -d 'Ask a service whether it is alive'
complete -c spleeterd -n __fish_use_subcommand -f -a keys -d 'Add, list and revoke API keys of the service'
complete -c spleeterd -n __fish_use_subcommand -f -a webhooks -d 'Check that a webhook is from the service'
complete -c spleeterd -n __fish_use_subcommand -f -a config -d 'Check the settings of the service'
complete -c spleeterd -n __fish_use_subcommand -f -a audit -d 'Check the audit log of the service'
complete -c spleeterd -n __fish_use_subcommand -f -a help -d 'Print the help of a command'
complete -c spleeterd -n __fish_use_subcommand -l version -d 'Print the version'
complete -c spleeterd -n '__fish_seen_subcommand_from help' -f -a 'separate models evaluate bench serve worker health keys webhooks config audit'

complete $in_separate -s i -l inputs -r -F -d 'An input'
complete $in_separate -s p -l params_filename -r -a '(__spleeterd_models)' -d 'Model'
complete $in_separate -s o -l output_path -x -a '(__fish_complete_directories)' -d 'Folder to write to'
complete $in_separate -s f -l filename_format -x -d 'Names of the files'
complete $in_separate -s s -l offset -x -d 'Start here, in seconds'
complete $in_separate -s d -l duration -x -d 'Separate no more than this, in seconds'
complete $in_separate -s c -l codec -x -a 'wav flac mp3 ogg opus m4a wma' -d 'Codec'
complete $in_separate -s b -l bitrate -x -a '128k 192k 256k 320k' -d 'Bits per second of lossy codecs'
complete $in_separate -l bit-depth -x -a '16 24 float' -d 'Bit depth of wav and flac'
complete $in_separate -l stems -x -a '(__spleeterd_stems ,)' -d 'Write these stems only'
complete $in_separate -l mix -x -a '(string match -q "*=*" -- (commandline -ct); and __spleeterd_stems +)' -d 'Write the sum of some stems'
complete $in_separate -l bandwidth -x -a '11k 16k full' -d 'How far up the stems reach'
complete $in_separate -l mwf -d 'Multichannel Wiener filter'
complete $in_separate -l keep-format -d 'Keep sample rate and channels of the input'
complete $in_separate -l threads -x -d 'CPU threads to use'
complete $in_separate -l json -d 'JSON lines to standard output'
complete $in_separate -l verbose -d 'Print more'
complete $in_separate -l quiet -d 'Print only failures and warnings'
complete $in_separate -s a -l adapter -x -d 'Refused'
complete $in_separate -l version -d 'Print the version'
complete $in_separate -s h -l help -d 'Print the options'

complete -c spleeterd -f -a 'list info verify use pull import' \
    -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from list info verify use pull import'
complete -c spleeterd -f -a '(__spleeterd_models)' \
    -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from info verify use'
complete -c spleeterd -f -a '2stems 4stems 5stems' \
    -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pull'
complete $in_models -l config -r -F -d 'Spleeter configuration of the checkpoint'
complete $in_models -l name -x -d 'Name of the model'
complete $in_models -s o -l folder -x -a '(__fish_complete_directories)' -d 'Model folder to make'
complete $in_models -l licence -x -d 'Licence of the weights'
complete $in_models -l source -x -d 'Where the weights come from'
complete $in_models -l from -r -F -d 'Where to pull from, URL or folder'
complete $in_models -l timeout -x -d 'Give up when no data arrives for this time, in seconds'
complete $in_models -l json -d 'JSON to standard output'
complete $in_models -s h -l help -d 'Print the options'

complete $in_evaluate -l estimates -x -a '(__fish_complete_directories)' -d 'Evaluate these instead of separating'
complete $in_evaluate -s p -l params_filename -r -a '(__spleeterd_models)' -d 'Model'
complete $in_evaluate -l bandwidth -x -a '11k 16k full' -d 'How far up the stems reach'
complete $in_evaluate -l mwf -d 'Multichannel Wiener filter'
complete $in_evaluate -l threads -x -d 'CPU threads to use'
complete $in_evaluate -l json -d 'JSON to standard output'
complete $in_evaluate -l plot -r -F -d 'SVG picture of the SDR'
complete $in_evaluate -s h -l help -d 'Print the options'

complete $in_bench -s p -l params_filename -r -a '(__spleeterd_models)' -d 'Model'
complete $in_bench -l bandwidth -x -a '11k 16k full' -d 'How far up the stems reach'
complete $in_bench -s d -l duration -x -d 'Length of the synthetic song'
complete $in_bench -l threads -x -d 'CPU threads to use'
complete $in_bench -l json -d 'JSON to standard output'
complete $in_bench -l compare -r -F -d 'Earlier results'
complete $in_bench -s h -l help -d 'Print the options'

complete $in_keys -f -a 'add list rotate revoke'
complete $in_keys -l role -x -a 'user reader metrics admin' -d 'What the key may do'
complete $in_keys -l of -x -d 'Client whose jobs a reader reads'
complete $in_keys -l rate-per-minute -x -d 'Requests a minute'
complete $in_keys -l jobs-per-key -x -d 'Jobs queued and running'
complete $in_keys -l storage-per-key-mb -x -d 'MiB of inputs and outputs'
complete $in_keys -l priority -x -d 'Of its jobs'
complete $in_keys -l data-dir -x -a '(__fish_complete_directories)' -d 'Data folder of the service'
complete $in_keys -l json -d 'JSON to standard output'
complete $in_keys -s h -l help -d 'Print the options'

complete $in_webhooks -f -a verify
complete $in_webhooks -l id -x -d 'Header webhook-id'
complete $in_webhooks -l timestamp -x -d 'Header webhook-timestamp'
complete $in_webhooks -l signature -x -d 'Header webhook-signature'
complete $in_webhooks -l secret-file -r -F -d 'Where the secret is'
complete $in_webhooks -s h -l help -d 'Print the options'

complete $in_config -f -a 'check table'
complete $in_config -l offline -d 'Ask no other programs and machines'
complete $in_config -l json -d 'JSON to standard output'
complete $in_config -s h -l help -d 'Print the options'

complete $in_audit -f -a verify
complete $in_audit -l data-dir -x -a '(__fish_complete_directories)' -d 'Data folder of the service'
complete $in_audit -s h -l help -d 'Print the options'

complete -c spleeterd -n '__fish_seen_subcommand_from serve worker health' -a "(spleeterd serve --help 2>/dev/null | string match -rg '^ +(--[a-z0-9-]+)')"
