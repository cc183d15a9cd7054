#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds spleeterd for arm64 and runs it under emulation (qemu-user): see README.md.
#
#     tests/arm64/check.sh BUILD FOLDER
#
# BUILD is this machine's build folder; the arm64 program and codec helper are compared with those
# in it. All output goes into FOLDER.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -eq 2 ] || { echo "usage: $0 BUILD FOLDER" >&2; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "This test is for amd64; on arm64, make test is the test." >&2; exit 2; }

mkdir -p "$2"
SPLEETERD_BUILD=$(realpath "$1")
folder=$(realpath "$2")
sysroot=$folder/sysroot
build=$folder/build
run=(qemu-aarch64 -L "$sysroot")

# step NAME COMMAND...: runs the command with its own log, and prints the log's figures, or the
# whole log if it fails.
step() {
    local name=$1 start=$SECONDS log
    log=$folder/log.${name//[^a-z0-9]/-}.txt
    shift
    printf '%-58s' "$name"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        printf 'FAILED\n'
        cat "$log"
        printf '\narm64: FAILED: %s\n' "$name"
        exit 1
    fi
    printf 'ok %4d s\n' $((SECONDS - start))
    sed -n 's/^\(arm64: .*\|.* SNR .* largest error .*\)/    \1/p' "$log"
}

cross_build() {
    printf "[constants]\nsysroot = '%s'\n" "$sysroot" >"$folder/sysroot.ini"
    [ -f "$build/build.ninja" ] ||
        meson setup "$build" --cross-file "$folder/sysroot.ini" --cross-file tests/arm64/cross.ini
    meson compile -C "$build"
    printf '#!/bin/sh\nexec %s "$@"\n' "${run[*]} $build/spleeterd" >"$folder/spleeterd"
    chmod +x "$folder/spleeterd"
}

# `engine` and `jobs` separate many segments, which takes half an hour under emulation. `jobs`,
# `pipeline` and `audio_inside` need this machine's codec helper, with which the next step runs the
# last. `audio_helper` starts itself as a helper, which the emulator cannot do.
# `store_sqlite` tries each disk failure, which takes minutes. `observe_metrics` reads process
# figures that the emulator does not provide.
c_tests() {
    local tests
    tests=$(meson test -C "$build" --list --suite kernels --suite unit --suite fuzz 2>/dev/null |
        sed -n 's/^.* \/ //p' | grep -vxE 'engine|audio_inside|audio_helper|pipeline|jobs|store_sqlite|observe_metrics')
    # shellcheck disable=SC2086 # a list of words
    meson test -C "$build" --timeout-multiplier 5 --print-errorlogs $tests
}

pytest() {
    "$(command -v pytest-3 || command -v pytest)" -q -rP -p no:cacheprovider "$@"
}

step 'arm64 libraries' tests/arm64/sysroot.sh "$sysroot"
step 'build' cross_build

export PYTHONDONTWRITEBYTECODE=1 SPLEETERD_BUILD
export SPLEETERD_ARM64=$build SPLEETERD_SYSROOT=$sysroot
export SPLEETERD=$folder/spleeterd SPLEETER_CODEC=$SPLEETERD_BUILD/spleeterd-codec
step 'kernels, unit tests, fuzzing corpora' c_tests
step 'module app/audio with a codec helper' "${run[@]}" "$build/tests/unit/audio_test"
step 'machine code of the kernels' pytest tests/arm64/test_code.py
step 'codec helper and its seccomp filter' pytest tests/arm64/test_helper.py
step 'golden: 2stems, small model' pytest tests/golden/test_golden.py -k 'samples_4097 or frames_511 or own_config-imported'
step 'same samples as on amd64' pytest tests/arm64/test_same_as_amd64.py
export SPLEETER_MODEL_PATH=$PWD/models
step 'the service: requests' pytest tests/service/test_smuggling.py
echo "arm64: all passed, in $SECONDS s"
