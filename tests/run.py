#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `meson test`, then prints the ten slowest tests and one line with the totals.

    tests/run.py BUILD [ARGUMENT...]     passes the arguments to `meson test`
    tests/run.py --totals BUILD...       only prints the totals of the last run of each build folder

Each test also runs under this script (--timed), which adds its processor time to its log.
"""
import json
import os
import pathlib
import re
import resource
import shlex
import subprocess
import sys

SLOWEST = 10


def timed(command):
    """Runs `command` and returns its exit code, or 128 + N if signal N ended it."""
    code = subprocess.call(command)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nprocessor time: {used.ru_utime + used.ru_stime:.2f} s", flush=True)
    return code if code >= 0 else 128 - code


def log_of(build):
    """Returns the path of Meson's log, which is named after the wrapper."""
    return pathlib.Path(build, "meson-logs", f"testlog-{pathlib.Path(sys.executable).name}.json")


def results(build):
    """Returns the tests of the last run in the folder, or [] if there was none."""
    log = log_of(build)
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def totals(tests):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for test in tests:
        count[{"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(test["result"], "failed")] += 1
    print(f"{count['passed']} passed, {count['failed']} failed" + (f", {count['skipped']} skipped" if count["skipped"] else ""))


def slowest(tests):
    print(f"\n{'slowest tests':40s} {'s':>8s} {'CPU s':>8s}")
    for test in sorted(tests, key=lambda test: -test["duration"])[:SLOWEST]:
        cpu = re.search(r"^processor time: (\S+) s$", test.get("stdout", ""), re.M)
        print(f"{test['name'].split(' / ')[-1]:40s} {test['duration']:8.1f} {cpu[1] if cpu else '?':>8s}")
    print()


def main(build, *arguments):
    log_of(build).unlink(missing_ok=True)
    wrapper = shlex.join([sys.executable, str(pathlib.Path(__file__).resolve()), "--timed"])
    # One job more than processors: most tests spend most of their time waiting for a server.
    side_by_side = os.environ.get("MESON_TESTTHREADS") or str(len(os.sched_getaffinity(0)) + 1)
    code = subprocess.call(["meson", "test", "-C", build, "--print-errorlogs", "--wrapper", wrapper, "--num-processes", side_by_side, *arguments])
    tests = results(build)
    slowest(tests)
    totals(tests)
    return code


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        sys.exit(timed(sys.argv[2:]))
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--totals":
        sys.exit(totals([test for build in sys.argv[2:] for test in results(build)]))
    sys.exit(main(*sys.argv[1:]))
