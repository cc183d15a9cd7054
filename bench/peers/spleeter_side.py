# SPDX-License-Identifier: MIT
"""The steps that use Spleeter's own code and TensorFlow; runs in Spleeter's environment.

    spleeter_side.py checkpoint NATIVE_MODEL_FOLDER CHECKPOINT_FOLDER
        writes our model folder as a TensorFlow checkpoint for Spleeter
    spleeter_side.py stems MODEL SONG FOLDER
        writes Spleeter's stems of a song, before conversion to integers: FOLDER/STEM.npy,
        float32 [samples, 2]
    spleeter_side.py net CHECKPOINT_FOLDER SONG SECONDS FOLDER
        writes FOLDER/x.npy, one segment of the song's magnitudes [512, 1024, 2] from SECONDS on,
        and FOLDER/y.npy, the output of Spleeter's first network for it
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden"))

import formula
from safetensors_file import read_safetensors

FRAMES, BINS, FRAME_LENGTH, FRAME_STEP, RATE = 512, 1024, 4096, 1024, 44100


def write_checkpoint(native, folder):
    with open(os.path.join(native, "manifest.json"), encoding="utf-8") as file:
        stems = json.load(file)["stems"]
    os.makedirs(folder)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.get_or_create_global_step()
        for net, stem in enumerate(stems):
            tensors, _ = read_safetensors(os.path.join(native, stem["net"]))
            unused = np.zeros_like(tensors["encoder.6.bias"])  # encoder.6.norm: no output depends on it
            for name, variable in formula.tensorflow_names(net).items():
                tf.compat.v1.get_variable(variable, initializer=tensors.get(name, unused))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(save_relative_paths=True).save(
            session, os.path.join(folder, "model"), write_meta_graph=False)
    with open(os.path.join(folder, ".probe"), "w", encoding="ascii") as file:
        file.write("OK")  # marks a complete download for Spleeter


def load_song(path):
    from spleeter.audio.adapter import AudioAdapter

    return AudioAdapter.default().load(path, sample_rate=RATE)[0]


def write_stems(model, song, folder):
    from spleeter.separator import Separator

    for stem, samples in Separator(model, multiprocess=False).separate(load_song(song)).items():
        np.save(os.path.join(folder, f"{stem}.npy"), samples)


def write_net(checkpoint, song, seconds, folder):
    from spleeter.model.functions.unet import apply_unet

    start = int(float(seconds) * RATE)
    samples = load_song(song)[start:start + FRAME_LENGTH + (FRAMES - 1) * FRAME_STEP]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        spectrum = tf.signal.stft(samples.T, FRAME_LENGTH, FRAME_STEP)  # [2, frames, 2049]
        x = tf.transpose(tf.abs(spectrum)[:, :, :BINS], (1, 2, 0))[None]
        y = apply_unet(x, "vocals_spectrogram", {})
        tf.compat.v1.train.Saver().restore(session, tf.train.latest_checkpoint(checkpoint))
        for name, value in zip("xy", session.run([x, y])):
            np.save(os.path.join(folder, f"{name}.npy"), value[0])


if __name__ == "__main__":
    {"checkpoint": write_checkpoint, "stems": write_stems, "net": write_net}[sys.argv[1]](*sys.argv[2:])
