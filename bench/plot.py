#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws docs/images/growth.svg from docs/growth.json (written by bench/growth.py) and
docs/images/layers.svg from docs/bench.json (written by spleeterd bench --json). Needs matplotlib.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[1] / "docs"
matplotlib.rcParams["svg.hashsalt"] = "spleeterd"


def save(figure, name):
    figure.tight_layout()
    figure.savefig(DOCS / "images" / name, metadata={"Date": None})


def draw_growth(growth):
    figure, (time, memory) = plt.subplots(1, 2, figsize=(10, 3.6))
    most = max(row["threads"] for row in growth["rows"])
    for model in dict.fromkeys(row["model"] for row in growth["rows"]):
        rows = [row for row in growth["rows"] if row["model"] == model and row["threads"] == most]
        lengths = [row["seconds"] for row in rows]
        time.plot(lengths, [row["took_s"] for row in rows], "o-", label=model)
        memory.plot(lengths, [row["peak_mib"] for row in rows], "o-", label=model)
    time.set(xscale="log", yscale="log", xlabel="seconds of song", ylabel="seconds", title=f"time, {most} threads")
    memory.set(xscale="log", ylim=(0, None), xlabel="seconds of song", ylabel="MiB", title="peak memory, all processes")
    memory.legend()
    save(figure, "growth.svg")


def draw_layers(bench):
    figure, axes = plt.subplots(figsize=(10, 3.6))
    layers = bench["layers"]
    axes.bar([layer["name"] for layer in layers], [layer["gflops"] for layer in layers])
    axes.axhline(bench["peak_gflops"], color="black", linestyle="--", label="measured peak of multiply-adds")
    axes.legend()
    axes.set(ylabel="GFLOP/s of direct convolution", title=f"{bench['model']}, {bench['isa']}, {bench['threads']} threads")
    save(figure, "layers.svg")


if __name__ == "__main__":
    draw_growth(json.loads((DOCS / "growth.json").read_text()))
    draw_layers(json.loads((DOCS / "bench.json").read_text()))
