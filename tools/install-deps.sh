#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the required Debian or Ubuntu packages that are missing.
#
#     tools/install-deps.sh build|deb|deploy|test|fuzz|arm64
#
# "fuzz" and "deb" (to make Debian packages) include "build"; "deploy" (for tests/deploy) includes
# "deb", "test" includes "deploy", and "arm64" (for tests/arm64) includes "test". "build" contains
# pytest because the build files look for it. Packages that only tests need are skipped on releases
# that lack them. See install-packages.sh.
set -eu

build='build-essential meson ninja-build pkg-config
    libjansson-dev libssl-dev libcmocka-dev libseccomp-dev
    libavformat-dev libavcodec-dev libavutil-dev libswresample-dev
    libmicrohttpd-dev libgnutls28-dev libpq-dev libsqlite3-dev libcjose-dev libcurl4-openssl-dev libarchive-dev python3-pytest'
deb='debhelper dpkg-dev chrpath fakeroot'
deploy='debootstrap debian-archive-keyring systemd-container lintian shellcheck prometheus clamav-daemon caddy curl
    python3-yaml python3-jsonschema python3-venv'
test='python3-numpy ffmpeg clang-format clang-tidy codespell mandoc zsh fish abigail-tools python3-cryptography chromium iproute2 jq ccache'
fuzz='clang libclang-rt-dev'
arm64='gcc-aarch64-linux-gnu qemu-user'

# npm may be installed from another source than Debian.
command -v npm >/dev/null || test="$test nodejs npm"

optional=
case ${1:-} in
build) packages=$build ;;
deb) packages="$build $deb" ;;
deploy) packages="$build $deb" optional=$deploy ;;
test) packages="$build $deb" optional="$deploy $test" ;;
fuzz) packages="$build $fuzz" ;;
arm64) packages="$build $deb $arm64" optional="$deploy $test" ;;
*)
    echo "usage: $0 build|deb|deploy|test|fuzz|arm64" >&2
    exit 2
    ;;
esac
# shellcheck disable=SC2086 # lists of words
"$(dirname "$0")/install-packages.sh" $packages -- $optional
case $1 in test | arm64) "$(dirname "$0")/../tests/scale/install.sh" ;; esac
