#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs schemathesis, which Debian does not have, from PyPI into BUILD/schemathesis. When it is there, nothing is asked.
#
#     tests/service/install.sh BUILD
set -eu

[ $# -eq 1 ] || { echo "usage: $0 BUILD" >&2; exit 2; }
requirements=$(dirname "$0")/requirements.txt
folder=$1/schemathesis
if ! cmp -s "$requirements" "$folder/requirements.txt"; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$folder/requirements.txt"
fi
