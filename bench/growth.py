#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time and memory of `spleeterd separate` as the song's length and the number of threads grow.

    bench/growth.py [--program build/spleeterd] [--output docs/growth.json] [--seconds 10 60 ...]
                    [--models 2stems ...]

The songs are the bundled one, looped by ffmpeg, as MP3. Memory is the largest sum of PSS over the
program and its helpers. Prints a table and writes JSON, which bench/plot.py draws.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from peers.process import run

ROOT = Path(__file__).resolve().parents[1]
LONGEST_WITH_ONE_THREAD_S = 240


def make_song(path, seconds):
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", ROOT / "examples/audio_example.mp3",
         "-t", str(seconds), "-b:a", "192k", path],
        check=True,
    )


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/spleeterd")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/growth.json")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 240, 900, 3600, 14400])
    parser.add_argument("--models", nargs="+", default=["2stems", "spleeter:2stems"])
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "song.mp3")
        for seconds in arguments.seconds:
            make_song(song, seconds)
            all_cpus = os.cpu_count()
            counts = range(1, all_cpus + 1) if seconds <= LONGEST_WITH_ONE_THREAD_S else [all_cpus]
            for model in arguments.models:
                for threads in counts:
                    done = run([arguments.program, "separate", "-p", model, "--threads", threads, "-o", f"{folder}/out", song],
                               sample_memory=True)
                    rows.append({"model": model, "seconds": seconds, "threads": threads,
                                 "took_s": round(done.seconds, 2), "real_time": round(seconds / done.seconds, 1),
                                 "peak_mib": round(done.peak_pss_mib, 1), "others": round(done.others, 3)})
                    print("{model:16} {seconds:>6} s  {threads} threads  {took_s:>8} s  {real_time:>6} x  {peak_mib:>6} MiB"
                          .format(**rows[-1]), flush=True)
    arguments.output.write_text(json.dumps({"cpu": cpu_name(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
