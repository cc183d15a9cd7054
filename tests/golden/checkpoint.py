# SPDX-License-Identifier: MIT
"""Writes TensorFlow v1 checkpoints without TensorFlow, byte for byte as its Saver does
(test_checkpoint.py compares them), and archives of them in the layout of Deezer's releases."""

import hashlib
import io
import json
import os
import struct
import tarfile

import numpy as np

import formula

# ------------------------------------------------------------- CRC-32C ----


def _make_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> np.uint32(1) ^ np.uint32(0x82F63B78), table >> np.uint32(1))
    return table


TABLE = _make_table()
# The parts of the data whose CRCs are computed in parallel.
CHUNKS = 4096


def _feed(crc, rows):
    """Returns the raw register of each column of `rows`, uint8 [bytes, columns], starting from
    `crc`."""
    for row in rows:
        crc = TABLE[(crc ^ row) & np.uint32(0xFF)] ^ crc >> np.uint32(8)
    return crc


def crc32c(data):
    data = np.frombuffer(data, np.uint8)
    length = len(data) // CHUNKS
    state = np.uint32(0xFFFFFFFF)
    if length:
        parts = _feed(np.zeros(CHUNKS, np.uint32), data[:length * CHUNKS].reshape(CHUNKS, length).T)
        # The effect of `length` zero bytes on each bit of the register, in which the CRC is linear.
        bits = _feed(np.uint32(1) << np.arange(32, dtype=np.uint32), np.zeros((length, 1), np.uint8))
        for part in parts:
            state = np.bitwise_xor.reduce(bits[(state >> np.arange(32, dtype=np.uint32)) & 1 == 1], initial=0) ^ part
    for byte in data[length * CHUNKS:]:
        state = TABLE[(state ^ byte) & np.uint32(0xFF)] ^ state >> np.uint32(8)
    return int(state) ^ 0xFFFFFFFF


def masked_crc32c(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# --------------------------------------------------------------- index ----


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """Encodes a field of a protocol buffer: bytes, or an integer, which is omitted if it is 0."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value) if value else b""


TYPES = {np.dtype("float32"): 1, np.dtype("int64"): 9}


def bundle_entry(value, offset):
    shape = b"".join(field(2, field(1, size)) for size in value.shape)
    return (field(1, TYPES[value.dtype]) + field(2, shape) + field(4, offset) + field(5, value.nbytes)
            + varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(value.tobytes())))


def table_block(entries, restart_interval):
    out, restarts, before = bytearray(), [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_interval == 0:
            restarts.append(len(out))
        else:
            shared = len(os.path.commonprefix([before, key]))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return bytes(out) + b"".join(struct.pack("<I", r) for r in [*restarts, len(restarts)])


def table_file(entries):
    """Encodes a LevelDB table of one uncompressed data block."""
    out = bytearray()

    def add_block(block):
        handle = varint(len(out)) + varint(len(block))
        out.extend(block + b"\0" + struct.pack("<I", masked_crc32c(block + b"\0")))
        return handle

    data = add_block(table_block(entries, 16))
    metaindex = add_block(table_block([], 1))
    successor = bytes([entries[-1][0][0] + 1])
    index = add_block(table_block([(successor, data)], 1))
    return bytes(out) + (metaindex + index).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


# --------------------------------------------------------- checkpoints ----


def checkpoint_files(variables):
    """Returns {file name: bytes} of a checkpoint with `variables`, {name: array}."""
    data, entries = io.BytesIO(), [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(variables):
        value = np.asarray(variables[name])
        entries.append((name.encode(), bundle_entry(value, data.tell())))
        data.write(value.tobytes())
    return {
        "checkpoint": b'model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n',
        "model.data-00000-of-00001": data.getvalue(),
        "model.index": table_file(entries),
    }


def model_variables(model):
    """Returns the variables of a model of formula.MODELS under Spleeter's names, with the step
    counter."""
    variables = {"global_step": np.int64(0)}
    for net in range(len(model["stems"])):
        names = formula.tensorflow_names(net)
        for native, value in formula.net_tensors(model, net).items():
            variables[names[native]] = value
    return variables


def write_release(folder, archives):
    """Writes a release: NAME.tar.gz for each (NAME, {file: bytes}), and checksum.json."""
    os.makedirs(folder, exist_ok=True)
    checksums = {}
    for name, files in archives.items():
        path = os.path.join(folder, f"{name}.tar.gz")
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for file in ("checkpoint", "model.data-00000-of-00001", "model.index", "model.meta"):
                content = files.get(file, b"a graph that nobody reads")
                member = tarfile.TarInfo(file)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        with open(path, "rb") as file:
            checksums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    with open(os.path.join(folder, "checksum.json"), "w", encoding="ascii") as file:
        json.dump(checksums, file)
