# SPDX-License-Identifier: MIT
"""Several inputs: files, folders and patterns. One that fails does not stop the others."""
import json
import re
import shutil

import pytest

import wav
from conftest import music, without_capabilities


@pytest.fixture
def folder(tmp_path):
    """Makes music/a.wav, music/b/c.WAV and music/b/notes.txt."""
    (tmp_path / "music/b").mkdir(parents=True)
    wav.write(tmp_path / "music/a.wav", music(0.5), bits=16)
    shutil.copy(tmp_path / "music/a.wav", tmp_path / "music/b/c.WAV")
    (tmp_path / "music/b/notes.txt").write_text("not audio")
    return tmp_path / "music"


def test_a_bad_file_does_not_stop_the_others(separate, folder, files):
    (folder / "broken.mp3").write_text("this is not an mp3 file")
    result = separate(folder / "a.wav", "missing.wav", folder / "broken.mp3", folder / "b/c.WAV", code=1)
    assert files() == ["a/accompaniment.wav", "a/vocals.wav", "c/accompaniment.wav", "c/vocals.wav"]
    assert result.lines()[-1] == "spleeterd: 2 of 4 files failed"
    assert result.err.count("missing.wav") == 1 and result.err.count("broken.mp3") == 1


def test_folder_is_searched_recursively_and_sorted(separate, folder, files):
    result = separate(folder)
    assert files() == ["a/accompaniment.wav", "a/vocals.wav", "b/c/accompaniment.wav", "b/c/vocals.wav"]
    assert result.err.index("music/a.wav") < result.err.index("music/b/c.WAV")
    assert "skipped 1 file of other types" in result.err


def test_folder_gives_every_file_with_sound(spleeterd, song, ffmpeg, files, tmp_path):
    """Each container that the helper reads and ffmpeg writes, with its usual extension in either
    case."""
    video = ["-f", "lavfi", "-i", "testsrc=duration=1:size=32x32", "-c:v", "mpeg4"]
    kinds = {"mp4": [*video, "-c:a", "aac"], "mkv": [*video, "-c:a", "aac"], "MOV": ["-c:a", "pcm_s16le"],
             "avi": [*video, "-c:a", "pcm_s16le"], "ts": ["-c:a", "mp2"], "3gp": ["-c:a", "aac"],
             "dts": ["-c:a", "dca", "-strict", "-2"], "flv": ["-c:a", "aac"], "wmv": ["-c:a", "wmav2"]}
    (tmp_path / "all").mkdir()
    for extension, options in kinds.items():
        ffmpeg("-i", song, *options, "-t", "0.3", tmp_path / f"all/{extension}.{extension}")
    (tmp_path / "all/cover.jpg").write_text("a picture")
    (tmp_path / "all/._song.wav").write_text("macOS")
    (tmp_path / "all/.hidden").mkdir()
    (tmp_path / "all/.hidden/song.wav").write_text("of another program")
    result = spleeterd("separate", "all", "-o", "out", "--stems", "vocals")
    assert files() == sorted(f"{extension}/vocals.wav" for extension in kinds)
    assert "skipped 1 file of other types, such as all/cover.jpg" in result.err


def test_skipped_files_are_in_json(separate, folder):
    result = separate(folder, "--stems", "vocals", "--json")
    assert json.loads(result.out.splitlines()[-1])["skipped"] == 1 and result.err == ""


def test_folder_that_cannot_be_read_is_reported(separate, folder, files, tmp_path):
    (folder / "secret").mkdir()
    shutil.copy(folder / "a.wav", folder / "secret/d.wav")
    shutil.copy(folder / "a.wav", folder / "secret.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    (folder / "secret").chmod(0)
    try:
        result = separate(folder, "--stems", "vocals", code=1, preexec_fn=without_capabilities)
        assert f"cannot open {folder}/secret: Permission denied" in result.err
        assert f"cannot open {folder}/gone.wav: No such file" in result.err
        assert files() == ["a/vocals.wav", "b/c/vocals.wav", "secret/vocals.wav"]
        assert "Permission denied" in separate(folder / "secret", code=3, preexec_fn=without_capabilities).err
    finally:
        (folder / "secret").chmod(0o700)


def test_folder_leaves_its_own_output_out(spleeterd, folder, files):
    for _ in range(2):
        result = spleeterd("separate", folder, "-o", folder / "out")
        assert result.err.count("separated in") == 2


def test_folder_without_audio(separate, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("not audio")
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


def advice(result):
    """Returns the --filename_format that the message suggests."""
    return re.search(r"--filename_format '(.*)'$", result.lines()[-1]).group(1)


@pytest.fixture
def albums(folder, tmp_path):
    """Makes {A,B}/CD1/01.wav and returns their paths."""
    for album in ("A", "B"):
        (tmp_path / album / "CD1").mkdir(parents=True)
        shutil.copy(folder / "a.wav", tmp_path / album / "CD1/01.wav")
    return ["A/CD1/01.wav", "B/CD1/01.wav"]


def test_tree_of_a_folder_is_kept(spleeterd, albums, files, tmp_path):
    for number, argument in enumerate([".", tmp_path, "A/.."]):
        spleeterd("separate", argument, "-o", f"out{number}", "--stems", "vocals")
        assert [name for name in files(tmp_path / f"out{number}") if "CD1" in name] == \
            ["A/CD1/01/vocals.wav", "B/CD1/01/vocals.wav"]
        shutil.rmtree(tmp_path / f"out{number}")


def test_files_of_one_name(separate, albums, files, tmp_path):
    result = separate(*albums, "--stems", "vocals", code=2)
    assert all(name in result.err for name in albums) and not (tmp_path / "out").exists()
    separate(*albums, "--stems", "vocals", "-f", advice(result))
    assert files() == ["A/CD1/01/vocals.wav", "B/CD1/01/vocals.wav"]


def test_folders_with_the_same_tree(separate, albums, files, tmp_path):
    result = separate("A", f"{tmp_path}/A/../B/", "--stems", "vocals", code=2)
    separate("A", f"{tmp_path}/A/../B/", "--stems", "vocals", "-f", advice(result))
    assert files() == ["A/CD1/01/vocals.wav", f"{tmp_path}/B/CD1/01/vocals.wav"[1:]]


def test_songs_that_differ_in_their_extension(separate, folder, files):
    shutil.copy(folder / "a.wav", folder / "a.w64")
    result = separate(folder, "--stems", "vocals", code=2)
    assert advice(result) == "{relpath}.{ext}/{instrument}.{codec}"
    separate(folder, "--stems", "vocals", "-f", advice(result))
    assert files() == ["a.w64/vocals.wav", "a.wav/vocals.wav", "b/c.WAV/vocals.wav"]
    result = separate(folder / "a.wav", folder / "a.w64", "--stems", "vocals", code=2)
    assert advice(result) == "{filename}.{ext}/{instrument}.{codec}"


@pytest.mark.parametrize("others", [["music/a.wav"], ["music/./a.wav"], ["music"], ["link.wav"]], ids=" ".join)
def test_a_file_that_is_given_twice(separate, folder, tmp_path, others):
    (tmp_path / "link.wav").symlink_to("music/a.wav")
    result = separate("music/a.wav", *others, "-f", "{instrument}.wav", code=2)
    assert "give it once" in result.err and "--filename_format" not in result.err


def test_inputs_option_and_arguments_together(separate, folder, files):
    separate("-i", folder / "a.wav", "--inputs", folder / "b/c.WAV", "--stems", "vocals")
    assert files() == ["a/vocals.wav", "c/vocals.wav"]
