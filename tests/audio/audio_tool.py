# SPDX-License-Identifier: MIT
"""Shared by the tests of the audio module: codec_tool, ffmpeg as the reference, and test signals.

The programs are $SPLEETERD_CODEC_TOOL and, through it, $SPLEETER_CODEC.
"""
import os
import pathlib
import subprocess
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

TOOL = os.environ["SPLEETERD_CODEC_TOOL"]
RATE = 44100

# Exit statuses of codec_tool: the negated spl_status.
ARGUMENT, IO, FORMAT, UNSUPPORTED, LIMIT, HELPER, NO_SPACE, BUDGET, SAMPLE, EXHAUSTED = 1, 3, 5, 6, 9, 11, 12, 13, 14, 15


def ffmpeg(*arguments, **keywords):
    """Runs ffmpeg and returns what it writes to standard output."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    if "input" in keywords:
        command.remove("-nostdin")
    done = subprocess.run(command, capture_output=True, check=True, **keywords)
    return done.stdout


def tool(*arguments, **keywords):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, timeout=120, **keywords)


def samples(raw, channels):
    return np.frombuffer(raw, "<f4").reshape(-1, channels)


def reference(path, *options):
    """Returns the samples as ffmpeg decodes them to 44,100 Hz, interleaved."""
    raw = ffmpeg("-i", path, "-map", "0:a", "-ar", RATE, *options, "-f", "f32le", "-")
    return np.frombuffer(raw, "<f4")


def decode(path, *options):
    """Returns the samples as codec_tool decodes them, interleaved."""
    done = tool("decode", path, *options)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, "<f4")


def description(text):
    return dict(line.split("=", 1) for line in text.decode().splitlines())


def info(path):
    done = tool("info", path)
    assert done.returncode == 0, done.stderr.decode()
    return description(done.stdout)


def decode_and_describe(path):
    """Returns what decode() and info() return, from one run."""
    done = tool("decode", path, "info=1")
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, "<f4"), description(done.stderr)


def snr_db(expected, actual):
    """Returns the signal-to-noise ratio of `actual` against `expected`, of the same shape; infinite
    if they are equal."""
    noise = np.sum(np.square(expected.astype("f8") - actual))
    return np.inf if noise == 0 else 10 * np.log10(np.sum(np.square(expected.astype("f8"))) / noise)


def music(seconds, channels=2, seed=1):
    """Returns a sweep with noise of varying loudness, different in each channel. Nothing repeats,
    so only one alignment fits."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    result = np.empty((len(time), channels), "f4")
    for channel in range(channels):
        sweep = np.sin(2 * np.pi * (100 * (channel + 1) + 400 * time) * time)
        noise = generator.standard_normal(len(time))
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (3 + channel) * time)
        result[:, channel] = 0.3 * swell * sweep + 0.05 * noise
    return result


def make(path, signal, *options, rate=None):
    """Encodes `signal` with ffmpeg."""
    rate_options = ["-ar", rate] if rate else []
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", signal.shape[1], "-i", "-", *rate_options, *options, path,
           input=signal.tobytes())
    return path


def offset_of(expected, actual):
    """Returns the delay of `actual` after `expected` in samples, by cross-correlation of the first
    channels."""
    size = 1 << int(np.ceil(np.log2(len(expected) + len(actual))))
    spectrum = np.conj(np.fft.rfft(expected[:, 0], size)) * np.fft.rfft(actual[:, 0], size)
    at = int(np.argmax(np.fft.irfft(spectrum, size)))
    return at - size if at > size // 2 else at
