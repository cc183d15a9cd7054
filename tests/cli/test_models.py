# SPDX-License-Identifier: MIT
"""`spleeterd models`, and missing or damaged models (exit code 5)."""
import hashlib
import json
import os
import pathlib
import shutil

import pytest

MODELS = pathlib.Path(os.environ["SPLEETER_MODEL_PATH"])


@pytest.fixture
def copy(tmp_path):
    """A copy of the model at tmp_path/models/spleeter-2stems, which tests may damage."""
    shutil.copytree(MODELS / "spleeter-2stems", tmp_path / "models/spleeter-2stems")
    return tmp_path / "models/spleeter-2stems"


def listed(spleeterd, env):
    """Returns {name: line} of `models list`."""
    return {line.split()[0]: line for line in spleeterd("models", "list", env=env).out.splitlines()[1:]}


@pytest.fixture
def two_models(copy, tmp_path):
    """The environment of a user with a shipped model 4stems and Deezer's 4stems. Both are copies of
    2stems."""
    shutil.copytree(copy, copy.parent / "4stems")
    own = tmp_path / "data/spleeterd/models"
    shutil.copytree(copy, own / "spleeter-4stems")
    return {"SPLEETER_MODEL_PATH": str(copy.parent), "XDG_DATA_HOME": str(tmp_path / "data")}


def test_list(spleeterd):
    line = listed(spleeterd, {})["spleeter-2stems"]
    assert "vocals,accompaniment" in line and "78.6 MB" in line and "2stems spleeter:2stems" in line
    assert all(len(line) <= 80 for line in spleeterd("models", "list").out.splitlines())


def test_json(spleeterd, two_models, copy):
    deezers = str(copy.parents[1] / "data/spleeterd/models/spleeter-4stems")
    found = {model["path"]: model for model in json.loads(spleeterd("models", "list", "--json", env=two_models).out)}
    assert found[deezers]["called"] == ["spleeter:4stems", "spleeter:4stems-16kHz"]
    assert found[str(copy.parent / "4stems")]["called"] == ["4stems"]
    two = found[str(copy)]
    assert two["folder"] == "spleeter-2stems" and two["called"] == ["2stems", "spleeter:2stems", "spleeter:2stems-16kHz"]
    assert two["stems"] == ["vocals", "accompaniment"] and two["size_bytes"] == 78610104
    assert "MIT" in two["licence"] and "https://github.com/deezer/spleeter" in two["source"]
    info = json.loads(spleeterd("models", "info", "2stems", "--json", env=two_models).out)
    assert {**two, **info} == info and info["nets"][0]["stem"] == "vocals" and len(info["nets"][0]["sha256"]) == 64
    (copy / "vocals.safetensors").write_bytes(b"")
    checked = json.loads(spleeterd("models", "verify", "2stems", "4stems", "--json", env=two_models, code=5).out)
    assert [(check["path"], check["good"]) for check in checked] == [(str(copy), False), (str(copy.parent / "4stems"), True)]
    assert "vocals.safetensors" in checked[0]["error"] and checked[1]["error"] is None


def test_use(spleeterd, separate, song, two_models, tmp_path):
    def means(name):
        line = next(line for line in spleeterd("models", "info", name, env=two_models).out.splitlines() if "path " in line)
        return line.split()[-1]

    built_in, deezers = f"{two_models['SPLEETER_MODEL_PATH']}/4stems", str(tmp_path / "data/spleeterd/models/spleeter-4stems")
    assert means("4stems") == built_in and means("spleeter:4stems") == deezers
    for name in ("spleeter-4stems", "spleeter:4stems"):
        assert deezers in spleeterd("models", "use", name, env=two_models).out
        assert means("4stems") == deezers and means("spleeter:4stems") == deezers
        lines = listed(spleeterd, two_models)
        assert lines["spleeter-4stems"].endswith(" 4stems spleeter:4stems") and " 4stems" not in lines["4stems"][6:]
        result = json.loads(separate(song, "-p", "4stems", "--json", env=two_models).out.splitlines()[-2])
        assert result["weights"]["path"] == deezers and result["model"] == "4stems"
        assert built_in in spleeterd("models", "use", "4stems", env=two_models).out
        assert means("4stems") == built_in
    assert means("2stems").endswith("spleeter-2stems")


