# SPDX-License-Identifier: MIT
"""Several inputs: files, folders, patterns; one that fails does not stop the others."""
import shutil

import pytest

import wav
from conftest import music


@pytest.fixture
def folder(tmp_path):
    """music/a.wav, music/b/c.WAV, music/b/notes.txt, music/broken.mp3"""
    (tmp_path / "music/b").mkdir(parents=True)
    wav.write(tmp_path / "music/a.wav", music(0.5), bits=16)
    shutil.copy(tmp_path / "music/a.wav", tmp_path / "music/b/c.WAV")
    (tmp_path / "music/b/notes.txt").write_text("not audio")
    return tmp_path / "music"


def test_a_bad_file_does_not_stop_the_others(separate, folder, files):
    (folder / "broken.mp3").write_text("this is not an mp3 file")
    result = separate(folder / "a.wav", "missing.wav", folder / "broken.mp3", folder / "b/c.WAV", code=1)
    assert files() == ["a/accompaniment.wav", "a/vocals.wav", "c/accompaniment.wav", "c/vocals.wav"]
    assert "2 of 4 files failed:" in result.err
    tail = result.lines()[-2:]
    assert "missing.wav" in tail[0] and "broken.mp3" in tail[1]


def test_folder_is_searched_recursively_and_sorted(separate, folder, files):
    result = separate(folder)
    assert files() == ["a/accompaniment.wav", "a/vocals.wav", "c/accompaniment.wav", "c/vocals.wav"]
    assert result.err.index("music/a.wav") < result.err.index("music/b/c.WAV")


def test_folder_leaves_its_own_output_out(spleeterd, folder, files):
    for _ in range(2):
        result = spleeterd("separate", folder, "-o", folder / "out")
        assert result.err.count("separated in") == 2


def test_folder_without_audio(separate, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "there are no audio files in the folder empty" in separate("empty", code=3).err


def test_pattern_that_the_shell_did_not_expand(separate, folder, files):
    separate("music/*.wav", "music/?/*.WAV")
    assert files() == ["a/accompaniment.wav", "a/vocals.wav", "c/accompaniment.wav", "c/vocals.wav"]


def test_a_file_named_like_a_pattern_is_itself(separate, folder, files):
    (folder / "a.wav").rename(folder / "[a]*.wav")
    separate("music/[a]*.wav")
    assert files() == ["[a]*/accompaniment.wav", "[a]*/vocals.wav"]


def test_pattern_without_match(separate):
    assert "*.mp3" in separate("*.mp3", code=3).err


def test_same_names_are_refused_before_anything_is_written(separate, folder, tmp_path):
    shutil.copy(folder / "a.wav", folder / "b/a.wav")
    result = separate(folder, code=2)
    assert "{foldername}" in result.err and not (tmp_path / "out").exists()
    separate(folder, "-f", "{foldername}/{filename}/{instrument}.{codec}")


def test_inputs_option_and_arguments_together(separate, folder, files):
    separate("-i", folder / "a.wav", "--inputs", folder / "b/c.WAV", "--stems", "vocals")
    assert files() == ["a/vocals.wav", "c/vocals.wav"]
