# SPDX-License-Identifier: MIT
"""The golden comparison detects a wrong model: if one setting of a model is changed, every affected
stem falls below 40 dB.

Run this by name; it is not part of the usual tests:

    python3 -m pytest tests/golden/test_golden_can_fail.py
"""

import hashlib
import json
import os
import struct

import pytest

import golden

SNR_WRONG_DB = 40.0


def set_activation(net, **changes):
    """Changes the metadata of a network's safetensors file, given and returned as bytes."""
    length = struct.unpack_from("<Q", net)[0]
    header = json.loads(net[8:8 + length])
    for key, value in changes.items():
        assert header["__metadata__"][key] != value
    header["__metadata__"] |= changes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + net[8 + length:]


def activation(**changes):
    return lambda manifest: None, lambda net: set_activation(net, **changes)


def setting(key, value):
    def change(manifest):
        assert manifest[key] != value
        manifest[key] = value
    return change, lambda net: net


def swap(first, second):
    """Swaps the networks of two stems."""
    def change(manifest):
        one, two = (next(s for s in manifest["stems"] if s["name"] == n) for n in (first, second))
        one["net"], two["net"] = two["net"], one["net"]
    return change, lambda net: net


# case, fault, change, affected stems (None: all)
WRONGS = [
    ("elu_4stems", "conv-leaky", activation(conv_activation="leaky_relu"), None),
    ("elu_4stems", "conv-relu", activation(conv_activation="relu"), None),
    ("elu_4stems", "deconv-leaky", activation(deconv_activation="leaky_relu"), None),
    ("elu_4stems", "deconv-relu", activation(deconv_activation="relu"), None),
    ("elu_4stems", "softmax", setting("architecture", "softmax_unet"), None),
    ("elu_4stems", "swapped", swap("vocals", "drums"), ("vocals", "drums")),
    ("elu_4stems_mwf", "swapped", swap("drums", "other"), ("drums", "other")),
    ("softmax_5stems", "sigmoid", setting("architecture", "unet"), None),
    ("softmax_5stems", "conv-leaky", activation(conv_activation="leaky_relu"), None),
    ("softmax_5stems", "swapped", swap("piano", "bass"), ("piano", "bass")),
    ("own_config", "conv-elu", activation(conv_activation="elu"), None),
    ("own_config", "deconv-elu", activation(deconv_activation="elu"), None),
    ("own_config", "exponent", setting("separation_exponent", 2.0), None),
    ("own_config", "zeros", setting("mask_extension", "zeros"), None),
    ("average_f1536", "bins", setting("bins", 1024), None),
    ("average_f1536", "zeros", setting("mask_extension", "zeros"), None),
    ("average_f1536", "conv-elu", activation(conv_activation="elu"), None),
    ("average_f1536", "deconv-leaky", activation(deconv_activation="leaky_relu"), None),
    ("average_f1536", "swapped", swap("vocals", "accompaniment"), None),
]


def write_wrong_model(right, wrong, change_manifest, change_net):
    os.makedirs(wrong)
    with open(os.path.join(right, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    change_manifest(manifest)
    for stem in manifest["stems"]:
        with open(os.path.join(right, stem["net"]), "rb") as file:
            net = change_net(file.read())
        with open(os.path.join(wrong, stem["net"]), "wb") as file:
            file.write(net)
        stem["sha256"] = hashlib.sha256(net).hexdigest()
    with open(os.path.join(wrong, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file)


@pytest.mark.parametrize("name,what,change,touched", WRONGS, ids=[f"{w[0]}-{w[1]}" for w in WRONGS])
def test_wrong_model_shows(name, what, change, touched, models, tmp_path):
    case = golden.CASES[name]
    wrong = str(tmp_path / "wrong")
    write_wrong_model(models(case["model"], "folder"), wrong, *change)
    stems = golden.separate(case, wrong, str(tmp_path))
    assert not all(m.within_bounds() for m in golden.compare(case, stems))
    snr_db = {stem: golden.snr_of_stem(case, stems, stem) for stem in touched or case["stems"]}
    print(f"{what}:", ", ".join(f"{stem} {db:.1f} dB" for stem, db in snr_db.items()))
    assert max(snr_db.values()) < SNR_WRONG_DB, snr_db
    for path in os.listdir(wrong):
        os.unlink(os.path.join(wrong, path))
