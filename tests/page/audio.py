# SPDX-License-Identifier: MIT
"""Samples of files, and of the audio that a page has played."""
import io
import wave

import numpy as np


def read_wav(content):
    """Returns [samples, channels] of a 16-bit WAV file, from -1 to 1. The file must have a known
    length."""
    with wave.open(io.BytesIO(content)) as file:
        assert file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels()) / 32768


def recording(page):
    """Returns the audio played since the last call: [samples, 2], without gaps."""
    blocks = page.evaluate("() => recorded.splice(0).map(([frame, left, right]) => [frame, Array.from(left), Array.from(right)])")
    frames = [block[0] for block in blocks]
    assert np.all(np.diff(frames) == 4096), "the recorder has missed blocks"
    return np.stack([np.concatenate([block[channel] for block in blocks]) for channel in (1, 2)], axis=1)


def place(played, content):
    """Finds `content` in `played`. Returns the lag of the best fit in samples, and its correlation
    (1: identical)."""
    size = 1 << int(np.ceil(np.log2(len(played) + len(content))))
    product = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(content, size)), size)
    lag = int(np.argmax(product))
    lag -= size if lag >= len(played) else 0
    part = played[max(lag, 0):lag + len(content)]
    other = content[max(-lag, 0):][:len(part)]
    return lag, float(np.dot(part, other) / np.sqrt(np.dot(part, part) * np.dot(other, other) + 1e-20))


def decibels_apart(one, other):
    """Returns the energy of the first signal relative to that of the difference, in dB."""
    return 10 * np.log10(np.sum(one ** 2) / max(np.sum((one - other) ** 2), 1e-20))
