# SPDX-License-Identifier: MIT
"""Outputs that cannot be written, and programs that are stopped: nothing half-written has a final name."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest

import wav
from conftest import PROGRAM, SONG, music


@contextlib.contextmanager
def mounted(folder, options):
    """A tmpfs at `folder`."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3"])
def test_full_disk(spleeterd, files, tmp_path, codec):
    wav.write(tmp_path / "song.wav", music(20), bits=16)
    with mounted(tmp_path / "small", "size=200k") as small:
        result = spleeterd("separate", "song.wav", "-o", small, "-c", codec, code=6)
        assert "No space left on device" in result.err and "/song/" in result.err
        assert files(small) == [] and list(small.iterdir()) == []


def test_full_disk_keeps_what_stood_there(spleeterd, files, tmp_path):
    wav.write(tmp_path / "song.wav", music(20), bits=16)
    with mounted(tmp_path / "small", "size=200k") as small:
        (small / "song").mkdir()
        (small / "song/vocals.wav").write_text("old")
        spleeterd("separate", "song.wav", "-o", small, code=6)
        assert files(small) == ["song/vocals.wav"] and (small / "song/vocals.wav").read_text() == "old"


def test_full_disk_for_surround(spleeterd, files, tmp_path):
    wav.write(tmp_path / "song.wav", music(5, channels=6), mask=0x3F)
    with mounted(tmp_path / "small", "size=200k") as small:
        result = spleeterd("separate", "song.wav", "-o", small, "--keep-format", code=6)
        assert "No space left on device" in result.err and list(small.iterdir()) == []


def test_full_disk_for_standard_input(spleeterd, tmp_path):
    with mounted(tmp_path / "small", "size=200k") as small:
        result = spleeterd("separate", "-", "-o", "out", stdin=SONG.read_bytes(), env={"TMPDIR": str(small)}, code=3)
        assert "temporary copy of standard input" in result.err and "No space left on device" in result.err


def test_read_only_disk(spleeterd, song, tmp_path):
    with mounted(tmp_path / "fixed", "size=1m,ro") as fixed:
        assert "Read-only file system" in spleeterd("separate", song, "-o", fixed, code=6).err


def test_unwritable_folder(spleeterd, song, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "fixed").mkdir(mode=0o555)
    assert "Permission denied" in spleeterd("separate", song, "-o", "fixed", code=6).err


def test_a_file_in_the_place_of_the_folder(spleeterd, song, tmp_path):
    (tmp_path / "out").write_text("a file")
    assert "a file of that name exists" in spleeterd("separate", song, "-o", "out", code=6).err
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("stem", ["vocals", "accompaniment"])
def test_a_folder_in_the_place_of_a_file(separate, song, files, tmp_path, stem):
    (tmp_path / f"out/song/{stem}.wav").mkdir(parents=True)
    assert "not a regular file" in separate(song, code=6).err
    assert files() == []


def test_missing_codec_helper(separate, song, files, tmp_path):
    result = separate(song, env={"SPLEETER_CODEC": str(tmp_path / "nothing")}, code=8)
    assert "nothing" in result.err and not (tmp_path / "out").exists()


def test_codec_helper_that_dies(separate, song, tmp_path):
    separate(song, env={"SPLEETER_CODEC": "/bin/false"}, code=8)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def long_song(tmp_path):
    wav.write(tmp_path / "long.wav", music(180), bits=16)
    return tmp_path / "long.wav"


def start(tmp_path, *arguments):
    process = subprocess.Popen([PROGRAM, "separate", "long.wav", "-o", "out", "--threads", "1", *arguments], cwd=tmp_path,
                               stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/long/.*.part")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_group", [False, True], ids=["program", "group"])
@pytest.mark.parametrize("codec", ["wav", "mp3"])
def test_interrupted(long_song, tmp_path, number, to_group, codec):
    process = start(tmp_path, "-c", codec)
    (os.killpg if to_group else os.kill)(process.pid, number)
    message = process.stderr.read().decode()
    assert process.wait(60) == 128 + number, message
    assert "interrupted" in message and len(message.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_interrupted_batch_stops(long_song, tmp_path):
    wav.write(tmp_path / "b.wav", music(1), bits=16)
    process = start(tmp_path, "b.wav")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and not (tmp_path / "out").exists()


def session_lives(leader):
    """Whether a process is left of the session."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                return True
    return False


def test_killed_program_leaves_only_parts(long_song, tmp_path):
    process = start(tmp_path)
    process.kill()
    process.wait(60)
    left = [path.name for path in (tmp_path / "out/long").iterdir()]
    assert left and all(name.startswith(".") and name.endswith(".part") for name in left)
    deadline = time.monotonic() + 20
    while session_lives(process.pid):
        assert time.monotonic() < deadline, "the codec helper lives on"
        time.sleep(0.05)


def test_interrupted_while_reading_standard_input(tmp_path):
    process = subprocess.Popen([PROGRAM, "separate", "-", "-o", "out"], cwd=tmp_path, stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(SONG.read_bytes()[:50000])
    process.stdin.flush()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130 and b"interrupted" in process.stderr.read()
