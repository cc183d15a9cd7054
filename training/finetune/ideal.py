# SPDX-License-Identifier: MIT
"""python -m finetune.ideal SONGS OUT: separates with the masks of ideal networks.

An ideal network estimates the true magnitudes of its stem. As with real networks, the masks split
the accompaniment's share of the mixture, as 2stems separates it, in proportion to the squared
magnitudes, and the phase is that of the mixture. `spleeterd evaluate SONGS --estimates OUT` then
gives the upper limit for the networks.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch

from . import net
from .examples import BINS, FRAME, HOP, STEMS, stft
from .objective import EPS, SPLITS

SEGMENT = 512  # frames that pass the network at once
RATE = 44100


def forward(samples):
    """Returns complex [2, frames, FRAME / 2 + 1] of samples [2, n], with FRAME zeros in front,
    padded to whole segments."""
    frames = -(-(samples.shape[1] + FRAME) // (HOP * SEGMENT)) * SEGMENT
    padded = torch.zeros(2, (frames - 1) * HOP + FRAME)
    padded[:, FRAME:FRAME + samples.shape[1]] = samples
    return stft(padded)


def inverse(spectra, length):
    frames = torch.fft.irfft(spectra) * (torch.hann_window(FRAME) * 2 / 3)
    out = torch.zeros(2, (frames.shape[1] - 1) * HOP + FRAME)
    for t in range(frames.shape[1]):
        out[:, t * HOP:t * HOP + FRAME] += frames[:, t]
    return out[:, FRAME:FRAME + length]


@torch.no_grad()
def share_of_accompaniment(base, magnitudes):
    """Returns the accompaniment's mask [2, frames, BINS] from the networks of 2stems, by
    segment."""
    segments = magnitudes[..., :BINS].unflatten(1, (-1, SEGMENT)).transpose(0, 1)
    segments = segments.contiguous(memory_format=torch.channels_last)
    vocals, accompaniment = (unet(segments).square() + EPS for unet in base)
    return (accompaniment / (vocals + accompaniment)).transpose(0, 1).flatten(1, 2)


def extended(mask):
    """Extends a mask above BINS with the mean of its bins, as in full bandwidth."""
    return torch.cat((mask, mask.mean(-1, keepdim=True).expand(*mask.shape[:-1], FRAME // 2 + 1 - BINS)), -1)


def separate(base, song, split):
    """Returns {stem: samples [2, n]} for the song's folder."""
    def read(name):
        return torch.from_numpy(soundfile.read(song / f"{name}.flac", dtype="float32", always_2d=True)[0].T)
    stems = {name: read(name) for name in STEMS if (song / f"{name}.flac").exists()}
    length = next(iter(stems.values())).shape[1]
    spectra = {name: forward(samples) for name, samples in stems.items()}
    mixture = sum(spectra.values())
    share = share_of_accompaniment(base, mixture.abs())
    power = {name: sum(spectra[part] for part in parts if part in spectra).abs()[..., :BINS].square() + EPS
             for name, parts in SPLITS[split].items()}
    total = sum(power.values())
    masks = {"vocals": 1 - share, **{name: share * values / total for name, values in power.items()}}
    return {name: inverse(mixture * extended(mask), length) for name, mask in masks.items()}


def main():
    parser = argparse.ArgumentParser(prog="finetune.ideal", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="4stems")
    parser.add_argument("--base", type=Path, default=Path("../models/spleeter-2stems"))
    arguments = parser.parse_args()
    base = [net.UNet(net.read(arguments.base / f"{name}.safetensors")).to(memory_format=torch.channels_last)
            for name in ("vocals", "accompaniment")]
    for song in sorted(path.parent for path in arguments.songs.glob("*/song.json")):
        folder = arguments.out / song.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, samples in separate(base, song, arguments.split).items():
            soundfile.write(folder / f"{name}.flac", np.clip(samples.numpy().T, -1, 1), RATE)
        print(song.name, flush=True)


if __name__ == "__main__":
    main()
