#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what the tests of several machines need and what is missing: PostgreSQL and pgbouncer from Debian, versitygw (an S3 server) built from
# its Go module into /usr/local/lib/spleeterd-tests. Without Go it says so; those tests are then skipped.
set -eu
version=v1.8.0
folder=/usr/local/lib/spleeterd-tests

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
for package in postgresql pgbouncer; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        $as_root apt-get update -q
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql pgbouncer
        break
    fi
done
[ ! -x "$folder/versitygw-$version" ] || exit 0
if ! command -v go >/dev/null; then
    echo "Go is not installed, so versitygw $version can't be built" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
GOBIN="$work/bin" GOPATH="$work/go" GOFLAGS=-modcacherw go install "github.com/versity/versitygw/cmd/versitygw@$version"
$as_root mkdir -p "$folder"
$as_root install "$work/bin/versitygw" "$folder/versitygw-$version"
$as_root ln -sf "versitygw-$version" "$folder/versitygw"
