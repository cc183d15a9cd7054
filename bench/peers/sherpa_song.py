# SPDX-License-Identifier: MIT
"""Separates a song with sherpa-onnx: sherpa_song.py VOCALS.onnx ACCOMPANIMENT.onnx SONG FOLDER [npy]

Decodes with ffmpeg and writes 16-bit WAV, or with `npy` its float samples as .npy [samples, 2].
The sherpa-onnx packages have no command for this, so this is the shortest program that does the
same work as the others. Prints {"separation_s": time of sherpa-onnx itself, with its model loaded}.
"""

import json
import os
import subprocess
import sys
import time
import wave

import numpy as np
import sherpa_onnx

RATE = 44100


def load(vocals, accompaniment):
    model = sherpa_onnx.OfflineSourceSeparationModelConfig(
        spleeter=sherpa_onnx.OfflineSourceSeparationSpleeterModelConfig(vocals=vocals, accompaniment=accompaniment),
        num_threads=len(os.sched_getaffinity(0)))
    return sherpa_onnx.OfflineSourceSeparation(sherpa_onnx.OfflineSourceSeparationConfig(model=model))


def decode(path):
    raw = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "f32le", "-ar", str(RATE), "-ac", "2", "-"],
                         check=True, stdout=subprocess.PIPE).stdout
    return np.ascontiguousarray(np.frombuffer(raw, "<f4").reshape(-1, 2).T)


def write_wav(path, samples):
    with wave.open(path, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes())


def main(vocals, accompaniment, song, folder, kind="wav"):
    separation = load(vocals, accompaniment)
    samples = decode(song)
    start = time.monotonic()
    stems = separation.process(RATE, samples).stems
    separation_s = time.monotonic() - start
    os.makedirs(folder, exist_ok=True)
    for name, stem in zip(("vocals", "accompaniment"), stems):
        path = os.path.join(folder, f"{name}.{kind}")
        (np.save if kind == "npy" else write_wav)(path, np.array(stem.data).T)
    print(json.dumps({"separation_s": separation_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
