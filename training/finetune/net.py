# SPDX-License-Identifier: MIT
"""Spleeter's U-Net in PyTorch, and its files (docs/models.md: net files)."""

import json
import struct

import numpy as np
import torch
import torch.nn.functional as F

DEPTH = 6
NORM_EPS = 1e-3
LEAK = 0.2
METADATA = {"format": "spleeterd-net", "conv_activation": "leaky_relu", "deconv_activation": "relu"}
KERNELS = 4  # number of dimensions of a kernel tensor
TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def read(path):
    """Reads a network file: {name: float32 array}, with the shapes in the file."""
    content = path.read_bytes()
    size, = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + size])
    if header.pop("__metadata__") != METADATA:
        raise ValueError(f"{path}: not a net with leaky ReLU in the encoder and ReLU in the decoder")
    return {name: np.frombuffer(content[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]],
                                TYPES[entry["dtype"]]).reshape(entry["shape"]).astype(np.float32)
            for name, entry in header.items()}


def encode(tensors, kind="F16"):
    """Returns the bytes of a network file with `tensors`, arrays by name, stored as numbers of type
    `kind`."""
    header, data = {"__metadata__": METADATA}, bytearray()
    for name, values in tensors.items():
        with np.errstate(over="ignore"):
            stored = values.astype(TYPES[kind])
        if not np.isfinite(stored).all():
            raise ValueError(f"{name} has numbers that are not finite as {kind}")
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + stored.nbytes]}
        data += stored.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + bytes(data)


class UNet(torch.nn.Module):
    """Maps magnitudes [batch, 2, frames, bins] to an estimate of the stem's; frames and bins are
    multiples of 64.

    The norms and the encoder's first SHARED layers are not trained, so networks with the same start
    have the same shared().
    """

    SHARED = 2

    def __init__(self, tensors):
        super().__init__()
        self.shapes = {name: values.shape for name, values in tensors.items()}
        for name, values in tensors.items():
            values = torch.from_numpy(values.copy())
            if values.dim() == KERNELS:  # [rows, columns, in, out] or [rows, columns, out, in]
                values = values.permute(3, 2, 0, 1).contiguous()
            kept = "norm" in name or name.startswith(tuple(f"encoder.{n}." for n in range(1, self.SHARED + 1)))
            key = name.replace(".", "_")
            if kept:
                self.register_buffer(key, values)
            else:
                self.register_parameter(key, torch.nn.Parameter(values))

    def tensors(self):
        """Returns {name: array} in the format of read()."""
        found = {}
        for name, shape in self.shapes.items():
            values = getattr(self, name.replace(".", "_")).detach()
            if values.dim() == KERNELS:
                values = values.permute(2, 3, 1, 0)
            found[name] = values.contiguous().numpy().reshape(shape)
        return found

    def _part(self, layer, name):
        return getattr(self, f"{layer}_{name}")

    def _norm(self, x, layer):
        scale = self._part(layer, "norm_gamma") * torch.rsqrt(self._part(layer, "norm_moving_variance") + NORM_EPS)
        shift = self._part(layer, "norm_beta") - self._part(layer, "norm_moving_mean") * scale
        return torch.addcmul(shift[:, None, None].to(x.dtype), x, scale[:, None, None].to(x.dtype))

    def _encode(self, x, n):
        layer = f"encoder_{n}"
        return F.conv2d(F.pad(x, (1, 2, 1, 2)), self._part(layer, "kernel"), self._part(layer, "bias"), stride=2)

    def _activate(self, x, n):
        return F.leaky_relu(self._norm(x, f"encoder_{n}"), LEAK)

    @torch.no_grad()
    def shared(self, magnitudes):
        """Returns the output of the first SHARED layers: the skip connections, and the next layer's
        input."""
        x, skips = magnitudes, []
        for n in range(1, self.SHARED + 1):
            skips.append(self._encode(x, n))
            x = self._activate(skips[-1], n)
        return skips, x

    def forward(self, magnitudes, shared=None):
        skips, x = shared or self.shared(magnitudes)
        skips = list(skips)
        for n in range(self.SHARED + 1, DEPTH):
            skips.append(self._encode(x, n))
            x = self._activate(skips[-1], n)
        x = self._encode(x, DEPTH)
        for n in range(1, DEPTH + 1):
            layer = f"decoder_{n}"
            x = F.conv_transpose2d(x, self._part(layer, "kernel"), self._part(layer, "bias"), stride=2, padding=1)
            x = self._norm(F.relu(x[:, :, :-1, :-1]), layer)
            if n < DEPTH:
                x = torch.cat((skips[DEPTH - 1 - n], x), 1)
        return torch.sigmoid(F.conv2d(x, self.mask_kernel, self.mask_bias, padding=3, dilation=2)) * magnitudes
