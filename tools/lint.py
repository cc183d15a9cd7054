#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs clang-tidy on src/ with the checks of .clang-tidy.

    tools/lint.py BUILD [FILE...]

Without files it checks all sources that BUILD compiles. Prints the findings and exits with 1 if there are any.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Options of GCC that clang rejects.
GCC_ONLY = ["-fno-schedule-insns", "-fcx-limited-range"]


def commands(build):
    """Returns the compile commands of src/, one for each file."""
    found = {}
    for entry in json.loads((Path(build) / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(ROOT / "src"):
            command = " ".join(word for word in entry["command"].split(" ") if word not in GCC_ONLY)
            found[path] = {**entry, "file": str(path), "command": command}
    return found


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    entries = commands(sys.argv[1])
    chosen = [Path(name).resolve() for name in sys.argv[2:]] or sorted(entries)
    with tempfile.TemporaryDirectory() as database:
        (Path(database) / "compile_commands.json").write_text(json.dumps(list(entries.values())))

        def check(path):
            return subprocess.run(["clang-tidy", "--quiet", "-p", database, path], capture_output=True, text=True)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(check, chosen))
    text = "".join(done.stdout for done in results)
    # Headers are named relative to the build folder, in several ways.
    findings = set(re.findall(r"(?:(?<=/)|^)((?:src|include)/\S+: (?:warning|error): .*)$", text, re.M))
    print("\n".join(sorted(findings)) or f"{len(chosen)} files, no findings")
    for done in results:
        if done.returncode != 0 and not done.stdout:
            print(done.stderr, file=sys.stderr)
    return 1 if findings or any(done.returncode != 0 for done in results) else 0


if __name__ == "__main__":
    sys.exit(main())
