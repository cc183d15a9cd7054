# SPDX-License-Identifier: MIT
"""The files that are written, and their names."""
import os

import numpy as np
import pytest

import wav


@pytest.mark.parametrize("name, stem", [("a.tar.wav", "a.tar"), ("no_extension", "no_extension"), (".wav", ".wav"),
                                        ("spaces and ünïcode 曲.wav", "spaces and ünïcode 曲"), ("x{y}.wav", "x{y}")])
def test_filename_is_as_pythons_splitext(separate, song, files, tmp_path, name, stem):
    song.rename(tmp_path / name)
    separate(name)
    assert files() == [f"{stem}/accompaniment.wav", f"{stem}/vocals.wav"]


def test_a_link_is_called_as_it_was_given(separate, song, files, tmp_path):
    (tmp_path / "store").mkdir()
    song.rename(tmp_path / "store/f00d.bin")
    (tmp_path / "album").mkdir()
    (tmp_path / "album/first.wav").symlink_to("../store/f00d.bin")
    separate("album/first.wav", "-f", "{foldername}_{filename}_{ext}_{{}}_{instrument}.{codec}")
    assert files() == ["album_first_wav_{}_accompaniment.wav", "album_first_wav_{}_vocals.wav"]


@pytest.mark.parametrize("given, relpath", [("./album/../album/song.wav", "{cwd}/album/song"), ("album//song.wav", "album//song"),
                                            ("{cwd}/album/song.wav", "{cwd}/album/song"), ("album/song.wav", "album/song")])
def test_relpath_of_a_file_stays_in_the_output_folder(separate, song, files, tmp_path, given, relpath):
    (tmp_path / "album").mkdir()
    song.rename(tmp_path / "album/song.wav")
    separate(given.replace("{cwd}", str(tmp_path)), "--stems", "vocals", "-f", "{relpath}/{instrument}.{codec}")
    assert files() == [f"{os.path.normpath(relpath.replace('{cwd}', str(tmp_path))).lstrip('/')}/vocals.wav"]


def test_relative_input_has_a_foldername(separate, song, files, tmp_path):
    separate("song.wav", "-f", "{foldername}/{instrument}.wav")
    assert files() == [f"{tmp_path.name}/accompaniment.wav", f"{tmp_path.name}/vocals.wav"]


def test_absolute_format_leaves_the_output_folder(separate, song, tmp_path):
    separate(song, "-f", f"{tmp_path}/elsewhere/{{instrument}}.wav")
    assert (tmp_path / "elsewhere/vocals.wav").exists() and not (tmp_path / "out").exists()


def test_stems(separate, song, files):
    separate(song, "--stems", "accompaniment")
    assert files() == ["song/accompaniment.wav"]


def test_mix_alone(separate, song, files):
    separate(song, "--mix", "everything=vocals+accompaniment")
    assert files() == ["song/everything.wav"]


def test_mix_and_stems(separate, song, files):
    separate(song, "--mix", "everything=vocals+accompaniment", "--stems", "vocals", "--mix", "karaoke=accompaniment")
    assert files() == ["song/everything.wav", "song/karaoke.wav", "song/vocals.wav"]


def test_spaces_around_names(separate, song, files):
    """Spaces are accepted, as in the service."""
    separate(song, "--stems", "vocals, accompaniment ", "--mix", " everything = vocals + accompaniment")
    assert files() == ["song/accompaniment.wav", "song/everything.wav", "song/vocals.wav"]


def test_summary_names_the_files(separate, song, tmp_path):
    result = separate(song)
    assert str(tmp_path / "out/song/vocals.wav") in result.err and "x real time" in result.err
    assert result.out == "" and "\r" not in result.err and "\033" not in result.err


def test_existing_files_are_replaced(separate, song, tmp_path):
    (tmp_path / "out/song").mkdir(parents=True)
    (tmp_path / "out/song/vocals.wav").write_text("old")
    separate(song)
    assert wav.read(tmp_path / "out/song/vocals.wav")[0].shape == (88200, 2)


def test_file_mode_follows_the_umask(separate, song, tmp_path):
    separate(song, preexec_fn=lambda: os.umask(0o027))
    assert (tmp_path / "out/song/vocals.wav").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("make", [lambda a, b: os.link(a, b), lambda a, b: os.symlink(a, b)])
def test_an_input_is_never_replaced(spleeterd, song, tmp_path, make):
    make(song, tmp_path / "vocals.wav")
    before = song.read_bytes()
    result = spleeterd("separate", song, "-o", tmp_path, "-f", "{instrument}.{codec}", code=2)
    assert "would be replaced" in result.err and song.read_bytes() == before
    spleeterd("separate", song, "-o", tmp_path, "-f", "song.wav", "--stems", "vocals", code=2)
    assert song.read_bytes() == before


def test_clipped_samples_are_reported_and_not_rescaled(separate, tmp_path):
    loud = np.random.default_rng(2).uniform(-2, 2, (44100, 2)).astype(np.float32)
    wav.write(tmp_path / "loud.wav", loud)
    result = separate("loud.wav", "--mix", "all=vocals+accompaniment")
    assert "samples of all clipped; use wav with --bit-depth float" in result.err
    written = wav.read(tmp_path / "out/loud/all.wav")[0]
    inside = np.abs(loud) < 0.99
    assert np.abs(written - loud)[inside].max() < 2e-4 and written.max() > 0.9999
    result = separate("loud.wav", "--mix", "all=vocals+accompaniment", "--bit-depth", "float")
    assert "warning" not in result.err
    once = np.zeros((100, 2), np.float32)
    once[50, 0] = 2
    wav.write(tmp_path / "once.wav", once)
    assert "1 sample of all clipped" in separate("once.wav", "--mix", "all=vocals+accompaniment").err
