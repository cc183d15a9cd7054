#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws docs/images/separation.png and others: the bundled song and the stems that spleeterd
separates from it.

    SPLEETERD=build/spleeterd tools/make_picture.py 2stems 4stems 5stems

Needs NumPy and matplotlib. The stems have the full bandwidth and sum to the mixture.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SONG = REPOSITORY / "examples" / "audio_example.mp3"
IMAGES = REPOSITORY / "docs" / "images"
PICTURES = {
    "2stems": ("separation.png", ["vocals", "accompaniment"]),
    "4stems": ("separation-4stems.png", ["vocals", "drums", "bass", "other"]),
    "5stems": ("separation-5stems.png", ["vocals", "piano", "drums", "bass", "other"]),
}
COLOURS = {"mixture": "#444444", "vocals": "#c2412d", "accompaniment": "#2a6f97", "piano": "#7a4fa3", "drums": "#b8860b",
           "bass": "#2f7d4f", "other": "#2a6f97"}
RATE = 44100
WINDOW, HOP = 2048, 512


def separate(model, names, folder):
    """Returns {name: samples of the left channel} of the mixture and the stems."""
    subprocess.run([os.environ.get("SPLEETERD", "spleeterd"), "separate", SONG, "-p", model, "-o", folder,
                    "-f", "{instrument}.{codec}", "--bit-depth", "float", "--mix", "mixture=" + "+".join(names),
                    "--stems", ",".join(names)], check=True)
    stems = {}
    for name in ["mixture", *names]:
        content = (pathlib.Path(folder) / f"{name}.wav").read_bytes()
        begin = content.index(b"data") + 8
        stems[name] = np.frombuffer(content, "<f4", offset=begin)[::2]
    return stems


def spectrogram(samples):
    """[bins, frames] in dB."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    return 10 * np.log10(power.T + 1e-10)


def draw(stems, path):
    seconds = len(stems["mixture"]) / RATE
    loudest = spectrogram(stems["mixture"]).max()
    figure, axes = plt.subplots(len(stems), 2, figsize=(11, 0.5 + 1.7 * len(stems)), sharex=True, width_ratios=(1, 1.35),
                                layout="constrained")
    for (wave, picture), (name, samples) in zip(axes, stems.items()):
        columns = samples[:len(samples) // 441 * 441].reshape(-1, 441)
        wave.fill_between(np.arange(len(columns)) / 100, columns.min(1), columns.max(1), color=COLOURS[name], linewidth=0)
        wave.set(ylim=(-1.05, 1.05), ylabel=name, yticks=(-1, 0, 1), xlim=(0, seconds))
        picture.imshow(spectrogram(samples), origin="lower", aspect="auto", cmap="magma", vmin=loudest - 80, vmax=loudest,
                       extent=(0, seconds, 0, RATE / 2000))
        picture.set(ylim=(0, 16), yticks=(0, 5, 10, 15), ylabel="kHz")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    for model in sys.argv[1:]:
        file, names = PICTURES[model]
        with tempfile.TemporaryDirectory() as temporary:
            draw(separate(model, names, temporary), IMAGES / file)
