# SPDX-License-Identifier: MIT
"""Reads our network files; see docs/models.md. Needs only NumPy, so that every environment can use
it."""

import json
import struct

import numpy as np


def read_safetensors(path):
    """({name: array}, metadata) of a safetensors file of float32 tensors."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors, metadata
