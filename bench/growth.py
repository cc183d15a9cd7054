#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time and memory of `spleeterd separate` as songs grow and threads are added.

    bench/growth.py [--program build/spleeterd] [--output docs/growth.json] [--seconds 10 60 ...]

Songs are the bundled one, looped by ffmpeg. Memory is the largest sum of PSS (resident pages, shared ones by their
share) over the program and its codec helpers, sampled 20 times a second. Prints a table, writes JSON;
bench/plot_growth.py draws it.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tree_pss_kib(root_pid):
    """Sum of PSS of a process and all its descendants, in KiB."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    total, todo = 0, [root_pid]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def measure(command, environment):
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_pss_kib(process.pid))
        time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.monotonic() - start, peak / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build/spleeterd")
    parser.add_argument("--codec", default=None, help="default: beside the program's folder")
    parser.add_argument("--output", default=ROOT / "docs/growth.json")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 240, 900, 3600, 14400])
    parser.add_argument("--model", default="2stems")
    arguments = parser.parse_args()
    program = Path(arguments.program).resolve()
    codec = arguments.codec or program.parent / "spleeterd-codec"
    environment = dict(os.environ, SPLEETER_CODEC=str(codec), SPLEETER_MODEL_PATH=str(ROOT / "models"))

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "song.mp3")
        for seconds in arguments.seconds:
            subprocess.run(
                ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", ROOT / "examples/audio_example.mp3",
                 "-t", str(seconds), "-b:a", "192k", song], check=True,
            )
            threads = [1, 2] if seconds <= 240 else [os.cpu_count()]
            for count in threads:
                took, peak = measure(
                    [program, "separate", "-p", arguments.model, "--threads", str(count), "-o", f"{folder}/out", song],
                    environment,
                )
                rows.append({"seconds": seconds, "threads": count, "took_s": round(took, 2),
                             "real_time": round(seconds / took, 1), "peak_mib": round(peak, 1)})
                print("{seconds:>7} s  {threads} threads  {took_s:>8} s  {real_time:>6}x  {peak_mib:>7} MiB".format(**rows[-1]), flush=True)
    cpu = next((l.split(":", 1)[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "?")
    Path(arguments.output).write_text(json.dumps({"cpu": cpu, "model": arguments.model, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
