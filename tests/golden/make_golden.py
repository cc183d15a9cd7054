#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden data: Spleeter's own output for the cases below.

    pip install -r requirements.txt        # Python 3.10, TensorFlow 2.12
    python make_golden.py --checkpoint 2stems --song data/mix.flac data

It runs spleeter.separator.Separator, as `spleeter separate` does, on float32 waveforms, and stores
the windows of its float32 output that make_cases() lists. One .npy for each case and stem: the
windows one after the other, [samples, 2], little-endian float32. cases.json describes how each case
is made.

For the generated models it writes TensorFlow checkpoints with the weights of formula.py, and checks
the statistics of every layer in Spleeter's own graph. The checkpoint of the small model "own" is
stored in the output folder with its configuration.

--references names a folder with whole-song outputs of an earlier run of the same Spleeter for the
cases audio_example_*, float WAV. They then become the golden data, and the agreement of this run
with them is printed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

import formula

SONG_SAMPLES = 479832
SECOND = 44100
HALF = SECOND // 2
QUARTER = SECOND // 4


# The voice only sings from 2.3 s to 9 s of the song. At LOUD it is loud. From LONG it sings at the
# start, at both joins of segments, and at the end of the long cases.
LOUD = 120000
LONG = 200000


def song_input(count, start=0, channels=2, gain=1.0):
    return {"channels": channels,
            "parts": [{"from": "song", "start": start, "count": count, "gain": gain}]}


def first_sample_of_frame(frame):
    """Returns the input sample at which frame `frame` of the STFT begins."""
    return frame * 1024 - 4096


def windows(count, joins, edge, around):
    """Returns the first and last `edge` samples, and `around` samples on each side of each join.
    Overlapping windows are merged."""
    wanted = [(0, edge), *((j - around, j + around) for j in joins), (count - edge, count)]
    merged = []
    for start, end in sorted((max(0, s), min(count, e)) for s, e in wanted):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


JOIN1, JOIN2 = first_sample_of_frame(512), first_sample_of_frame(1024)


def case(name, model, input_description, windows_kept=None, mwf=False, why=""):
    count = sum(part["count"] for part in input_description["parts"])
    return {"name": name, "why": why, "model": model, "mwf": mwf, "samples": count,
            "input": input_description, "windows": windows_kept or [[0, count]]}


def make_cases():
    song = song_input(SONG_SAMPLES)
    parts = [[0, SECOND], [5 * SECOND, 7 * SECOND], [SONG_SAMPLES - SECOND, SONG_SAMPLES]]
    cases = [
        case("audio_example_2stems", "2stems", song, why="a whole song"),
        case("audio_example_16khz", "2stems-16kHz", song, parts, why="F = 1536"),
        case("audio_example_mwf", "2stems", song, parts, mwf=True, why="Wiener filter"),
    ]
    for count in (1, 4095, 4096, 4097):
        cases.append(case(f"samples_{count}", "2stems", song_input(count, start=LOUD),
                          why="shorter than, as long as, longer than one frame"))
    for frames, count in ((511, JOIN1 - 1024), (512, JOIN1), (513, JOIN1 + 1), (1025, JOIN2 + 700)):
        joins = [j for j in (JOIN1, JOIN2) if j < count]
        cases.append(case(f"frames_{frames}", "2stems", song_input(count, LONG),
                          windows(count, joins, SECOND if frames > 512 else HALF, SECOND),
                          why="segments of 512 frames: just not one, one, two, three"))
    gap = {"channels": 2, "parts": [
        {"from": "song", "start": 100000, "count": 100000, "gain": 1.0},
        {"from": "zeros", "count": 1000000},
        {"from": "song", "start": 250000, "count": 50000, "gain": 1.0}]}
    count = JOIN1 + 3000
    cases += [
        case("silence_between", "2stems", gap,
             [[95000, 105000], [JOIN1 - 1000, JOIN1 + 1000], [JOIN2 - 1000, JOIN2 + 1000], [1095000, 1150000]],
             why="the middle segment is digital silence"),
        case("mono", "2stems", song_input(HALF, start=100000, channels=1), why="one channel is doubled"),
        case("average_f1536", "2stems-average", song_input(count, LONG), windows(count, [JOIN1], SECOND, SECOND),
             why="mask_extension average with F = 1536"),
        case("mwf_frames_1025", "2stems", song_input(JOIN2 + 700, LONG),
             windows(JOIN2 + 700, [JOIN1, JOIN2], SECOND, SECOND), mwf=True,
             why="the Wiener filter's covariances are those of the whole song"),
        case("mwf_quiet", "2stems", song_input(HALF, start=LOUD, gain=2.0 ** -10), mwf=True,
             why="the Wiener filter does not scale down, and its regularization counts"),
        case("elu_4stems", "generated-4stems", song_input(count, LONG), windows(count, [JOIN1], HALF, SECOND),
             why="ELU in both directions, four stems"),
        case("elu_4stems_mwf", "generated-4stems", song_input(QUARTER, start=50000), mwf=True,
             why="Wiener filter with four stems"),
        case("softmax_5stems", "generated-5stems", song_input(count, LONG), windows(count, [JOIN1], HALF, HALF),
             why="softmax over five stems"),
        case("own_config", "own", song_input(300000, LONG),
             windows(300000, [first_sample_of_frame(128 * k) for k in (1, 2)], QUARTER, QUARTER),
             why="own configuration: T, F, filters, activations, exponent 1, average"),
    ]
    return cases


