# SPDX-License-Identifier: MIT
"""Tests of fine-tuning: `python -m pytest tests/test_finetune.py` in training/, after setup.sh.
Needs the program in $SPLEETERD (default ../build/spleeterd)."""

import argparse
import json
import os
from pathlib import Path
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
import torch

from finetune import examples, export, ideal, net, objective, train

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("SPLEETERD", REPOSITORY / "build/spleeterd")
BASE = REPOSITORY / "models/spleeter-2stems"
LENGTH = 12 * 44100


@pytest.fixture(scope="module")
def start():
    return net.read(BASE / "accompaniment.safetensors")


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Four songs of noise, with one frequency band per stem. Songs 0 and 25 are held out."""
    folder = tmp_path_factory.mktemp("songs")
    for index in (0, 1, 2, 25):
        rng = np.random.default_rng(index)
        path = folder / f"{index:05d}"
        path.mkdir()
        levels = {}
        for number, stem in enumerate(examples.STEMS):
            if index == 1 and stem == "piano":
                continue
            spectrum = np.fft.rfft(rng.standard_normal((LENGTH, 2)), axis=0)
            spectrum[:number * 8000] = spectrum[(number + 1) * 8000:] = 0
            audio = np.fft.irfft(spectrum, LENGTH, axis=0)
            soundfile.write(path / f"{stem}.flac", 0.1 * audio / audio.std(), 44100, subtype="PCM_16")
            levels[stem] = -20.0
        (path / "song.json").write_text(json.dumps({"rms_db": levels, "seconds": LENGTH / 44100}))
    return folder


@pytest.fixture
def arguments(songs, tmp_path):
    return argparse.Namespace(songs=songs, out=tmp_path / "out", base=BASE, steps=4, batch=1,
                              frames=64, rate=1e-4, clip=1.0, decay=0.99, bf16=False, threads=2, save_every=2,
                              validation_songs=1, seed=1)


def equal(some, others):
    return some.keys() == others.keys() and all((some[name] == others[name]).all() for name in some)


def test_net_files_come_back(start, tmp_path):
    (tmp_path / "net").write_bytes(net.encode(net.UNet(start).tensors(), "F32"))
    assert equal(net.read(tmp_path / "net"), start)
    assert (tmp_path / "net").read_bytes() == (BASE / "accompaniment.safetensors").read_bytes()


def test_half_precision_refuses_what_it_cannot_hold(start):
    with pytest.raises(ValueError, match="encoder.1.bias"):
        net.encode({**start, "encoder.1.bias": start["encoder.1.bias"] + 1e6})


@pytest.mark.parametrize("model", ["4stems", "5stems"])
def test_exported_nets_separate_as_the_objective_does(model, start, songs, tmp_path):
    """The program's stems match those of the networks' masks, so training minimises the true
    error."""
    rng = np.random.default_rng(7)
    nets = {name: {key: values * (1 + 0.05 * rng.standard_normal(values.shape).astype(np.float32)) if "kernel" in key
                   else values for key, values in start.items()} for name in objective.NETS}
    models = tmp_path / "models"
    shutil.copytree(BASE, models / BASE.name)
    export.export(nets, 1, models, "F32")
    mixture = sum(soundfile.read(path, dtype="float32")[0] for path in sorted(songs.glob("00000/*.flac")))
    soundfile.write(tmp_path / "song.wav", mixture, 44100, subtype="FLOAT")
    subprocess.run([PROGRAM, "separate", "song.wav", "-p", models / model, "-o", "out", "--bit-depth", "float"],
                   cwd=tmp_path, check=True, capture_output=True)

    # The program also starts with zeros.
    framed = np.concatenate((np.zeros((4096, 2), np.float32), mixture))
    spectrum = examples.spectra(np.ascontiguousarray(framed[:511 * 1024 + 4096].T))[None]
    with torch.no_grad():
        def power(tensors):
            return net.UNet(tensors)(spectrum.abs()).square() + 1e-10
        vocals, rest = power(net.read(BASE / "vocals.safetensors")), power(start)
        powers = {name: power(nets[name]) for name in objective.SPLITS[model]}
        total = sum(powers.values())
    for stem in export.MODELS[model]:
        expected = (spectrum * rest / (vocals + rest) * powers[stem] / total)[0, :, 8:500]
        got = np.concatenate((np.zeros((4096, 2), np.float32), soundfile.read(tmp_path / f"out/song/{stem}.wav",
                                                                             dtype="float32")[0]))
        got = examples.spectra(np.ascontiguousarray(got[:511 * 1024 + 4096].T))[:, 8:500]
        # A masked spectrum is not the spectrum of any signal, so the inverse transform removes part
        # of it.
        correlation = (got.conj() * expected).sum().real / (got.norm() * expected.norm())
        assert correlation > 0.97, (stem, correlation)
        assert 0.9 < got.norm() / expected.norm() < 1.02, stem


def test_the_objective_is_the_error_below_the_stem(songs):
    """Compares ratios_db() with its definition on complex spectra."""
    stems = examples.batch(examples.Songs(songs), 1, 0, 2, 64)
    targets = objective.prepare(stems)
    rng = torch.Generator().manual_seed(1)
    estimates = {name: torch.rand(targets.magnitudes.shape, generator=rng) for name in objective.NETS}
    share = torch.rand(targets.magnitudes.shape, generator=rng)
    found = objective.ratios_db(estimates, share, targets)
    mixture = stems.sum(1)

    def energy(x):
        return torch.stack([part.abs().square().sum((1, 2, 3)) for part in x.split(32, 2)], 1)
    for split, names in objective.SPLITS.items():
        total = sum(estimates[name] ** 2 for name in names)
        for name, parts in names.items():
            stem = sum(stems[:, examples.STEMS.index(part)] for part in parts)
            error = energy(mixture * share * estimates[name] ** 2 / total - stem)
            floor = 0.01 * energy(mixture)
            expected = 10 * torch.log10((error + floor) / (energy(stem) + floor))
            assert torch.allclose(found[f"{split} {name}"], expected, atol=0.02), (split, name)


def test_true_magnitudes_score_better_than_equal_ones(songs):
    stems = examples.spectra(examples.Songs(songs, held_out=True).fixed(0, 64)[None])
    targets = objective.prepare(stems)
    ideal = {name: stems[:, examples.STEMS.index(name)].abs() for name in objective.NETS}
    equal_ones = {name: torch.ones_like(values) for name, values in ideal.items()}
    share = stems[:, 1:].sum(1).abs() ** 2 / (stems[:, 1:].sum(1).abs() ** 2 + stems[:, 0].abs() ** 2 + 1e-6)
    worse, better = (objective.ratios_db(estimates, share, targets) for estimates in (equal_ones, ideal))
    assert all((better[name] < worse[name] - 6).all() for name in better if name.startswith("5"))


def test_examples(songs):
    found = examples.Songs(songs)
    assert [path.name for path, *_ in found.songs] == ["00001", "00002"]
    assert [path.name for path, *_ in examples.Songs(songs, held_out=True).songs] == ["00000", "00025"]
    drawn = [found.draw(np.random.default_rng(seed), 64) for seed in range(12)]
    assert all(stems.shape == (5, 2, 63 * 1024 + 4096) for stems in drawn)
    assert all(0.39 < np.abs(stems.sum(0)).max() < 1 for stems in drawn)
    assert len({float(stems[1, 0, 0]) for stems in drawn}) == len(drawn)
    assert (found.draw(np.random.default_rng(3), 64) == drawn[3]).all()


def test_equalisers_are_smooth_and_bounded():
    curves = 20 * np.log10([examples.colour(np.random.default_rng(seed)) for seed in range(200)])
    assert 2 < curves.std() < 4 and np.abs(curves).max() < 20
    assert np.abs(np.diff(curves[:, 20:])).max() < 1


def test_a_stopped_training_goes_on_as_if_it_had_not_been(arguments):
    train.Trainer(arguments).run()
    whole = torch.load(arguments.out / "checkpoint.pt")
    shutil.rmtree(arguments.out)

    class Stopped(Exception):
        pass

    def stop(trainer):
        train.Trainer.save(trainer)
        raise Stopped
    trainer = train.Trainer(arguments)
    trainer.save = lambda: stop(trainer)
    with pytest.raises(Stopped):
        trainer.run()
    train.Trainer(arguments).run()
    parts = torch.load(arguments.out / "checkpoint.pt")
    assert parts["step"] == whole["step"] == arguments.steps
    for name in objective.NETS:
        assert equal(whole["nets"][name], parts["nets"][name])
        assert all((a == b).all() for a, b in zip(whole["averages"][name], parts["averages"][name]))
    logged = [json.loads(line) for line in (arguments.out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in logged if "loss" in entry] == [1, 2, 3, 4]


def test_training_lowers_the_loss_and_keeps_what_is_frozen(arguments, start):
    arguments.steps = 12
    trainer = train.Trainer(arguments)
    targets = objective.prepare(examples.batch(trainer.songs, 1, 0, 1, 64))
    losses = [sum(trainer.train_step(targets)[0].values()) for _ in range(12)]
    assert losses[-1] < losses[0] - 1
    trained = trainer.nets["drums"].tensors()
    for name, values in trained.items():
        kept = "norm" in name or name.startswith(("encoder.1.", "encoder.2."))
        assert (values == start[name]).all() == kept, name


def test_a_stem_that_is_silent_counts_for_little(songs):
    stems = examples.spectra(examples.Songs(songs).fixed(0, 64)[None])  # without piano
    targets = objective.prepare(stems)
    assert (targets.presence("5stems", "piano") < 0.01).all() and (targets.presence("5stems", "drums") > 0.8).all()
    ratios = {"5stems piano": torch.full((1, 2), 10.0), "5stems drums": torch.full((1, 2), 10.0)}
    losses = objective.loss(ratios, targets)
    assert 1.4 < losses["5stems piano"] < 1.7 and 8 < losses["5stems drums"] < 10


def test_ideal_masks_split_what_2stems_leaves(songs):
    base = [net.UNet(net.read(BASE / f"{name}.safetensors")) for name in ("vocals", "accompaniment")]
    song = songs / "00000"
    stems = {name: samples.numpy() for name, samples in ideal.separate(base, song, "5stems").items()}
    truth = {name: soundfile.read(song / f"{name}.flac", dtype="float32")[0].T for name in examples.STEMS}
    assert np.abs(sum(stems.values()) - sum(truth.values())).max() < 1e-4
    for number, name in enumerate(examples.STEMS[1:], 1):
        energies = np.square(np.abs(np.fft.rfft(stems[name]))).sum(0)
        energies[:8000] = 0  # the rest of the vocals that 2stems leaves
        assert energies[number * 8000:(number + 1) * 8000].sum() / energies.sum() > 0.95, name
