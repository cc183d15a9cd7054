# SPDX-License-Identifier: MIT
"""Reads and writes WAV files as NumPy arrays [samples, channels], and makes songs for them."""
import struct

import numpy as np

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def header(data_bytes, rate, channels, bits, tag, mask=0):
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", EXTENSIBLE if mask else tag, channels, rate, rate * frame % 2**32, frame % 2**16, bits)
    if mask:
        fmt += struct.pack("<HHIH", 22, bits, mask, tag) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", min(4 + len(chunks) + data_bytes, 2**32 - 1)) + b"WAVE" + chunks


def write(path, samples, rate=44100, bits=32, mask=0):
    """Writes a WAV file: float32 if `bits` is 32, integers if it is 16."""
    samples = np.atleast_2d(samples.T).T
    if bits == 16:
        data = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    else:
        data = samples.astype("<f4").tobytes()
    with open(path, "wb") as file:
        file.write(header(len(data), rate, samples.shape[1], bits, PCM if bits == 16 else FLOAT, mask) + data)


def parse(content):
    """Returns (samples, rate, bits, mask). A data chunk of unknown length extends to the end."""
    assert content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE"
    at = 12
    while at + 8 <= len(content):
        name, size = content[at:at + 4], struct.unpack("<I", content[at + 4:at + 8])[0]
        body = content[at + 8:at + 8 + size]
        at += 8 + size + size % 2
        if name == b"fmt ":
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            mask = 0
            if tag == EXTENSIBLE:
                mask, tag = struct.unpack("<IH", body[20:26])
        elif name == b"data":
            break
    if bits == 24:
        raw = np.frombuffer(body[:len(body) // 3 * 3], np.uint8).reshape(-1, 3)
        values = np.zeros((len(raw), 4), np.uint8)
        values[:, 1:] = raw
        samples = values.view("<i4")[:, 0] / 2.0**31
    elif bits == 16:
        samples = np.frombuffer(body, "<i2") / 32768.0
    else:
        assert (tag, bits) == (FLOAT, 32)
        samples = np.frombuffer(body, "<f4")
    return samples.reshape(-1, channels), rate, bits, mask


def read(path):
    with open(path, "rb") as file:
        return parse(file.read())


def music(seconds, rate=44100, channels=2, level=0.3, seed=1):
    """Returns something like music, tones that fade in and out and noise: [samples, channels]."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal((t.size, channels)) * 0.05
    voices = [np.sin(2 * np.pi * (110 * (i + 1) + 3 * i) * t[:, None] + np.arange(channels))
              * (0.5 + 0.5 * np.sin(2 * np.pi * (0.3 + 0.1 * i) * t[:, None])) / (i + 1) for i in range(5)]
    return ((sum(voices) / 2 + noise) * level).astype(np.float32)