# ------------------------------------------------------------ models -------


def official_model(checkpoint, models_path):
    """Puts Deezer's 2stems into Spleeter's model folder."""
    folder = os.path.join(models_path, "2stems")
    os.makedirs(folder)
    for name in os.listdir(checkpoint):
        os.symlink(os.path.abspath(os.path.join(checkpoint, name)), os.path.join(folder, name))
    with open(os.path.join(folder, ".probe"), "w", encoding="ascii") as file:
        file.write("OK")


def graph_of(tf, params):
    """Builds Spleeter's own graph for `params` in the current tf.Graph."""
    from spleeter.model import EstimatorSpecBuilder, InputProviderFactory

    features = InputProviderFactory.get(params).get_input_dict_placeholders()
    waveform = features["waveform"]
    builder = EstimatorSpecBuilder(features, params)
    outputs = builder.outputs
    return waveform, builder, outputs


def generated_model(tf, name, models_path, song):
    """Writes the checkpoint and configuration of a model of formula.py, and checks its layers."""
    model = formula.MODELS[name]
    folder = os.path.join(models_path, name)
    os.makedirs(folder)
    config = formula.spleeter_config(model, name)
    config_path = os.path.join(folder, f"{name}.json")
    with open(config_path, "w", encoding="ascii") as file:
        json.dump(config, file, indent=4)
        file.write("\n")

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        waveform, builder, _ = graph_of(tf, {**config, "MWF": False})
        values = {}
        for net in range(len(model["stems"])):
            names = formula.tensorflow_names(net)
            for native, value in formula.net_tensors(model, net).items():
                values[names[native]] = value
        step = tf.compat.v1.train.get_or_create_global_step()
        variables = {v.op.name: v for v in tf.compat.v1.global_variables()}
        del variables[step.op.name]
        assert set(variables) == set(values), sorted(set(variables) ^ set(values))
        session.run(tf.compat.v1.global_variables_initializer())
        saved = [step, *variables.values()]
        for key, variable in variables.items():
            assert tuple(variable.shape) == values[key].shape, key
            variable.load(values[key], session)
        # Adds optimizer slots, as training does.
        if name == "own":
            saved += [tf.compat.v1.Variable(np.full(shape, value, np.float32), name=slot)
                      for slot, shape, value in (("beta1_power", (), 0.5), ("beta2_power", (), 0.25),
                                                 ("conv2d/bias/Adam", (5,), 0.125),
                                                 ("conv2d/bias/Adam_1", (5,), 0.0625))]
            session.run([v.initializer for v in saved[-4:]])
        tf.compat.v1.train.Saver(saved, save_relative_paths=True).save(
            session, os.path.join(folder, "model"), write_meta_graph=False)
        check_layers(model, session, builder, waveform, song)
    with open(os.path.join(folder, ".probe"), "w", encoding="ascii") as file:
        file.write("OK")
    return config_path


def check_layers(model, session, builder, waveform, song):
    """Prints and checks the statistics of each layer of Spleeter's graph on the song."""
    graph = session.graph

    def output_of(variable):
        layer = variable.partition("/")[0]
        return graph.get_tensor_by_name(f"{layer}/BiasAdd:0")

    names = [n for n, *_ in formula.layers(model["filters"])]
    tensors = [[output_of(formula.tensorflow_names(net)[f"{n}.kernel"]) for n in names]
               for net in range(len(model["stems"]))]
    masks = [builder.masks[stem][:, :model["F"]] for stem in model["stems"]]
    deviations, shares = [], []
    for net, stem in enumerate(model["stems"]):
        found, mask = session.run([tensors[net], masks[net]], {waveform: song})
        deviation = [float(x.std(dtype=np.float64)) for x in found]
        share = float(np.mean((mask > 0.05) & (mask < 0.95)))
        print(f"  {stem:10s} std of layers", " ".join(f"{d:.2f}" for d in deviation),
              f"| masks: {100 * share:.0f} % within 0.05..0.95, percentiles 1 50 99:",
              " ".join(f"{p:.3f}" for p in np.percentile(mask, (1, 50, 99))), flush=True)
        deviations += deviation
        shares.append(share)
    print(f"  all layers: std {min(deviations):.2f} to {max(deviations):.2f}", flush=True)
    assert 0.1 <= min(deviations) and max(deviations) <= 10, "scales of formula.py are off"
    assert min(shares) >= 0.3, "masks are saturated"


