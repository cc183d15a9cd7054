#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the peers from PyPI into two environments: bench/peers/setup.sh [FOLDER]
#   FOLDER          target folder, default build/peers
#   PYTHON_SPLEETER Python 3.10, which Spleeter 2.4.2 with TensorFlow 2.12 needs; default python3.10
#   PYTHON          Python 3.11 or newer, which onnxruntime 1.32 needs; default python3
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${1:-$root/build/peers}

# install NAME INTERPRETER TEST REQUIREMENTS
install() {
    "$2" -c "import sys; sys.exit(not ($3))" || { echo "$0: $2 is not the Python that $1 needs: $3" >&2; exit 1; }
    "$2" -m venv "$folder/$1"
    "$folder/$1/bin/pip" install --quiet --disable-pip-version-check -r "$4"
}

mkdir -p "$folder"
install env-spleeter "${PYTHON_SPLEETER:-python3.10}" "sys.version_info[:2] == (3, 10)" "$root/tests/golden/requirements.txt"
install env-runtimes "${PYTHON:-python3}" "sys.version_info >= (3, 11)" "$here/requirements.txt"
