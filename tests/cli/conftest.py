# SPDX-License-Identifier: MIT
"""Shared by the tests of the command: functions that run it, and songs for it.

The program is $SPLEETERD. It finds its codec helper and models by SPLEETER_CODEC and
SPLEETER_MODEL_PATH.
"""
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import wav
from wav import music  # noqa: F401

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "tests"))
PROGRAM = os.environ["SPLEETERD"]
SONG = REPOSITORY / "examples" / "audio_example.mp3"


class Result:
    """The result of a run of the program."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.stdout = completed.stdout
        self.out = completed.stdout.decode(errors="replace")
        self.err = completed.stderr.decode(errors="replace")

    def lines(self):
        return self.err.splitlines()


@pytest.fixture
def spleeterd(tmp_path):
    """Runs the program in tmp_path and asserts that its exit code is `code`."""

    def run(*arguments, code=0, stdin=b"", env=None, preexec_fn=None):
        completed = subprocess.run(
            [PROGRAM, *map(str, arguments)],
            input=stdin if isinstance(stdin, bytes) else None,
            stdin=None if isinstance(stdin, bytes) else stdin,
            capture_output=True, cwd=tmp_path, preexec_fn=preexec_fn, timeout=600,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), **(env or {})})
        result = Result(completed)
        assert result.code == code, result.err
        return result

    (tmp_path / "tmp").mkdir()
    return run


@pytest.fixture
def separate(spleeterd, tmp_path):
    """Runs `spleeterd separate ... -o tmp_path/out`."""

    def run(*arguments, **keywords):
        return spleeterd("separate", *arguments, "-o", tmp_path / "out", **keywords)

    return run


@pytest.fixture
def files(tmp_path):
    """Lists the files below `folder` (default: the output folder), including hidden ones."""

    def listing(folder=tmp_path / "out"):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())

    return listing


def without_capabilities():
    """Applies file permissions to root too: drops CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.fixture
def song(tmp_path):
    """song.wav: two seconds, stereo, 44.1 kHz, 16 bits."""
    path = tmp_path / "song.wav"
    wav.write(path, music(2), bits=16)
    return path


@pytest.fixture
def song_float(tmp_path):
    """song.wav: two seconds, stereo, 44.1 kHz, float."""
    path = tmp_path / "song.wav"
    wav.write(path, music(2))
    return path


@pytest.fixture
def ffmpeg():
    """Runs ffmpeg. Skips the test if ffmpeg is not installed."""
    program = shutil.which("ffmpeg")
    if not program:
        pytest.skip("ffmpeg is not installed")

    def run(*arguments):
        subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], check=True)

    return run


def db(signal, reference):
    """Returns the energy of `signal` relative to that of `reference`, in dB."""
    energy = np.sum(np.square(signal, dtype=np.float64))
    return 10 * np.log10(energy / np.sum(np.square(reference, dtype=np.float64)) + 1e-300)
