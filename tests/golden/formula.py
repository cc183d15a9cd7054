# SPDX-License-Identifier: MIT
"""The inputs and generated weights of the golden data, exactly repeatable on both sides.

make_golden.py feeds both to Spleeter itself; test_golden.py feeds both to our program. Only numpy
is needed, and every number follows from integers and correctly rounded operations, so any machine
gets the same bits.

Inputs. A song of N samples is continued without end: block 0 is the song, block 1 the song
backwards with its channels swapped and a gain of 0.7, block 2 the song again, and so on. An input
is a list of parts, each a stretch of that or a stretch of zeros.

Weights. Element e of tensor t is lo + (hi - lo) * u, in double precision, rounded to float32, where
u is the upper 24 bits of a 32-bit mixing hash of (t, e) divided by 2^24. The ranges of the kernels
are set per layer so that each layer's output has a standard deviation between 0.1 and 10 on the
song (make_golden.py measures and checks that). The ranges of the norms and biases make all tensors,
channels and stems different, so a tensor that is swapped, transposed or left out changes the
result.

Native model folder: see docs/models.md. TensorFlow numbers the layers in the variables' names
through all stems: 7 convolutions, 6 transposed convolutions and 12 batch norms for each stem.
"""

import hashlib
import json
import os
import struct
import subprocess

import numpy as np

# ---------------------------------------------------------------- inputs ----


def decode_song(path):
    """Returns the 16-bit stereo song at `path` as float32 [samples, 2], full scale 1."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "s16le", "-"],
        check=True, stdout=subprocess.PIPE).stdout
    samples = np.frombuffer(raw, dtype="<i2").reshape(-1, 2)
    return samples.astype(np.float32) / np.float32(32768)


def continued_song(song, start, count):
    """Returns `count` samples from `start` of the song continued without end."""
    blocks = (song, song[::-1, ::-1] * np.float32(0.7))
    first, last = start // len(song), (start + count - 1) // len(song)
    both = np.concatenate([blocks[k % 2] for k in range(first, last + 1)])
    start -= first * len(song)
    return both[start:start + count]


def make_input(song, description):
    """Returns the waveform [samples, channels] of the `description` (from cases.json)."""
    parts = []
    for part in description["parts"]:
        if part["from"] == "zeros":
            parts.append(np.zeros((part["count"], 2), np.float32))
        else:
            parts.append(continued_song(song, part["start"], part["count"])
                         * np.float32(part["gain"]))
    waveform = np.concatenate(parts)
    return np.ascontiguousarray(waveform[:, :description["channels"]])


# --------------------------------------------------------------- weights ----


def hash32(tensor, count):
    """Returns `count` hashes of (tensor, 0), (tensor, 1), ... as uint32."""

    def mix(x):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
        return x

    seed = mix(np.array([tensor + 0x9E3779B9], np.uint64).astype(np.uint32))
    return mix(mix(np.arange(count, dtype=np.uint32) + seed) ^ seed)


def uniform(tensor, shape, low, high):
    unit = (hash32(tensor, int(np.prod(shape))) >> np.uint32(8)).astype(np.float64)
    return (low + (high - low) * (unit / 2.0 ** 24)).astype(np.float32).reshape(shape)


FULL_FILTERS = [16, 32, 64, 128, 256, 512]

# Standard deviations of the kernels times the square root of their fan-in, layer by layer. They
# were determined with the song; see the module's description.
FULL_SCALES = {"encoder": [0.08, 1.3, 1.2, 1.3, 1.3, 1.3],
               "decoder": [1.05, 1.1, 1.1, 1.05, 1.05, 1.15], "mask": 3.5}
SOFTMAX_SCALES = {**FULL_SCALES, "mask": 1.0}
OWN_SCALES = {"encoder": [0.055, 1.6, 1.75, 1.5, 1.8, 2.5],
              "decoder": [1.2, 1.15, 1.15, 1.1, 1.05, 1.3], "mask": 3.5}

MODELS = {
    "generated-4stems": dict(
        seed=4000, type="unet.unet", stems=["vocals", "drums", "bass", "other"],
        T=512, F=1024, filters=FULL_FILTERS, conv_activation="ELU", deconv_activation="ELU",
        separation_exponent=2, mask_extension="zeros", scales=FULL_SCALES),
    "generated-5stems": dict(
        seed=5000, type="unet.softmax_unet", stems=["vocals", "piano", "drums", "bass", "other"],
        T=512, F=1024, filters=FULL_FILTERS, conv_activation="ELU", deconv_activation="ELU",
        separation_exponent=2, mask_extension="zeros", scales=SOFTMAX_SCALES),
    "own": dict(
        seed=9000, type="unet.unet", stems=["lead", "backing"],
        T=128, F=512, filters=[5, 12, 20, 24, 28, 40], conv_activation="ReLU",
        deconv_activation="LeakyReLU", separation_exponent=1, mask_extension="average",
        scales=OWN_SCALES),
}


def layers(filters):
    """Returns (name, kernel shape, fan-in, output channels, has a norm) of a U-Net's layers."""
    result = []
    channels = 2
    for i, f in enumerate(filters):
        result.append((f"encoder.{i + 1}", (5, 5, channels, f), 25 * channels, f, True))
        channels = f
    for i, f in enumerate([*filters[4::-1], 1]):
        result.append((f"decoder.{i + 1}", (5, 5, f, channels), 25 * channels / 4, f, True))
        channels = 2 * f
    result.append(("mask", (4, 4, 1, 2), 16, 2, False))
    return result


