# SPDX-License-Identifier: MIT
"""Outputs that cannot be written, and programs that are interrupted: no partial file gets its final
name."""
import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import platform
import resource
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

import wav
from conftest import PROGRAM, SONG, music
from processes import helpers_of


@contextlib.contextmanager
def mounted(folder, options):
    """Mounts a tmpfs at `folder`."""
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
        assert f"cannot write a temporary file in {small}/song: No space left on device" in result.err
        assert list(small.iterdir()) == []


def test_full_disk_for_standard_input(spleeterd, tmp_path):
    with mounted(tmp_path / "small", "size=200k") as small:
        result = spleeterd("separate", "-", "-o", "out", stdin=SONG.read_bytes(), env={"TMPDIR": str(small)}, code=3)
        assert "temporary copy of standard input" in result.err and "No space left on device" in result.err


def test_full_disk_for_an_evaluation(spleeterd, tmp_path):
    (tmp_path / "songs/song").mkdir(parents=True)
    for name in "mixture", "vocals", "accompaniment":
        wav.write(tmp_path / f"songs/song/{name}.wav", music(2), bits=16)
    with mounted(tmp_path / "small", "size=200k") as small:
        result = spleeterd("evaluate", "songs", env={"TMPDIR": str(small)}, code=3)
        assert f"mixture.wav: its stems do not fit into {small}; set TMPDIR" in result.err and list(small.iterdir()) == []


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


@pytest.fixture(scope="module")
def three_minutes(tmp_path_factory):
    path = tmp_path_factory.mktemp("song") / "long.wav"
    wav.write(path, music(180), bits=16)
    return path


@pytest.fixture
def long_song(three_minutes, tmp_path):
    return shutil.copy(three_minutes, tmp_path)


def output_is_open(process, folder):
    """Returns whether the process has a file in `folder` open that does not have its final name
    yet."""
    for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(link)
            if target.startswith(f"{folder}/") and target.endswith((" (deleted)", ".part")):
                return True
    return False


def start(tmp_path, *arguments, preexec_fn=None):
    process = subprocess.Popen([PROGRAM, "separate", "long.wav", "-o", "out", "--threads", "1", *arguments], cwd=tmp_path,
                               stderr=subprocess.PIPE, start_new_session=True, preexec_fn=preexec_fn or take_signals)
    deadline = time.monotonic() + 60
    while not output_is_open(process, tmp_path / "out/long"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


def take_signals():
    """Restores the default handling of signals that nohup or a shell's & ignores."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def refuse_unnamed_files():
    """Makes O_TMPFILE fail, as on some file systems, by a seccomp filter on openat's flags."""
    take_signals()
    openat = {"x86_64": 257, "aarch64": 56}[platform.machine()]
    program = [(0x20, 0, 0, 0), (0x15, 0, 3, openat), (0x20, 0, 0, 32), (0x45, 0, 1, 0o20000000),
               (0x06, 0, 0, 0x00050000 | errno.EOPNOTSUPP), (0x06, 0, 0, 0x7FFF0000)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(filters))
    prctl = ctypes.CDLL(None).prctl
    assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, header) == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("to_group, codec, preexec_fn", [
    (False, "wav", take_signals), (True, "mp3", take_signals), (False, "mp3", refuse_unnamed_files)],
    ids=["program", "group", "named files"])
def test_interrupted(long_song, tmp_path, number, to_group, codec, preexec_fn):
    process = start(tmp_path, "-c", codec, preexec_fn=preexec_fn)
    assert bool(list(tmp_path.glob("out/long/.*.part"))) == (preexec_fn is refuse_unnamed_files)
    (os.killpg if to_group else os.kill)(process.pid, number)
    message = process.stderr.read().decode()
    assert process.wait(60) == 128 + number, message
    assert "interrupted" in message and len(message.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_hangup_under_nohup_is_ignored(long_song, tmp_path):
    process = start(tmp_path, "-d", "20", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0 and (tmp_path / "out/long/vocals.wav").exists()


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_file_beyond_the_limit_of_the_shell(separate, files, tmp_path, codec):
    wav.write(tmp_path / "song.wav", music(10), bits=16)
    result = separate("song.wav", "-c", codec, code=6,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000)))
    assert "File too large" in result.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("codec", ["wav", "mp3"])
def test_file_system_without_unnamed_files(separate, song, files, tmp_path, codec):
    (tmp_path / "out/song").mkdir(parents=True)
    (tmp_path / f"out/song/vocals.{codec}").write_text("old")
    separate(song, "-c", codec, preexec_fn=refuse_unnamed_files)
    assert files() == [f"song/accompaniment.{codec}", f"song/vocals.{codec}"]
    named = [(tmp_path / "out/song" / name).read_bytes() for name in (f"accompaniment.{codec}", f"vocals.{codec}")]
    separate(song, "-c", codec)
    assert named == [(tmp_path / "out" / name).read_bytes() for name in files()]


