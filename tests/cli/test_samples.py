# SPDX-License-Identifier: MIT
"""All output is finite. Input that would overflow is refused, with its position."""
import hashlib
import json
import pathlib
import shutil
import struct

import numpy as np
import pytest

import wav
from conftest import REPOSITORY, music

LARGEST = 2.0**32


def strict(line):
    """Parses JSON and fails on NaN and infinity, which JSON does not have."""
    def refuse(name):
        raise AssertionError(f"{name} in {line}")
    return json.loads(line, parse_constant=refuse)


@pytest.mark.parametrize("options", [[], ["--mwf"], ["-p", "spleeter:2stems-16kHz"], ["--bandwidth", "full"],
                                     ["--stems", "vocals", "--mix", "all=vocals+accompaniment"]], ids=" ".join)
def test_largest_samples(separate, files, tmp_path, options):
    """Steps between the ends of the range, and a constant, which gives the largest possible
    spectrum."""
    signal = np.full((44100, 2), LARGEST, "f4")
    signal[::2, 1] = -LARGEST
    signal[10000:20000] = np.sign(music(1)[10000:20000]) * LARGEST
    wav.write(tmp_path / "song.wav", signal)
    result = separate("song.wav", "--bit-depth", "float", "--json", *options)
    done = [strict(line) for line in result.out.splitlines()][-2]
    assert all(150 < output["peak_dbfs"] < 200 for output in done["outputs"] if output["peak_dbfs"] is not None)
    assert files()
    for name in files():
        assert np.isfinite(wav.read(tmp_path / "out" / name)[0]).all(), name


@pytest.mark.parametrize("value, said", [(1e30, "is 1e+30, where up to 4.29497e+09 can be separated"), (3e38, "is 3e+38"),
                                         (np.nan, "is not a finite number"), (-np.inf, "is not a finite number")])
def test_sample_out_of_range(separate, tmp_path, value, said):
    signal = music(2)
    signal[66150, 0] = value
    wav.write(tmp_path / "song.wav", signal)
    result = separate("song.wav", "--json", code=4)
    assert f"song.wav: sample 66150 (at 1.500 s) {said}" in result.err
    events = [strict(line) for line in result.out.splitlines()]
    assert events[-1]["failed"] == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["truth", "estimates"])
def test_evaluate_refuses_them_too(spleeterd, tmp_path, where):
    for folder in ("truth", "estimates"):
        (tmp_path / folder / "song").mkdir(parents=True)
        for stem in ("vocals", "other"):
            wav.write(tmp_path / folder / "song" / f"{stem}.wav", music(2))
    signal = music(2)
    signal[66150, 0] = 1e30
    wav.write(tmp_path / where / "song/vocals.wav", signal)
    result = spleeterd("evaluate", "truth", "--estimates", "estimates", "--json", code=4)
    assert "vocals.wav: sample 66150 (at 1.500 s) is 1e+30" in result.err


def with_huge_weights(folder):
    """Makes a copy of the model whose first layer of the vocals overflows."""
    shutil.copytree(REPOSITORY / "models/spleeter-2stems", folder)
    net = folder / "vocals.safetensors"
    content = bytearray(net.read_bytes())
    size = struct.unpack("<Q", content[:8])[0]
    begin, end = json.loads(content[8:8 + size])["encoder.1.kernel"]["data_offsets"]
    content[8 + size + begin:8 + size + end] = struct.pack("<f", 3e38) * ((end - begin) // 4)
    net.write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["stems"][0]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_model_that_overflows(separate, tmp_path):
    wav.write(tmp_path / "song.wav", music(2))
    result = separate("song.wav", "-p", with_huge_weights(pathlib.Path(tmp_path / "huge")), code=4)
    assert "song.wav: the model computes values of the stem vocals that are not finite, between 0.0 s and 2.0 s" in result.err
    assert not (tmp_path / "out").exists()
