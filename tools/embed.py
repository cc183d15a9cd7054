#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Generates a C header from a text file: embed.py TEXT NAME HEADER."""
import json
import pathlib
import sys

text, name, header = sys.argv[1:]
lines = pathlib.Path(text).read_text(encoding="ascii").splitlines(keepends=True)
pathlib.Path(header).write_text(
    f"static const char {name}[] =\n" + "\n".join("    " + json.dumps(line) for line in lines) + ";\n")
