# SPDX-License-Identifier: MIT
"""The models that ship with 2stems: 4stems and 5stems."""
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import wav
from conftest import SONG, db

MODELS = pathlib.Path(os.environ["SPLEETER_MODEL_PATH"])
STEMS = {"4stems": ["vocals", "drums", "bass", "other"], "5stems": ["vocals", "piano", "drums", "bass", "other"]}
MAX_BYTES = 220e6


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """The first 14 s of the bundled song, which is more than one segment."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    path = tmp_path_factory.mktemp("song") / "song.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "1", "-i", SONG, "-t", "14", "-c:a", "pcm_f32le", path], check=True)
    return path


def stems_of(folder):
    return {path.stem: wav.read(path)[0] for path in (folder / "song").glob("*.wav")}


@pytest.mark.parametrize("model", STEMS)
def test_stems(separate, spleeterd, song, tmp_path, model):
    """The stems sum to the mixture. The vocals are bit for bit those of 2stems, so the other stems
    sum to its accompaniment."""
    result = separate(song, "-p", model, "--bit-depth", "float")
    assert f"with {model}, weights " in result.err
    spleeterd("separate", song, "--bit-depth", "float", "-o", "two")
    mixture, stems, two = wav.read(song)[0], stems_of(tmp_path / "out"), stems_of(tmp_path / "two")
    assert sorted(stems) == sorted(STEMS[model])
    assert db(sum(stems.values()) - mixture, mixture) < -100
    assert (tmp_path / "out/song/vocals.wav").read_bytes() == (tmp_path / "two/song/vocals.wav").read_bytes()
    rest = sum(audio for name, audio in stems.items() if name != "vocals")
    assert db(rest - two["accompaniment"], two["accompaniment"]) < -100


def test_each_stem_is_where_it_should_be(separate, tmp_path):
    """Clicks, a low sine and a high chord, one after the other. Each is loudest in its own stem."""
    rate, rng = 44100, np.random.default_rng(1)
    t = np.arange(4 * rate) / rate
    beat = t % 0.5
    drums = rng.standard_normal(t.size) * np.exp(-beat * 40) * 0.4 + np.sin(2 * np.pi * 60 * beat) * np.exp(-beat * 15) * 0.5
    notes = np.repeat([55, 65.4, 49, 73.4], rate)
    bass = sum(np.sin(2 * np.pi * notes * k * t) / k ** 1.5 for k in range(1, 6)) * 0.3 * np.exp(-(t % 1))
    other = sum(np.sin(2 * np.pi * f * k * t + k) / k for f in (440, 554.4, 659.3) for k in range(1, 9)) * 0.1
    played = {"drums": drums, "bass": bass, "other": other}
    for name, audio in played.items():
        wav.write(tmp_path / f"{name}.wav", np.stack([audio, audio], 1).astype(np.float32))
    separate(*(f"{name}.wav" for name in played), "-p", "4stems", "--bit-depth", "float")
    for name in played:
        energies = {stem: np.sum(np.square(wav.read(tmp_path / f"out/{name}/{stem}.wav")[0])) for stem in STEMS["4stems"]}
        assert max(energies, key=energies.get) == name, (name, energies)


def test_listed(spleeterd):
    lines = {line.split()[0]: line for line in spleeterd("models", "list").out.splitlines()}
    for model, stems in STEMS.items():
        assert ",".join(stems) in lines[model] and f" {model}" in lines[model][len(model):]
        info = spleeterd("models", "info", model).out
        assert "spleeterd's own" in info and "MIT" in info
    # Including the networks of groups, and those in other folders.
    assert "137.6 MB" in lines["4stems"] and "157.2 MB" in lines["5stems"]
    assert ": good" in spleeterd("models", "verify", *STEMS).out


def test_cards_name_what_ran():
    """The model cards and the manifests give the same number of steps, and the networks of one
    model are not copies of each other."""
    for model in STEMS:
        manifest = json.loads((MODELS / model / "manifest.json").read_text())
        steps = next(word for word in manifest["source"].split() if word.isdigit())
        assert steps in (MODELS / model / "README.md").read_text().replace(",", "")
        digests = [net["sha256"] for net in manifest["stems"] + manifest["groups"]]
        assert len(set(digests)) == len(digests)
    shared = [{net["name"]: net["sha256"] for net in json.loads((MODELS / model / "manifest.json").read_text())["stems"]}
              for model in STEMS]
    assert all(shared[0][stem] == shared[1][stem] for stem in ("vocals", "drums", "bass"))


def test_models_fit_in_their_size():
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < MAX_BYTES
