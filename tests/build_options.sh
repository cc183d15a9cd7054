#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds each combination of the options in meson_options.txt. Libraries that a combination must not
# need are hidden from pkg-config. Compiles only, without optimisation; Meson uses ccache if it is
# installed.
#
#     tests/build_options.sh FOLDER     builds into FOLDER/NAME
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
service='libmicrohttpd gnutls sqlite3 cjose libcurl libarchive'

# build NAME HIDDEN OPTION...: builds with the options into FOLDER/NAME, without the libraries
# HIDDEN.
build() {
    local name=$1 hidden=$2 visible=$folder/$1.pkgconfig log=$folder/$1.log library linked
    shift 2
    echo "$name: $*"
    rm -rf "$visible" "${folder:?}/$name"
    mkdir "$visible"
    pkg-config --variable pc_path pkg-config | tr : '\n' | while read -r path; do
        find "$path" -name '*.pc' -exec cp -n -t "$visible" {} + 2>/dev/null || true
    done
    for library in $hidden; do
        rm "$visible/$library.pc"
    done
    if ! { PKG_CONFIG_LIBDIR=$visible meson setup "$folder/$name" -Doptimization=0 -Ddebug=false "$@" &&
        meson compile -C "$folder/$name"; } >"$log" 2>&1; then
        cat "$log"
        exit 1
    fi
    linked=$(objdump -p "$folder/$name/spleeterd" | sed -n 's/^ *NEEDED *lib//p')
    for library in $hidden; do
        if grep "^${library#lib}\." <<<"$linked"; then
            echo "$name is linked with $library"
            exit 1
        fi
    done
}

build command "$service libpq cmocka" -Dservice=disabled -Dtests=disabled
build command-and-tests "$service libpq" -Dservice=disabled
build one-machine 'libpq cmocka' -Dpostgres=disabled -Dtests=disabled
build one-machine-and-tests libpq -Dpostgres=disabled
build all-without-tests cmocka -Dtests=disabled
