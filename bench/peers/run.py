#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares our program with its peers on the same machine and song in one run.

    bench/peers/setup.sh
    build/peers/env-runtimes/bin/python bench/peers/run.py --build build

Writes bench/peers/results.json after each round; report.py makes docs/peers.md and its plot from
that. README.md describes the method and the meaning of the numbers.
"""

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import process
from peers import HERE, ROOT, Setup, all_peers, make_models, make_references, make_song

sys.path.insert(0, str(ROOT / "tests" / "golden"))

RATE = 44100
SEGMENT_S = 512 * 1024 / RATE
NETWORK_PACKAGES = ("openvino", "onnxruntime", "mnn", "sherpa-onnx", "onnx")


def snr_db(expected, got):
    """Compares the samples that both have, because sherpa-onnx drops the end of a song that no
    whole frame covers."""
    count = min(len(expected), len(got))
    expected, got = expected[:count].astype(np.float64), got[:count].astype(np.float64)
    return float(10 * np.log10(np.sum(expected ** 2) / max(np.sum((expected - got) ** 2), 1e-300)))


def measure_accuracy(peer, references):
    """{stem: dB} against Spleeter's own floats; for songs also without first and last second."""
    result = {"snr_db": {}}
    for name, got in peer.read_exact().items():
        expected = references[(peer.stems, name)]
        result["snr_db"][name] = round(snr_db(expected, got), 1)
        if peer.kind == "song":
            within = slice(RATE, len(expected) - RATE)
            result.setdefault("snr_db_within", {})[name] = round(snr_db(expected[within], got[within]), 1)
    return result


def spread(values, digits):
    return {"median": round(median(values), digits), "min": round(min(values), digits),
            "max": round(max(values), digits)}


def warm_up(peers, references):
    """{name: memory and accuracy}, one program after another."""
    results = {}
    for peer in peers:
        print(f"{peer.name}: memory and accuracy", flush=True)
        run = process.run(peer.command, peer.environment, sample_memory=True)
        results[peer.name] = {"program": peer.program, "kind": peer.kind, "stems": peer.stems, "mode": peer.mode,
                              "package": peer.package, "peak_rss_mib": round(run.peak_rss_mib),
                              "peak_pss_mib": round(run.peak_pss_mib)}
        if peer.exact_command:
            process.run(peer.exact_command, peer.environment)
            results[peer.name] |= measure_accuracy(peer, references)
    return results


def run_round(peers, arguments):
    """{name: (seconds or milliseconds, share of others, output)} of one run of each program."""
    runs = {}
    for peer in peers:
        run = process.run_undisturbed(peer.command, peer.environment, arguments.quiet, arguments.patience)
        value, unit = (peer.read_ms(run.output), "ms") if peer.read_ms else (run.seconds, "s")
        runs[peer.name] = value, run.others, run.output
        print(f"  {peer.name:24s} {value:9.3f} {unit:2s}  others {100 * run.others:4.1f} %", flush=True)
    return runs


def summarize(peers, results, rounds, song_s):
    """Adds the times so far to each program's results."""
    times = {peer.name: [runs[peer.name][0] for runs in rounds] for peer in peers}
    ours = {(peer.kind, peer.stems): times[peer.name] for peer in peers if peer.package is None}
    for peer in peers:
        mine = times[peer.name]
        unit, second, duration_s = ("ms", 1e-3, SEGMENT_S) if peer.kind == "network" else ("seconds", 1, song_s)
        results[peer.name] |= {
            unit: spread(mine, 3),
            "real_time": spread([duration_s / (second * value) for value in mine], 1),
            "ratio": spread([value / our for value, our in zip(mine, ours[peer.kind, peer.stems])], 2),
            "runs": [round(value, 3) for value in mine],
            "others": [round(runs[peer.name][1], 3) for runs in rounds],
        }
        if peer.name == "sherpa-onnx-2stems":
            separations = [json.loads(runs[peer.name][2].splitlines()[-1])["separation_s"] for runs in rounds]
            results[peer.name]["separation_seconds"] = spread(separations, 3)


