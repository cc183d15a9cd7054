#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the missing servers for the cluster tests: PostgreSQL and pgbouncer from Debian, and
# versitygw (an S3 server), built from its Go module into /usr/local/lib/spleeterd-tests. Without Go
# it prints a warning, and those tests are skipped.
set -eu
version=v1.8.0
folder=/usr/local/lib/spleeterd-tests

"$(dirname "$0")/../../tools/install-packages.sh" postgresql pgbouncer
[ ! -x "$folder/versitygw-$version" ] || exit 0
if ! command -v go >/dev/null; then
    echo "Go is not installed, so versitygw $version can't be built" >&2
    exit 0
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "versitygw $version is not installed: $folder needs root rights, and there is no sudo" >&2; exit 0; }
    as_root=sudo
fi
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
GOBIN="$work/bin" GOPATH="$work/go" GOFLAGS=-modcacherw go install "github.com/versity/versitygw/cmd/versitygw@$version"
$as_root mkdir -p "$folder"
$as_root install "$work/bin/versitygw" "$folder/versitygw-$version"
$as_root ln -sf "versitygw-$version" "$folder/versitygw"
