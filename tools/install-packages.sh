#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs those of the given Debian or Ubuntu packages that are missing. If none is missing, it
# does not run apt and needs no root rights. It waits up to ten minutes for another apt or dpkg to
# finish.
#
#     tools/install-packages.sh PACKAGE... [-- OPTIONAL...]
#
# OPTIONAL packages that this release lacks are reported and skipped.
set -eu
export LC_ALL=C

fail() {
    echo "$0: $*" >&2
    exit 1
}

is_installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

command -v dpkg-query >/dev/null || fail "this is not Debian or Ubuntu; install what docs/dependencies.md names, then: make all"

needed=
optional=
group=needed
for package in "$@"; do
    if [ "$package" = -- ]; then
        group=optional
    elif ! is_installed "$package"; then
        case $group in
        needed) needed="$needed $package" ;;
        optional) optional="$optional $package" ;;
        esac
    fi
done
[ -n "$needed$optional" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "packages are missing, installing them needs root rights, and there is no sudo; as root, run: apt-get install --no-install-recommends$needed$optional"
    as_root=sudo
fi

# apt itself waits for dpkg's lock, but not for the locks of its lists and archives.
apt() {
    deadline=$(($(date +%s) + 600))
    log=$(mktemp)
    while true; do
        if $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1; then
            cat "$log"
            rm -f "$log"
            return
        fi
        if ! grep -q 'Could not get lock' "$log" || [ "$(date +%s)" -ge "$deadline" ]; then
            cat "$log" >&2
            rm -f "$log"
            fail "apt-get $* failed"
        fi
        echo "waiting for another apt: $(sed -n 's/^E: Could not get lock //p' "$log")"
        sleep 2
    done
}

echo "installing:$needed$optional"
apt update
for package in $optional; do
    if apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
        needed="$needed $package"
    else
        echo "this release does not have $package; tests that need it are skipped"
    fi
done
# shellcheck disable=SC2086 # a list of words
[ -z "$needed" ] || apt install -y --no-install-recommends $needed
