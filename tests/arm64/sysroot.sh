#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fills the folder SYSROOT with the arm64 packages of Debian that spleeterd needs to build and to
# run.
#
#     tests/arm64/sysroot.sh SYSROOT
#
# apt downloads the packages from its configured sources and verifies them; they are unpacked, not
# installed. apt uses its own lists and package state here, so this needs no root and changes
# neither the machine's packages nor its architectures. (dpkg --add-architecture would change the
# machine; debootstrap would need root and make a whole system.)
set -eu

packages='libc6-dev libjansson-dev libssl-dev libcmocka-dev libseccomp-dev
    libavformat-dev libavcodec-dev libavutil-dev libswresample-dev
    libmicrohttpd-dev libgnutls28-dev libpq-dev libsqlite3-dev libcjose-dev libcurl4-openssl-dev libarchive-dev'

[ $# -eq 1 ] || { echo "usage: $0 SYSROOT" >&2; exit 2; }
[ "$(cat "$1/packages" 2>/dev/null)" != "$packages" ] || exit 0

rm -rf "$1"
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial"
sysroot=$(cd "$1" && pwd)
: >"$sysroot/apt/status"
cat >"$sysroot/apt/conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "$sysroot/apt";
Dir::State::status "$sysroot/apt/status";
Dir::Cache "$sysroot/apt";
END
export APT_CONFIG="$sysroot/apt/conf"
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --download-only $packages

for package in "$sysroot"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$sysroot"
done
# Absolute links would point outside the folder.
find "$sysroot" -type l -lname '/*' | while read -r link; do
    ln -snrf "$sysroot$(readlink "$link")" "$link"
done
rm -rf "$sysroot/apt"
echo "$packages" >"$sysroot/packages"
