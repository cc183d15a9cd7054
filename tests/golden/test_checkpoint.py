# SPDX-License-Identifier: MIT
"""checkpoint.py writes the same bytes as TensorFlow: data/own is TensorFlow's own file with the
same variables."""

import os

import numpy as np

import checkpoint
import formula
import golden


def test_same_bytes_as_tensorflow():
    variables = checkpoint.model_variables(formula.MODELS["own"])
    variables |= {"beta1_power": np.float32(0.5), "beta2_power": np.float32(0.25),
                  "conv2d/bias/Adam": np.full(5, 0.125, np.float32),
                  "conv2d/bias/Adam_1": np.full(5, 0.0625, np.float32)}
    for name, content in checkpoint.checkpoint_files(variables).items():
        with open(os.path.join(golden.DATA, "own", name), "rb") as file:
            assert content == file.read(), name


def test_crc32c():
    assert checkpoint.crc32c(b"123456789") == 0xE3069283
    data = bytes(range(256)) * 100
    state = np.uint32(0xFFFFFFFF)
    for byte in data:
        state = checkpoint.TABLE[(int(state) ^ byte) & 0xFF] ^ state >> np.uint32(8)
    assert checkpoint.crc32c(data) == int(state) ^ 0xFFFFFFFF
