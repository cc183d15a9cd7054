#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs from PyPI what Debian lacks: schemathesis into BUILD/schemathesis, HTTP clients and
# client generators into BUILD/clients, and with "generators" OpenAPI Generator, which needs Java,
# into BUILD/generators. Folders that are up to date are left alone, without network access.
#
#     tests/service/install.sh BUILD [generators]
set -eu

[ $# -ge 1 ] || { echo "usage: $0 BUILD [generators]" >&2; exit 2; }
here=$(dirname "$0")
build=$1

# install REQUIREMENTS FOLDER
install() {
    requirements=$here/$1
    folder=$build/$2
    if ! cmp -s "$requirements" "$folder/requirements.txt"; then
        rm -rf "$folder"
        python3 -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
        cp "$requirements" "$folder/requirements.txt"
    fi
}

install requirements.txt schemathesis
install clients.txt clients
if [ "${2:-}" = generators ]; then
    install generators.txt generators
fi
