#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Writes the tables of docs/settings.md anew from the program's own table; the text above them stays.
#
#     tools/settings-page.sh [BUILD_FOLDER]
set -eu
cd "$(dirname "$0")/.."
sed '/^## /,$d' docs/settings.md >docs/settings.md.new
"${1:-build}"/spleeterd config table >>docs/settings.md.new
mv docs/settings.md.new docs/settings.md
