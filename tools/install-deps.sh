#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the Debian or Ubuntu packages that are needed and missing.
#
#     tools/install-deps.sh build|deb|deploy|test|fuzz|arm64
#
# "fuzz" and "deb" (to make Debian packages) include "build"; "deploy" (for tests/deploy) includes "deb",
# "test" includes "deploy", and "arm64" (for tests/arm64) includes "test". pytest is in "build" because the build files look for it.
# When all packages are there, apt is not asked and no root rights are needed.
set -eu

build='build-essential meson ninja-build pkg-config
    libjansson-dev libssl-dev libcmocka-dev libseccomp-dev
    libavformat-dev libavcodec-dev libavutil-dev libswresample-dev
    libmicrohttpd-dev libgnutls28-dev libpq-dev libsqlite3-dev libcjose-dev libcurl4-openssl-dev libarchive-dev python3-pytest'
deb='debhelper dpkg-dev chrpath fakeroot'
deploy='debootstrap debian-archive-keyring systemd-container lintian shellcheck prometheus clamav-daemon caddy curl
    python3-yaml python3-jsonschema python3-venv'
test='python3-numpy ffmpeg clang-format python3-cryptography chromium iproute2 jq'
fuzz='clang libclang-rt-dev'
arm64='gcc-aarch64-linux-gnu qemu-user'

# npm may also come from elsewhere than Debian.
command -v npm >/dev/null || test="$test nodejs npm"

case ${1:-} in
build) packages=$build ;;
deb) packages="$build $deb" ;;
deploy) packages="$build $deb $deploy" ;;
test) packages="$build $deb $deploy $test" ;;
fuzz) packages="$build $fuzz" ;;
arm64) packages="$build $deb $deploy $test $arm64" ;;
*)
    echo "usage: $0 build|deb|deploy|test|fuzz|arm64" >&2
    exit 2
    ;;
esac

missing=
for package in $packages; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing="$missing $package"
    fi
done
if [ -n "$missing" ]; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "installing:$missing"
    $as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi
case $1 in test | arm64) "$(dirname "$0")/../tests/scale/install.sh" ;; esac
