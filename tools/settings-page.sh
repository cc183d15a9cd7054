#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Regenerates the tables of docs/settings.md from the program's own table and keeps the text above.
#
#     tools/settings-page.sh [BUILD_FOLDER]
set -eu
cd "$(dirname "$0")/.."
sed '/^## /,$d' docs/settings.md >docs/settings.md.new
"${1:-build}"/spleeterd config table >>docs/settings.md.new
mv docs/settings.md.new docs/settings.md
