#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a command while N loops keep processors busy. Exits with the command's status; the loops end
# with the command.
#
#     tests/busy.sh N [--] COMMAND...      for example tests/busy.sh 4 -- make test
set -eu

usage() {
    echo "usage: $0 N [--] COMMAND...   (N busy loops, 1 to 64)" >&2
    exit 2
}

[ $# -ge 2 ] || usage
loops=$1
shift
case $loops in '' | *[!0-9]* | ????*) usage ;; esac
if [ "$loops" -lt 1 ] || [ "$loops" -gt 64 ]; then usage; fi
[ "$1" != -- ] || shift
[ $# -ge 1 ] || usage

# Each loop checks that this script still runs, so no loop survives it even if the script is killed.
started=
end() {
    # shellcheck disable=SC2086 # a list of numbers
    kill $started 2>/dev/null || true
    # shellcheck disable=SC2086
    wait $started 2>/dev/null || true
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
n=0
while [ "$n" -lt "$loops" ]; do
    while kill -0 $$ 2>/dev/null; do
        i=0
        while [ "$i" -lt 100000 ]; do i=$((i + 1)); done
    done &
    started="$started $!"
    n=$((n + 1))
done
"$@"
