#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decodes damaged copies of small files of every format.

The damage: flipped bits, overwritten bytes, blocks swapped, repeated or cut out, changed sizes in
headers, truncation.

Each file must be decoded or refused with a message. A crash or hang of the program is a failure,
and so is a crash or a sandbox violation of its helper. Files that fail are kept.

  mutate.py [--count N] [--seed N] [--keep FOLDER]
"""
import argparse
import collections
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

TOOL = os.environ["SPLEETERD_CODEC_TOOL"]
TIMEOUT_S = 60

SEEDS = {
    "8.wav": ["-c:a", "pcm_u8"], "16.wav": [], "24.wav": ["-c:a", "pcm_s24le", "-ac", "6"],
    "float.wav": ["-c:a", "pcm_f32le"], "adpcm.wav": ["-c:a", "adpcm_ms"], "rf64.wav": ["-rf64", "always"],
    "a.w64": [], "a.aiff": [], "a.au": [], "pcm.caf": [], "alac.caf": ["-c:a", "alac"], "16.flac": [],
    "24.flac": ["-sample_fmt", "s32"], "ogg.oga": ["-c:a", "flac"], "a.mp3": [], "mono.mp3": ["-ac", "1"], "a.mp2": [],
    "aac.m4a": [], "alac.m4a": ["-c:a", "alac"], "pcm.mov": ["-c:a", "pcm_s16be"], "fragmented.mp4":
    ["-movflags", "frag_keyframe+empty_moov"], "a.aac": [], "a.ogg": ["-c:a", "libvorbis"], "a.opus": [], "a.spx": [],
    "a.webm": ["-c:a", "libopus"], "a.mka": ["-c:a", "libvorbis"], "1.wma": ["-c:a", "wmav1"], "2.wma": [], "a.ac3": [],
    "a.eac3": [], "a.dts": ["-strict", "-2", "-ar", "48000"], "a.wv": [], "a.tta": [], "a.ts": ["-c:a", "aac"],
    "a.mpg": ["-c:a", "mp2"], "a.avi": ["-c:a", "mp3"], "a.flv": ["-c:a", "mp3"], "a.mlp": ["-strict", "-2"],
    "a.thd": ["-strict", "-2"], "a.voc": [],
}

# Outcomes by the exit status of codec_tool, the negated spl_status.
OUTCOMES = {0: "decoded", 5: "refused: damaged", 6: "refused: not supported", 9: "refused: limit",
            14: "refused: a sample out of range"}


def make_seeds(folder):
    """Encodes half a second of sound in each format that this ffmpeg can write."""
    sound = folder / "sound.wav"
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", "anoisesrc=d=0.5:a=0.1:seed=1,volume=0.5", "-f", "lavfi", "-i",
                    "sine=f=300:d=0.5", "-filter_complex", "amerge", "-ar", "44100", sound], check=True)
    seeds = {}
    for name, options in SEEDS.items():
        path = folder / name
        done = subprocess.run([*ffmpeg, "-i", sound, *options, path], capture_output=True, check=False)
        if done.returncode == 0:
            seeds[name] = path.read_bytes()
    return seeds


def mutate(content, chance):
    """Returns a damaged copy."""
    data = bytearray(content)
    # Headers are small, but damage to them matters most.
    reach = len(data) if chance.random() < 0.5 else min(len(data), 400)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(reach)
        length = min(chance.choice((1, 2, 4, 8, 64, 512)), len(data) - at)
        kind = chance.randrange(8)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at + length] = chance.randbytes(length)
        elif kind == 2:
            data[at:at + length] = bytes([chance.choice((0, 0x7f, 0x80, 0xff))]) * length
        elif kind == 3:
            number = chance.choice((0, 1, -1, 0x7fffffff, 0x80000000, 0xffff, 0x10000, 44100, len(data)))
            size = chance.choice((2, 4, 8))
            data[at:at + size] = (number % (1 << (8 * size))).to_bytes(size, chance.choice(("big", "little")))
        elif kind == 4:
            other = chance.randrange(len(data))
            data[at:at + length], data[other:other + length] = data[other:other + length], data[at:at + length]
        elif kind == 5:
            data[at:at] = data[at:at + length] * chance.choice((1, 100))
        elif kind == 6:
            del data[at:at + length]
        else:
            del data[chance.randrange(len(data)):]
        reach = min(reach, len(data))
        if reach == 0:
            break
    return bytes(data)


def decode(path):
    """Returns the outcome, and whether it is a failure."""
    try:
        done = subprocess.run([TOOL, "decode", path, "channels=downmix", "limit=60"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "FAILED: hung", True
    message = done.stderr.decode(errors="replace").strip()
    if done.returncode in OUTCOMES:
        warned = done.returncode == 0 and message
        return OUTCOMES[done.returncode] + (" with a warning" if warned else ""), False
    return f"FAILED: {done.returncode}: {message.rpartition(': ')[2]}", True


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("mutate-failures"))
    arguments = parser.parse_args()

    outcomes = collections.Counter()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = pathlib.Path(name)
        seeds = make_seeds(folder)
        names = sorted(seeds)

        def one(index):
            chance = random.Random(f"{arguments.seed} {index}")
            seed = names[index % len(names)]
            content = mutate(seeds[seed], chance)
            path = folder / f"{index}-{seed}"
            path.write_bytes(content)
            outcome, failed = decode(path)
            if failed:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{arguments.seed}-{path.name}").write_bytes(content)
                print(f"{path.name}: {outcome}", flush=True)
            path.unlink()
            return outcome

        outcomes.update(pool.map(one, range(arguments.count)))
        print(f"{arguments.count} files from {len(names)} formats")
    for outcome, count in outcomes.most_common():
        print(f"{count:6}  {outcome}")
    return any(outcome.startswith("FAILED") for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