def test_interrupted_batch_stops(long_song, tmp_path):
    wav.write(tmp_path / "b.wav", music(1), bits=16)
    process = start(tmp_path, "b.wav")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
def test_interrupted_evaluation_leaves_nothing(long_song, files, tmp_path, number):
    (tmp_path / "set/song").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    for name in ("mixture", "vocals", "accompaniment"):
        (tmp_path / f"set/song/{name}.wav").symlink_to(long_song)
    process = subprocess.Popen([PROGRAM, "evaluate", "set", "--threads", "1", "--plot", "plot.svg"], cwd=tmp_path, stderr=subprocess.PIPE,
                               env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, preexec_fn=take_signals)
    deadline = time.monotonic() + 60
    while not output_is_open(process, tmp_path / "tmp"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(60) == (129 if number == signal.SIGHUP else -9)
    assert files(tmp_path / "tmp") == [] and not (tmp_path / "plot.svg").exists()


def session_lives(leader):
    """Returns whether the session still has a process."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                return True
    return False


def test_killed_program_leaves_nothing(long_song, files, tmp_path):
    process = start(tmp_path)
    process.kill()
    process.wait(60)
    assert files() == []
    deadline = time.monotonic() + 20
    while session_lives(process.pid):
        assert time.monotonic() < deadline, "the codec helper lives on"
        time.sleep(0.05)


def test_interrupted_while_reading_standard_input(tmp_path):
    process = subprocess.Popen([PROGRAM, "separate", "-", "-o", "out"], cwd=tmp_path, stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=take_signals)
    process.stdin.write(SONG.read_bytes()[:50000])
    process.stdin.flush()
    left, deadline = ctypes.c_int(1), time.monotonic() + 60
    # Waits until the program has read everything: it handles signals from then on.
    while left.value:
        assert process.poll() is None and time.monotonic() < deadline
        fcntl.ioctl(process.stdin, termios.FIONREAD, left)
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130 and b"interrupted" in process.stderr.read()


def stop_helpers(process, count):
    """Stops the helpers, as if they hung, as soon as there are `count` of them."""
    deadline = time.monotonic() + 60
    while len(helpers_of(process.pid)) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    helpers = helpers_of(process.pid)
    for helper in helpers:
        os.kill(helper, signal.SIGSTOP)
    return helpers


@pytest.mark.parametrize("codec, helpers", [("wav", 1), ("flac", 3)])
def test_interrupted_while_helpers_hang(tmp_path, codec, helpers):
    """The first helper is the decoder, before the file is open. With three, two are encoders."""
    wav.write(tmp_path / "long.wav", music(15), bits=16)
    process = subprocess.Popen([PROGRAM, "separate", "long.wav", "-o", "out", "-c", codec], cwd=tmp_path,
                               stderr=subprocess.PIPE, preexec_fn=take_signals)
    stopped = stop_helpers(process, helpers)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and b"interrupted" in process.stderr.read()
    assert not (tmp_path / "out").exists()
    assert not any(pathlib.Path(f"/proc/{helper}").exists() for helper in stopped)


def written(process):
    """Returns the size of the largest file that the process writes, in bytes."""
    sizes = [0]
    for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "/out/" in os.readlink(link):
                sizes.append(link.stat().st_size)
    return max(sizes)


def test_interrupted_in_silence(tmp_path):
    """Segments without sound skip the networks, where signals are checked between layers. The
    program ends before it has written half of the stem."""
    half = 14000 * 44100 * 2 * 2 // 2
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "14000", tmp_path / "long.flac"],
                   check=True)
    process = subprocess.Popen([PROGRAM, "separate", "long.flac", "-o", "out"], cwd=tmp_path, stderr=subprocess.PIPE,
                               preexec_fn=take_signals)
    deadline = time.monotonic() + 60
    while written(process) < 1 << 20:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 60
    while process.poll() is None:
        with contextlib.suppress(OSError):
            assert written(process) < half
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.returncode == 143


def test_interrupted_while_nobody_reads(tmp_path):
    wav.write(tmp_path / "song.wav", music(30), bits=16)
    process = subprocess.Popen([PROGRAM, "separate", "song.wav", "-o", "-", "--stems", "vocals"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=take_signals)
    deadline = time.monotonic() + 60
    while struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)))[0] < 60000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


@pytest.mark.parametrize("estimates", [[], ["--estimates", "songs"]], ids=["model", "estimates"])
def test_interrupted_evaluation(tmp_path, estimates):
    """The decoders of the evaluation hang."""
    (tmp_path / "songs/song").mkdir(parents=True)
    for stem in ("mixture", "vocals", "accompaniment"):
        wav.write(tmp_path / f"songs/song/{stem}.wav", music(5), bits=16)
    process = subprocess.Popen([PROGRAM, "evaluate", "songs", *estimates], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=take_signals)
    stop_helpers(process, 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
