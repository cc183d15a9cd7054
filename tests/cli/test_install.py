# SPDX-License-Identifier: MIT
"""The installed program works, and so does the library for other programs."""
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import wav
from conftest import REPOSITORY, db, music

BUILD = os.environ.get("SPLEETERD_BUILD")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Returns the root of an installation, and the prefix in it."""
    if not BUILD or not shutil.which("meson"):
        pytest.skip("there is no build folder to install from")
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], check=True, capture_output=True)
    program = next(root.rglob("bin/spleeterd"))
    return root, program.parent.parent


@pytest.fixture
def environment(installed):
    """The environment without the variables that the other tests set."""
    names = ("SPLEETER_CODEC", "SPLEETER_MODEL_PATH", "XDG_DATA_HOME")
    return {name: value for name, value in os.environ.items() if name not in names}


def test_installed_files(installed):
    _, prefix = installed
    for path in ("bin/spleeterd", "libexec/spleeterd/spleeterd-codec", "include/spleeter/spleeter.h",
                 "share/man/man1/spleeterd.1", "share/bash-completion/completions/spleeterd",
                 "share/zsh/site-functions/_spleeterd", "share/fish/vendor_completions.d/spleeterd.fish"):
        assert (prefix / path).exists(), path


def test_installed_program(installed, environment, tmp_path):
    """The program finds its library and its helper, and the model if that is installed."""
    _, prefix = installed
    wav.write(tmp_path / "song.wav", music(1))
    models = prefix / "share/spleeterd/models"
    if not models.exists():
        models.parent.mkdir(parents=True, exist_ok=True)
        models.symlink_to(os.environ["SPLEETER_MODEL_PATH"])
    subprocess.run([prefix / "bin/spleeterd", "separate", "song.wav", "-o", "out"], cwd=tmp_path, env=environment,
                   check=True)
    assert wav.read(tmp_path / "out/song/vocals.wav")[0].shape == (44100, 2)


def test_example_program(installed, tmp_path):
    """examples/separate_raw.c, built like another project, gives the result of the command."""
    if not shutil.which("pkg-config") or not shutil.which("cc"):
        pytest.skip("there is no compiler or pkg-config")
    root, _ = installed
    config = next(root.rglob("spleeter.pc")).parent
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "spleeter"], check=True, capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(config), "PKG_CONFIG_SYSROOT_DIR": str(root)})
    program = tmp_path / "separate_raw"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", REPOSITORY / "examples/separate_raw.c", "-o", program,
                    *flags.stdout.split()], check=True)
    mixture = music(1)
    subprocess.run([program, "2stems"], cwd=tmp_path, input=mixture.tobytes(), check=True,
                   env={**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(config).parent)})
    stems = [np.fromfile(tmp_path / f"{stem}.f32", np.float32).reshape(-1, 2) for stem in ("vocals", "accompaniment")]
    assert db(sum(stems) - mixture, mixture) < -100
