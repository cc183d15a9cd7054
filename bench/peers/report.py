#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes docs/peers.md and docs/images/peers.svg from results.json: report.py [RESULTS [DOCS]]"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS, THEIRS = "#c2412d", "#7a8793"

TEXT = """# Compared with its peers

<!-- Made by bench/peers/report.py from bench/peers/results.json. -->

All programs processed the same song on the same machine in the same run, and each used all CPUs: {date},
{cpu} ({flags}), {cpus} CPUs.
The kernels of spleeterd used {isa}; the other programs choose what the CPU supports.
`bench/peers` installs the other programs from PyPI and runs all of them. Its `README.md` explains each number.

![Speed](images/peers.svg)

## A whole song

The input is {song_s} s of MP3, the output is 16-bit WAV. The time is that of the whole command, from its start to its end.
The model of 2 stems has Deezer's weights and the model of 4 stems has generated ones; the time does not depend on the
weights.

{songs}

Speed is the length of the song divided by the computing time. "Times ours" is a program's time divided by that of
spleeterd. SNR compares with Spleeter's own samples before it rounds them to 16 bits, without the first and last
second.{sherpa}

## One network, one segment

These figures are for the U-Net of one stem on one segment (512 frames, 11.9 s of song, F = 1024) and nothing else. The
other runtimes ran in two modes, and the table shows the faster one: latency (one segment after the other) or
throughput (one segment for each CPU at a time). Real time is for one stem; divide it by the number of stems.

{networks}

For the network's nominal 12.2 GFLOP, spleeterd reaches {net_of_peak} the speed that the peak of
multiply-adds allows ({peak} GFLOP/s, measured in the same runs with the {isa} kernels). Values above 1
are possible because Winograd's algorithm needs fewer operations.
SNR compares with Spleeter's own network in TensorFlow.{notes}

## How

Each program first ran once to warm up; this run also sampled its memory. Then {rounds} rounds ran all programs one after
the other. Numbers are medians, with the smallest and the largest value in brackets. "Times ours" divides the times of
the same round. Memory is the largest sum over the process and its children; shared pages count once. During the timed
runs, other processes and the hypervisor used at most {others} of the machine's CPU time{disturbed}.

Versions: {versions}.

    bench/peers/setup.sh
    build/peers/env-runtimes/bin/python bench/peers/run.py
    build/peers/env-runtimes/bin/python bench/peers/report.py
"""


def with_range(spread, digits):
    return f"{spread['median']:.{digits}f} ({spread['min']:.{digits}f}–{spread['max']:.{digits}f})"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def snr(result):
    values = result.get("snr_db_within") or result.get("snr_db")
    if not values:
        return "reference" if result["package"] == "spleeter" else ""
    low, high = min(values.values()), max(values.values())
    return f"{low:.0f} dB" if round(low) == round(high) else f"{low:.0f}–{high:.0f} dB"


def memory(result):
    return f"{result['peak_pss_mib']:,} MiB"


def label(report, result):
    return f"{result['program']} {report['versions'][result['package']]}" if result["package"] else "**spleeterd**"


def ratio(result):
    return f"{with_range(result['ratio'], 2)}x" if result["package"] else "1"


def best_networks(results):
    """The faster mode of each runtime, fastest runtime first."""
    best = {}
    for result in results:
        if result["kind"] == "network":
            program = result["program"]
            if program not in best or result["ms"]["median"] < best[program]["ms"]["median"]:
                best[program] = result
    return sorted(best.values(), key=lambda result: result["ms"]["median"])


def song_rows(report, results):
    return [[str(r["stems"]), label(report, r), f"{with_range(r['seconds'], 2)} s", f"{with_range(r['real_time'], 1)}x",
             ratio(r), memory(r), snr(r)] for r in results]


def network_rows(report, results):
    return [[label(report, r), r["mode"], f"{with_range(r['ms'], 1)} ms", f"{with_range(r['real_time'], 0)}x", ratio(r),
             memory(r), snr(r)] for r in results]


SHERPA = """
The packages of sherpa-onnx have no command for this, so a short script was measured. The separation itself, after the
model was loaded, took {seconds} s. Over the whole song the SNR of sherpa-onnx is {low:.0f} to {high:.0f} dB,
because it has bursts at both ends of the song."""


def about_sherpa(results):
    for result in results:
        if "separation_seconds" in result:
            values = result["snr_db"].values()
            return SHERPA.format(seconds=with_range(result["separation_seconds"], 2), low=min(values), high=max(values))
    return ""


def write_page(report, path):
    results = list(report["results"].values())
    songs = sorted((r for r in results if r["kind"] == "song"), key=lambda r: (r["stems"], r["seconds"]["median"]))
    networks = best_networks(results)
    others = [share for r in results for share in r["others"]]
    limit = report["settings"]["quiet"]
    disturbed = sum(share >= limit for share in others)
    versions, machine = report["versions"], report["machine"]
    path.write_text(TEXT.format(
        date=report["date"], cpu=f"{machine['name']}, family/model {machine['family_model']}",
        flags=", ".join(machine["flags"]), cpus=machine["cpus"], song_s=report["settings"]["song_s"],
        songs=table(["stems", "program", "time", "speed", "times ours", "memory", "SNR"], song_rows(report, songs)),
        sherpa=about_sherpa(results),
        networks=table(["runtime", "mode", "time", "real time", "times ours", "memory", "SNR"],
                       network_rows(report, networks)),
        net_of_peak=f"{with_range(report['net_of_peak'], 2)} times", peak=with_range(report["peak_gflops"], 0),
        isa=report["isa"], notes="".join(f"\n\n{note}" for note in report.get("notes", ())),
        rounds=report["settings"]["rounds"], others=f"{100 * max(others):.0f} %",
        disturbed=f" ({disturbed} of {len(others)} runs had more than {100 * limit:.0f} %)" if disturbed else "",
        versions=", ".join(f"{name} {version}" for name, version in versions.items())), encoding="utf-8")


def draw(report, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "peers", "svg.fonttype": "none", "font.size": 10})
    import matplotlib.pyplot as plt

    results = list(report["results"].values())
    panels = [(f"{stems} stems, whole command", [r for r in results if r["kind"] == "song" and r["stems"] == stems])
              for stems in (2, 4)] + [("one network, one stem", best_networks(results))]
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 5.2), layout="constrained",
                                height_ratios=[len(programs) + 0.8 for _, programs in panels])
    for axis, (title, programs) in zip(axes, panels):
        programs = sorted(programs, key=lambda r: r["real_time"]["median"])
        speeds = [r["real_time"] for r in programs]
        values = [s["median"] for s in speeds]
        bars = axis.barh([label(report, r).strip("*") for r in programs], values,
                         color=[THEIRS if r["package"] else OURS for r in programs],
                         xerr=[[s["median"] - s["min"] for s in speeds], [s["max"] - s["median"] for s in speeds]],
                         error_kw={"linewidth": 1, "ecolor": "#333333"})
        axis.bar_label(bars, [f"{value:.1f}x" for value in values], padding=6)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlim(0, 1.15 * max(s["max"] for s in speeds))
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("times real time")
    figure.savefig(path, metadata={"Date": None})


def main(results=HERE / "results.json", docs=HERE.parents[1] / "docs"):
    report = json.loads(Path(results).read_text(encoding="utf-8"))
    write_page(report, Path(docs) / "peers.md")
    (Path(docs) / "images").mkdir(parents=True, exist_ok=True)
    draw(report, Path(docs) / "images" / "peers.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
