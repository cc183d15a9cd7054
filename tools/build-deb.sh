#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds Debian packages from this source tree into the folder OUT. The build runs in a copy, so
# that it leaves no files here.
#
#     tools/build-deb.sh OUT
#
# Needs the packages of tools/install-deps.sh deb.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/spleeterd"
tar -c --exclude=./.git --exclude='./build*' --exclude=./separated --exclude=__pycache__ --exclude=node_modules --exclude=.venv . | tar -x -C "$copy/spleeterd"
cd "$copy/spleeterd"
dpkg-buildpackage --build=binary --no-sign
mv ../*.deb ../*.buildinfo ../*.changes "$out"
