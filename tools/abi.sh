#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compares the ABI of libspleeter with the committed one, or replaces the committed one. Needs
# abigail-tools. The committed ABI is that of amd64.
#
#     tools/abi.sh check|write BUILD
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
committed=$root/src/lib/engine/libspleeter.abi

dump() {
    abidw --headers-dir "$root/include" --drop-private-types --drop-undefined-syms --exported-interfaces-only \
        --no-elf-needed --no-corpus-path --no-comp-dir-path --no-show-locs --no-parameter-names "$1/src/lib/engine/libspleeter.so"
}

case $1 in
check)
    current=$(mktemp)
    trap 'rm -f "$current"' EXIT
    dump "$2" >"$current"
    abidiff --harmless --no-show-locs "$committed" "$current"
    ;;
write)
    dump "$2" >"$committed"
    ;;
esac