def cpu_model():
    text = Path("/proc/cpuinfo").read_text()
    fields = dict(line.partition(":")[::2] for line in text.split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    return {"name": fields.get("model name", platform.processor()),
            "family_model": f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}", "cpus": process.CPUS,
            "flags": [flag for flag in ("fma", "avx2", "avx512f", "avx512_bf16") if flag in flags]}


def versions(setup):
    asked = "import importlib.metadata as m; print(*(m.version(p) for p in ('spleeter', 'tensorflow', 'numpy')))"
    side = subprocess.run([setup.spleeter_python, "-c", asked], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    ffmpeg = subprocess.run(["ffmpeg", "-version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[2]
    our = subprocess.run([setup.spleeterd, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    our = our.partition("\n")[0].removeprefix("spleeterd ")
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True,
                            check=False).stdout.strip()
    return {"spleeterd": our, "commit": commit, "ffmpeg": ffmpeg, "spleeter": side[0], "tensorflow": side[1],
            "numpy": side[2], **{name: importlib.metadata.version(name) for name in NETWORK_PACKAGES}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="our build folder")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "peers", help="where setup.sh installed the peers")
    parser.add_argument("--spleeter-python", type=Path, help="another environment with Spleeter")
    parser.add_argument("--checkpoint", type=Path, help="Deezer's 2stems checkpoint; default: made of our model folder")
    parser.add_argument("--seconds", type=int, default=180, help="length of the song")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each program")
    parser.add_argument("--net-seconds", type=float, default=4, help="how long a network is timed in each round")
    parser.add_argument("--quiet", type=float, default=0.03,
                        help="share of the CPUs that others may have in a timed run; it is repeated up to twice")
    parser.add_argument("--patience", type=float, default=60, help="how many seconds to wait for that before a run")
    parser.add_argument("--only", nargs="*", help="names of programs, ours always with them")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    arguments = parser.parse_args()

    work, build = arguments.work.resolve(), arguments.build.resolve()
    setup = Setup(work, build / "spleeterd", build / "spleeterd-codec",
                  arguments.spleeter_python or work / "env-spleeter" / "bin" / "python", Path(sys.executable),
                  work / f"song-{arguments.seconds}s.mp3", arguments.net_seconds)
    for program in (setup.spleeterd, setup.codec, setup.spleeter_python):
        if not program.exists():
            parser.error(f"{program} is missing: see bench/peers/README.md")
    for folder in (setup.work, setup.outputs, setup.checkpoints, setup.native_4stems.parent):
        folder.mkdir(parents=True, exist_ok=True)
    peers = [p for p in all_peers(setup) if not arguments.only or p.package is None or p.name in arguments.only]

    print("song, models, and what Spleeter makes of them", flush=True)
    make_song(setup.song, arguments.seconds)
    make_models(setup, arguments.checkpoint)
    references = make_references(setup)
    results, rounds = warm_up(peers, references), []
    for turn in range(arguments.rounds):
        print(f"round {turn + 1} of {arguments.rounds}", flush=True)
        rounds.append(run_round(peers, arguments))
        summarize(peers, results, rounds, arguments.seconds)
        benches = [json.loads(runs["spleeterd-network"][2]) for runs in rounds]
        report = {
            "date": time.strftime("%Y-%m-%d"), "machine": cpu_model(), "versions": versions(setup),
            "isa": benches[0]["isa"], "peak_gflops": spread([b["peak_gflops"] for b in benches], 1),
            "net_of_peak": spread([b["net_of_peak"] for b in benches], 2),
            "settings": {"song_s": arguments.seconds, "rounds": len(rounds), "net_s": arguments.net_seconds,
                         "quiet": arguments.quiet},
            "results": results,
        }
        arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
