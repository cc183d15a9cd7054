# SPDX-License-Identifier: MIT
"""The same input and options give the same bytes, whatever else differs."""
import pytest

import wav
from conftest import music


@pytest.fixture
def outputs(spleeterd, tmp_path):
    """Separates the song into tmp_path/NAME and returns the bytes of each file."""

    def run(name, *options, input="song.wav", **keywords):
        spleeterd("separate", input, "-o", name, "-f", "{instrument}.{codec}", *options, **keywords)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    wav.write(tmp_path / "song.wav", music(25), bits=16)  # three segments
    return run


@pytest.mark.parametrize("options", [[], ["--mwf"], ["-p", "spleeter:2stems", "--bit-depth", "float"],
                                     ["-c", "flac"], ["-c", "mp3"], ["-c", "ogg"], ["-c", "m4a"]])
def test_threads_do_not_change_the_bytes(outputs, options):
    one = outputs("one", "--threads", "1", *options)
    assert len(one) == 2
    for threads in ("2", "3"):
        assert outputs(threads, "--threads", threads, *options) == one


@pytest.mark.parametrize("options", [[], ["--mwf"], ["--keep-format"]])
def test_pipe_and_file_give_the_same_bytes(outputs, tmp_path, options):
    assert outputs("pipe", *options, input="-", stdin=(tmp_path / "song.wav").read_bytes()) == outputs("file", *options)


def test_a_second_run_and_a_batch_give_the_same_bytes(outputs, spleeterd, tmp_path):
    first = outputs("first")
    wav.write(tmp_path / "other.wav", music(3, level=0.5), bits=16)
    spleeterd("separate", "other.wav", "song.wav", "-o", "batch")
    assert outputs("second") == first
    for name, content in first.items():
        assert (tmp_path / "batch/song" / name).read_bytes() == content