def test_use_of_a_missing_model(spleeterd, two_models, tmp_path):
    assert "models pull 5stems" in spleeterd("models", "use", "spleeter-5stems", env=two_models, code=5).err
    spleeterd("models", "use", "kazoo", env=two_models, code=5)
    spleeterd("models", "use", "a/b", env=two_models, code=2)
    assert not (tmp_path / "data/spleeterd/models/names.json").exists()
    spleeterd("models", "use", "spleeter-4stems", env=two_models)
    shutil.rmtree(tmp_path / "data/spleeterd/models/spleeter-4stems")
    assert "models use 4stems" in spleeterd("models", "info", "4stems", env=two_models, code=5).err


@pytest.mark.parametrize("text", ["{", "[]", '{"4stems": 1}', '{"4stems": "../x"}', '{"4stems": ""}'])
def test_damaged_names(spleeterd, two_models, tmp_path, text):
    (tmp_path / "data/spleeterd/models/names.json").write_text(text)
    assert "names.json" in spleeterd("models", "info", "4stems", env=two_models, code=5).err


def test_deezers_weights_and_nothing_else(spleeterd, separate, song, two_models, tmp_path):
    """Without these weights, the message explains how to get them and which model to use."""
    shutil.rmtree(tmp_path / "data/spleeterd/models/spleeter-4stems")
    result = separate(song, "-p", "spleeter:4stems", env=two_models, code=5)
    assert len(result.lines()) == 1
    assert "spleeterd models pull 4stems" in result.err and result.err.rstrip().endswith("use the model 4stems")


def test_weights_are_reported(separate, song):
    """Output on the terminal and in JSON: the SHA-256 of the networks' SHA-256 sums."""
    manifest = json.loads((MODELS / "spleeter-2stems/manifest.json").read_text())
    expected = hashlib.sha256("".join(stem["sha256"] for stem in manifest["stems"]).encode()).hexdigest()
    assert f"with spleeter-2stems, weights {expected[:8]}" in separate(song).err
    result = json.loads(separate(song, "--json").out.splitlines()[-2])
    assert result["weights"] == {"name": "spleeter-2stems", "path": str(MODELS / "spleeter-2stems"), "sha256": expected,
                                 "licence": manifest["licence"], "source": manifest["source"]}


def test_list_without_models(spleeterd, tmp_path):
    env = {"SPLEETER_MODEL_PATH": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}
    result = spleeterd("models", "list", env=env)
    # The installed models.
    assert result.out == "" or "spleeter-2stems" in result.out


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


def test_list_with_a_damaged_model(spleeterd, two_models, tmp_path):
    search_path = two_models["SPLEETER_MODEL_PATH"]
    broken = tmp_path / "broken/a-broken"
    shutil.copytree(MODELS / "spleeter-2stems", broken)
    damage(broken, "no json")
    env = {**two_models, "SPLEETER_MODEL_PATH": f"{broken.parent}:{search_path}"}
    expected = spleeterd("models", "list", env=two_models).out
    result = spleeterd("models", "list", env=env, code=5)
    assert result.out == expected
    assert len(result.lines()) == 1 and str(broken) in result.err
    listed = spleeterd("models", "list", "--json", env=env, code=5)
    assert json.loads(listed.out) == json.loads(spleeterd("models", "list", "--json", env=two_models).out)


@pytest.mark.parametrize("name, code", [("kazoo", 5), ("spleeter:kazoo", 5), ("./kazoo", 5), ("kazoo.json", 5), ("", 2)])
def test_missing(separate, song, name, code):
    result = separate(song, "-p", name, code=code)
    assert len(result.lines()) == 1
    if "kazoo" in name and "/" not in name and "." not in name:
        assert "2stems" in result.err


def test_folder_as_model(separate, song, copy, files, tmp_path):
    copy.rename(tmp_path / "mine")
    separate(song, "-p", "./mine")
    assert files() == ["song/accompaniment.wav", "song/vocals.wav"]


@pytest.mark.parametrize("arguments", [[], ["nope"], ["list", "x"], ["info"], ["info", "a", "b"], ["import"],
                                       ["import", "a", "b"], ["list", "--nope"], ["use"], ["use", "a", "b"], ["pull"],
                                       ["pull", "2stems", "--timeout", "x"]])
def test_wrong_usage(spleeterd, arguments):
    assert len(spleeterd("models", *arguments, code=2).lines()) == 1


def test_import_of_nothing(spleeterd, tmp_path):
    (tmp_path / "empty").mkdir()
    env = {"XDG_DATA_HOME": str(tmp_path / "data")}
    for folder in ("empty", "missing"):
        assert len(spleeterd("models", "import", folder, env=env, code=5).lines()) == 1
    assert list((tmp_path / "data").rglob("*.json")) == []