# ------------------------------------------------------------- running ------


def read_float_wav(path):
    raw = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "f32le", "-"],
                         check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 2)


def snr_db(expected, got):
    noise = np.sum((expected.astype(np.float64) - got) ** 2)
    return 10 * np.log10(np.sum(expected.astype(np.float64) ** 2) / max(noise, 1e-300))


def keep(case_, outputs):
    return np.concatenate([outputs[start:end] for start, end in case_["windows"]]).astype("<f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", required=True, help="folder of Deezer's 2stems checkpoint")
    parser.add_argument("--song", required=True, help="mix.flac")
    parser.add_argument("--references", help="folder with earlier outputs, MODEL.STEM.wav")
    parser.add_argument("--only", nargs="*", help="names of cases; cases.json is not written then")
    parser.add_argument("output")
    args = parser.parse_args()

    work = tempfile.mkdtemp(prefix="golden-")
    models_path = os.path.join(work, "models")
    os.environ["MODEL_PATH"] = models_path
    official_model(args.checkpoint, models_path)

    import spleeter.separator  # reads MODEL_PATH
    import tensorflow as tf
    from importlib.metadata import version
    from spleeter.utils.configuration import load_configuration

    versions = {"python": sys.version.split()[0],
                **{p: version(p) for p in ("spleeter", "tensorflow", "norbert", "numpy")}}
    print(versions, flush=True)
    song = formula.decode_song(args.song)
    assert len(song) == SONG_SAMPLES
    os.makedirs(args.output, exist_ok=True)
    cases = [c for c in make_cases() if not args.only or c["name"] in args.only]

    average = load_configuration("spleeter:2stems-16kHz") | {"mask_extension": "average"}
    average_path = os.path.join(work, "2stems-average.json")
    with open(average_path, "w", encoding="ascii") as file:
        json.dump(average, file)
    descriptors = {"2stems": "spleeter:2stems", "2stems-16kHz": "spleeter:2stems-16kHz",
                   "2stems-average": average_path}
    for name in formula.MODELS:
        if any(c["model"] == name for c in cases):
            print(f"{name}:", flush=True)
            descriptors[name] = generated_model(tf, name, models_path, song)

    for c in cases:
        waveform = formula.make_input(song, c["input"])
        started = time.monotonic()
        separator = spleeter.separator.Separator(descriptors[c["model"]], MWF=c["mwf"], multiprocess=False)
        outputs = separator.separate(waveform)
        c["stems"] = list(load_configuration(descriptors[c["model"]])["instrument_list"])
        report = f"{time.monotonic() - started:.1f} s"
        for stem in c["stems"]:
            output = outputs[stem]
            assert output.shape == (c["samples"], 2) and output.dtype == np.float32
            assert np.isfinite(output).all()
            if args.references and c["name"].startswith("audio_example_"):
                kind = {"audio_example_mwf": "2stems-mwf"}.get(c["name"], c["model"])
                golden = read_float_wav(os.path.join(args.references, f"{kind}.{stem}.wav"))
                report += (f", {stem}: this run agrees to {snr_db(golden, output):.1f} dB,"
                           f" largest difference {np.abs(golden - output).max():.1e}")
                output = golden
            kept = keep(c, output)
            report += f", {stem} rms {np.sqrt(np.mean(kept.astype(np.float64) ** 2)):.2e}"
            np.save(os.path.join(args.output, f"{c['name']}.{stem}.npy"), kept)
        print(f"{c['name']}: {report}", flush=True)

    if not args.only:
        with open(os.path.join(args.output, "cases.json"), "w", encoding="ascii") as file:
            json.dump({"versions": versions, "cases": cases}, file, indent=1)
            file.write("\n")
        own = os.path.join(args.output, "own")
        shutil.rmtree(own, ignore_errors=True)
        os.makedirs(own)
        for name in os.listdir(os.path.join(models_path, "own")):
            if name != ".probe":
                shutil.copyfile(os.path.join(models_path, "own", name), os.path.join(own, name))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
