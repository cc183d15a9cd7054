# SPDX-License-Identifier: MIT
"""Standard input and output."""
import os
import pty
import subprocess

import pytest

import wav
from conftest import PROGRAM, SONG
from processes import read_terminal


def test_standard_input_gives_the_bytes_of_the_file(spleeterd, song, tmp_path):
    spleeterd("separate", song, "-o", "a", "-f", "{instrument}.wav")
    spleeterd("separate", "-", "-o", "b", "-f", "{instrument}.wav", stdin=song.read_bytes())
    for name in ("vocals.wav", "accompaniment.wav"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_names_for_standard_input(separate, song, files):
    separate("-", "-f", "{foldername}/{filename}/{instrument}.wav", stdin=song.read_bytes())
    assert files() == ["stdin/stdin/accompaniment.wav", "stdin/stdin/vocals.wav"]


@pytest.mark.parametrize("options", [["--stems", "vocals"], ["--mix", "m=vocals+accompaniment"]])
def test_standard_output(spleeterd, song, tmp_path, options):
    piped = spleeterd("separate", song, "-o", "-", *options, "--bit-depth", "float")
    spleeterd("separate", song, "-o", "out", *options, "--bit-depth", "float", "-f", "x.wav")
    assert (wav.parse(piped.stdout)[0] == wav.read(tmp_path / "out/x.wav")[0]).all()
    assert "standard output" in piped.err


@pytest.mark.parametrize("codec", ["flac", "mp3", "ogg", "opus"])
def test_other_codecs_stream_too(spleeterd, song, ffmpeg, tmp_path, codec):
    piped = spleeterd("separate", "-", "-o", "-", "--stems", "vocals", "-c", codec, stdin=song.read_bytes())
    (tmp_path / "piped").write_bytes(piped.stdout)
    ffmpeg("-i", tmp_path / "piped", tmp_path / "back.wav")
    assert len(wav.read(tmp_path / "back.wav")[0]) > 88000


@pytest.mark.parametrize("codec", ["m4a", "wma"])
def test_codecs_that_need_to_seek(spleeterd, song, codec):
    assert "cannot be written to a pipe" in spleeterd("separate", song, "-o", "-", "--stems", "vocals", "-c", codec,
                                                      code=6).err


@pytest.mark.parametrize("arguments, message", [
    (["song.wav"], "one stem or mix"),
    (["song.wav", "song.wav", "--stems", "vocals"], "one input"),
    (["song.wav", "--stems", "vocals", "--json"], "--json")])
def test_what_standard_output_cannot_take(spleeterd, song, arguments, message):
    result = spleeterd("separate", *arguments, "-o", "-", code=2)
    assert message in result.err and result.out == ""


def test_a_reader_that_goes_away(song):
    process = subprocess.Popen([PROGRAM, "separate", str(SONG), "-o", "-", "--stems", "vocals"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    message = process.stderr.read().decode()
    assert process.wait(600) == 6 and "Broken pipe" in message


def test_progress_bar_on_a_terminal_only(song, tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen([PROGRAM, "separate", str(song), "-o", str(tmp_path / "out")], stderr=slave,
                               env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    shown = read_terminal(master)
    assert process.wait(600) == 0 and b"real time" in shown and b"\r" in shown and b"0%" in shown


def test_wav_is_not_written_to_a_terminal(song):
    master, slave = pty.openpty()
    process = subprocess.run([PROGRAM, "separate", str(song), "-o", "-", "--stems", "vocals"], stdout=slave,
                             stderr=subprocess.PIPE, timeout=600)
    os.close(slave)
    os.close(master)
    assert process.returncode == 2 and b"terminal" in process.stderr