def net_tensors(model, net):
    """Returns {native name: float32 array} of the network of stem `net`, in the order of the
    layers. It includes encoder.6.norm.*, which only TensorFlow's side stores."""
    tensors = {}
    scales = model["scales"]
    for name, shape, fan_in, out, has_norm in layers(model["filters"]):
        layer, _, number = name.partition(".")
        scale = scales[layer][int(number) - 1] if number else scales[layer]
        reach = scale * (3.0 / fan_in) ** 0.5
        ranges = {"kernel": (shape, -reach, reach), "bias": ((out,), -0.3, 0.3)}
        if has_norm:
            ranges["norm.gamma"] = ((out,), 0.6, 1.4)
            ranges["norm.beta"] = ((out,), -0.4, 0.4)
            ranges["norm.moving_mean"] = ((out,), -0.35, 0.35)
            ranges["norm.moving_variance"] = ((out,), 0.5, 2.0)
        for kind, (tensor_shape, low, high) in ranges.items():
            index = model["seed"] + 100 * net + len(tensors)
            tensors[f"{name}.{kind}"] = uniform(index, tensor_shape, low, high)
    return tensors


def tensorflow_names(net):
    """Returns {native name: name of the variable in Spleeter's checkpoint} of stem `net`."""

    def numbered(layer, k):
        return f"{layer}_{k}" if k else layer

    names = {}
    for n in range(6):
        for layer, tf_layer, norm in (("encoder", "conv2d", n), ("decoder", "conv2d_transpose", 6 + n)):
            per_net = 7 if layer == "encoder" else 6
            for kind in ("kernel", "bias"):
                names[f"{layer}.{n + 1}.{kind}"] = f"{numbered(tf_layer, per_net * net + n)}/{kind}"
            for kind in ("gamma", "beta", "moving_mean", "moving_variance"):
                names[f"{layer}.{n + 1}.norm.{kind}"] = (
                    f"{numbered('batch_normalization', 12 * net + norm)}/{kind}")
    for kind in ("kernel", "bias"):
        names[f"mask.{kind}"] = f"{numbered('conv2d', 7 * net + 6)}/{kind}"
    return names


def spleeter_config(model, model_dir):
    """Returns Spleeter's JSON configuration of `model` as a dict."""
    return {
        "train_csv": "path/to/train.csv", "validation_csv": "path/to/test.csv",
        "model_dir": model_dir, "mix_name": "mix", "instrument_list": model["stems"],
        "sample_rate": 44100, "frame_length": 4096, "frame_step": 1024,
        "T": model["T"], "F": model["F"], "n_channels": 2,
        "separation_exponent": model["separation_exponent"],
        "mask_extension": model["mask_extension"],
        "learning_rate": 1e-4, "batch_size": 4, "training_cache": "training_cache",
        "validation_cache": "validation_cache", "train_max_steps": 1000,
        "throttle_secs": 300, "random_seed": 0, "save_checkpoints_steps": 150,
        "save_summary_steps": 5,
        "model": {"type": model["type"], "params": {
            "conv_activation": model["conv_activation"],
            "deconv_activation": model["deconv_activation"],
            "conv_n_filters": model["filters"]}},
    }


# ---------------------------------------------------- native model folder ----

NATIVE_ACTIVATIONS = {"ELU": "elu", "ReLU": "relu", "LeakyReLU": "leaky_relu"}


def write_net(path, tensors, conv_activation, deconv_activation):
    """Writes the safetensors file of one network and returns its SHA-256."""
    header = {"__metadata__": {"format": "spleeterd-net", "conv_activation": conv_activation,
                               "deconv_activation": deconv_activation}}
    offset = 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape),
                        "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)  # the data start at a multiple of 64
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for piece in (struct.pack("<Q", len(text)), text,
                      *(v.astype("<f4").tobytes() for v in tensors.values())):
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def write_model_folder(model, name, folder):
    """Writes `model` as a model folder of our program."""
    os.makedirs(folder)
    stems = []
    for net, stem in enumerate(model["stems"]):
        tensors = {name: value for name, value in net_tensors(model, net).items()
                   if not name.startswith("encoder.6.norm.")}
        sha256 = write_net(os.path.join(folder, f"{stem}.safetensors"), tensors,
                           NATIVE_ACTIVATIONS[model["conv_activation"]],
                           NATIVE_ACTIVATIONS[model["deconv_activation"]])
        stems.append({"name": stem, "net": f"{stem}.safetensors", "sha256": sha256})
    manifest = {
        "format": "spleeterd-model", "version": 1, "name": name,
        "architecture": model["type"].removeprefix("unet."), "frames": model["T"],
        "bins": model["F"], "sample_rate_hz": 44100, "frame_length": 4096, "frame_step": 1024,
        "mask_extension": model["mask_extension"],
        "separation_exponent": float(model["separation_exponent"]), "stems": stems,
        "licence": "MIT", "source": "generated by tests/golden/formula.py",
    }
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
