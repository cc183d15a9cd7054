#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs pytest from $PAGE_TOOLS, where install.sh puts it. Exits with 77, which Meson counts as
# skipped, if it is not installed.
[ -x "$PAGE_TOOLS/python/bin/python" ] || { echo "run tests/page/install.sh first"; exit 77; }
exec "$PAGE_TOOLS/python/bin/python" -m pytest "$@"
