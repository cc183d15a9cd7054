#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The project's aims for speed, start-up and memory, measured in one run.

    bench/aims.py [--program build/spleeterd] [--rounds 5] [--output FILE]

Each round times complete commands that separate three minutes of MP3 into 16-bit WAV files with a
warm page cache. The machine's peak of multiply-adds with AVX2 on all CPUs is measured before and
after each round; the larger value counts. The aims are multiples of real time on two CPUs with a
peak of 195 GFLOP/s, and scale with the peak of their round. The model of four stems with one
network each has generated weights (tests/golden/formula.py). Needs ffmpeg and NumPy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth import cpu_name, make_song
from peers.process import run

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/golden"))
import formula  # noqa: E402

SONG_S = 180
PEAK_GFLOPS = 195
# Name, model, options; multiple of real time at that peak: minimum and aim; limit on the memory of
# all processes in MiB.
COMMANDS = [
    ("two stems", "spleeter:2stems", [], 110, 180, 700),
    ("four stems, 11 kHz", "generated", ["--bandwidth", "11k"], 60, 100, 1200),
    ("four stems, full band", "generated", ["--bandwidth", "full"], 40, 65, 1200),
]


class Machine:
    def __init__(self, program, folder):
        self.program = program
        self.song = folder / "song.mp3"
        self.output = folder / "out"
        self.generated = folder / "generated"
        make_song(self.song, SONG_S)
        formula.write_model_folder(formula.MODELS["generated-4stems"], "generated", self.generated)

    def bench(self, isa=None):
        environment = {"SPLEETER_CPU": isa} if isa else {}
        return json.loads(run([self.program, "bench", "--json"], environment).output)

    def command(self, model, options, output):
        path = self.generated if model == "generated" else model
        return [self.program, "separate", "-p", path, *options, "-o", output, self.song]

    def first_audio_s(self, model, options):
        """Seconds from the start of the command to the first samples of a stem on its standard
        output."""
        start = time.monotonic()
        command = [*self.command(model, options, "-"), "--stems", "vocals"]
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.read(4096)
            seconds = time.monotonic() - start
            process.kill()
        return seconds


def measure(machine, rounds):
    """Returns the rounds' peaks in GFLOP/s, the results of `spleeterd bench`, and the seconds of
    each command."""
    peaks, benches = [], []
    before = machine.bench("avx2")["peak_gflops"]
    times = {name: [] for name, *_ in COMMANDS}
    for number in range(rounds):
        benches.append(machine.bench())
        for name, model, options, *_ in COMMANDS:
            times[name].append(run(machine.command(model, options, machine.output)).seconds)
        after = machine.bench("avx2")["peak_gflops"]
        peaks.append(max(before, after))
        before = after
        print(f"round {number + 1} of {rounds}: peak {peaks[-1]:.0f} GFLOP/s", file=sys.stderr)
    return peaks, benches, times


def report(machine, peaks, benches, times):
    network_flops = [bench["net_of_peak"] * bench["peak_gflops"] for bench in benches]
    result = {
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "isa": benches[0]["isa"],
        "avx2_peak_gflops": [round(peak, 1) for peak in peaks],
        "net_ms": [round(bench["net_ms"], 2) for bench in benches],
        "net_of_avx2_peak": round(statistics.median(flops / peak for flops, peak in zip(network_flops, peaks)), 2),
        "open_s": round(statistics.median(bench["open_s"] for bench in benches), 3),
        "commands": [],
    }
    for name, model, options, least, aim, _ in COMMANDS:
        of_least = [SONG_S / seconds / (least * peak / PEAK_GFLOPS) for seconds, peak in zip(times[name], peaks)]
        result["commands"].append({
            "name": name,
            "seconds": [round(seconds, 3) for seconds in times[name]],
            "real_time": round(SONG_S / statistics.median(times[name]), 1),
            "of_least": round(statistics.median(of_least), 2),
            "of_aim": round(statistics.median(of_least) * least / aim, 2),
            "first_audio_s": round(statistics.median(machine.first_audio_s(model, options) for _ in peaks), 3),
            "peak_mib": round(run(machine.command(model, options, machine.output), sample_memory=True).peak_pss_mib),
        })
    return result


def print_report(result):
    peaks = result["avx2_peak_gflops"]
    print(f"{result['cpu']}, {result['cpus']} CPUs, {result['isa']} kernels; peak with AVX2 {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s")
    print(f"one network, one segment: {statistics.median(result['net_ms']):.1f} ms, {result['net_of_avx2_peak']:.2f} times that peak"
          " (at least 1.5, aim 2.6)")
    print(f"model opened in {result['open_s']:.2f} s (at most 0.5)\n")
    print(f"{'':22} {'real time':>10} {'of least':>9} {'of aim':>7} {'first audio':>12} {'memory':>9}")
    for command, (*_, most_mib) in zip(result["commands"], COMMANDS):
        print(f"{command['name']:22} {command['real_time']:9.0f}x {command['of_least']:9.2f} {command['of_aim']:7.2f}"
              f" {command['first_audio_s']:10.2f} s {command['peak_mib']:5} MiB (at most {most_mib})")
    print("\nFirst audio: at most 0.5 s.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/spleeterd")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(arguments.program, Path(folder))
        result = report(machine, *measure(machine, arguments.rounds))
    print_report(result)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
