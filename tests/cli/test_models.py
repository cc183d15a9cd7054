# SPDX-License-Identifier: MIT
"""`spleeterd models`, and models that are missing or damaged (exit code 5)."""
import json
import os
import pathlib
import shutil

import pytest

MODELS = pathlib.Path(os.environ["SPLEETER_MODEL_PATH"])


@pytest.fixture
def copy(tmp_path):
    """A copy of the model that may be damaged, at tmp_path/models/spleeter-2stems."""
    shutil.copytree(MODELS / "spleeter-2stems", tmp_path / "models/spleeter-2stems")
    return tmp_path / "models/spleeter-2stems"


def test_list(spleeterd):
    assert f"spleeter-2stems  {MODELS}/spleeter-2stems\n" in spleeterd("models", "list").out


def test_list_without_models(spleeterd, tmp_path):
    env = {"SPLEETER_MODEL_PATH": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}
    result = spleeterd("models", "list", env=env)
    assert result.out == "" or "spleeter-2stems" in result.out  # the installed ones


@pytest.mark.parametrize("name", ["2stems", "spleeter:2stems", "spleeter:2stems-16kHz", str(MODELS / "spleeter-2stems")])
def test_info(spleeterd, name):
    out = spleeterd("models", "info", name).out
    assert "vocals" in out and "accompaniment" in out and "licence" in out and "sha256" in out


def test_verify(spleeterd):
    assert ": good" in spleeterd("models", "verify").out
    assert ": good" in spleeterd("models", "verify", "2stems", "spleeter:2stems").out


def damage(folder, how):
    net = sorted(folder.glob("*.safetensors"))[0]
    content = bytearray(net.read_bytes())
    if how == "bit":
        content[len(content) // 2] ^= 1
        net.write_bytes(content)
    elif how == "cut":
        net.write_bytes(content[:-1000])
    elif how == "net missing":
        net.unlink()
    elif how == "no json":
        (folder / "manifest.json").write_text("{")
    elif how == "other json":
        (folder / "manifest.json").write_text(json.dumps({"name": "x"}))


@pytest.mark.parametrize("how", ["bit", "cut", "net missing", "no json", "other json"])
def test_damaged(spleeterd, separate, song, copy, tmp_path, how):
    damage(copy, how)
    env = {"SPLEETER_MODEL_PATH": str(copy.parent)}
    result = separate(song, env=env, code=5)
    assert len(result.lines()) == 1 and not (tmp_path / "out").exists()
    result = spleeterd("models", "verify", copy, env=env, code=5)
    assert len(result.lines()) == 1 and str(copy) in result.err


@pytest.mark.parametrize("name", ["kazoo", "spleeter:kazoo", "./kazoo", "kazoo.json", ""])
def test_missing(separate, song, name):
    result = separate(song, "-p", name, code=5)
    assert len(result.lines()) == 1
    if "kazoo" in name and "/" not in name and "." not in name:
        assert "2stems" in result.err


def test_folder_as_model(separate, song, copy, files, tmp_path):
    copy.rename(tmp_path / "mine")
    separate(song, "-p", "./mine")
    assert files() == ["song/accompaniment.wav", "song/vocals.wav"]


@pytest.mark.parametrize("arguments", [[], ["nope"], ["list", "x"], ["info"], ["info", "a", "b"], ["import"],
                                       ["import", "a", "b"], ["list", "--nope"]])
def test_wrong_usage(spleeterd, arguments):
    assert len(spleeterd("models", *arguments, code=2).lines()) == 1


def test_import_of_nothing(spleeterd, tmp_path):
    (tmp_path / "empty").mkdir()
    env = {"XDG_DATA_HOME": str(tmp_path / "data")}
    for folder in ("empty", "missing"):
        assert len(spleeterd("models", "import", folder, env=env, code=5).lines()) == 1
    assert list((tmp_path / "data").rglob("*.json")) == []
