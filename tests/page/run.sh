#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs pytest with what install.sh has put into $PAGE_TOOLS; exits with 77, which Meson takes as skipped, when it is not there.
[ -x "$PAGE_TOOLS/python/bin/python" ] || { echo "run tests/page/install.sh first"; exit 77; }
exec "$PAGE_TOOLS/python/bin/python" -m pytest "$@"
