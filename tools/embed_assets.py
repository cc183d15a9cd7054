#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Generates a C header from files, plain and gzipped: embed_assets.py HEADER FILE..."""
import gzip
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}

header, *files = sys.argv[1:]
arrays, rows = [], []
for number, path in enumerate(sorted(map(pathlib.Path, files), key=lambda path: path.name)):
    content = path.read_bytes()
    packed = gzip.compress(content, 9, mtime=0)
    for name, data in ("plain", content), ("gzip", packed):
        lines = [", ".join(map(str, data[at:at + 32])) for at in range(0, len(data), 32)]
        arrays.append(f"static const uint8_t {name}_{number}[] = {{\n" + ",\n".join(lines) + "};\n")
    tag = hashlib.sha256(content).hexdigest()[:32]
    rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", "\\"{tag}\\"", plain_{number}, gzip_{number}, '
                f"{len(content)}, {len(packed)}}},\n")
pathlib.Path(header).write_text("".join(arrays) + "static const spl_asset spl_assets[] = {\n" + "".join(rows) + "};\n")
