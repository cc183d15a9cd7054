#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the packages that the tests of the page need and Debian does not have: Playwright from
# PyPI into BUILD/page/python, and the page's own packages from npm into BUILD/page/node_modules.
# Without changes to their versions, it makes no request.
#
#     tests/page/install.sh BUILD
set -eu

[ $# -eq 1 ] || { echo "usage: $0 BUILD" >&2; exit 2; }
here=$(dirname "$0")
folder=$1/page
mkdir -p "$folder"
if ! cmp -s "$here/requirements.txt" "$folder/python/requirements.txt"; then
    rm -rf "$folder/python"
    /usr/bin/python3 -m venv --system-site-packages "$folder/python"
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$folder/python/requirements.txt"
fi
if ! cmp -s "$here/../../web/package-lock.json" "$folder/node_modules/package-lock.json"; then
    cp "$here/../../web/package.json" "$here/../../web/package-lock.json" "$folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel error)
    cp "$folder/package-lock.json" "$folder/node_modules/package-lock.json"
fi
