# SPDX-License-Identifier: MIT
"""Inputs that cannot be separated: one clear line, the exit code of their class, and no files left
behind."""
import os
import struct

import numpy as np
import pytest

import wav
from conftest import SONG, music


@pytest.fixture
def refused(separate, tmp_path):
    """Separates and expects `code`, one line on standard error that names the input, and no output
    folder."""

    def run(name, code, *options, message=""):
        result = separate(name, *options, code=code)
        assert len(result.lines()) == 1 and result.err.startswith("spleeterd: ")
        assert os.path.basename(str(name)) in result.err and message in result.err
        assert not (tmp_path / "out").exists() and not list(tmp_path.rglob("*.part"))
        return result

    return run


def test_missing(refused):
    refused("missing.wav", 3, message="No such file")


def test_unreadable(refused, song):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    song.chmod(0)
    refused("song.wav", 3, message="Permission denied")


def test_not_a_regular_file(refused):
    refused("/dev/null", 3, message="not a regular file")


@pytest.mark.parametrize("content, message", [
    (b"", "empty"),
    (b"This is a text, not a song.\n" * 100, ""),
    (bytes(100000), ""),
    (b"\x89PNG\r\n\x1a\n" + bytes(1000), ""),
    (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", ""),
    (b"ffconcat version 1.0\nfile /etc/passwd\n", ""),
], ids=["empty", "text", "zeros", "png", "m3u8", "concat"])
@pytest.mark.parametrize("name", ["song.mp3", "song.wav"])
def test_not_audio(refused, tmp_path, content, message, name):
    (tmp_path / name).write_bytes(content)
    refused(name, 4, message=message)


def test_not_audio_on_standard_input(spleeterd):
    assert "standard input" in spleeterd("separate", "-", "-o", "out", code=4, stdin=b"not audio").err


def wav_bytes(samples=None, **fields):
    """Returns a 16-bit WAV file. The fields override values of its header."""
    data = b"" if samples is None else samples.tobytes()
    header = {"data_bytes": len(data), "rate": 44100, "channels": 2, "bits": 16, "tag": wav.PCM, **fields}
    return wav.header(**header) + data


NOISE = (np.random.default_rng(3).standard_normal(20000) * 3000).astype("<i2")


@pytest.mark.parametrize("content", [
    wav_bytes(NOISE, rate=0), wav_bytes(NOISE, channels=0), wav_bytes(NOISE, channels=65535),
    wav_bytes(NOISE, bits=0), wav_bytes(NOISE, bits=77), wav_bytes(NOISE, tag=0x1234), wav_bytes(),
    wav_bytes(NOISE)[:30], wav_bytes(NOISE)[:44],
], ids=["0 Hz", "no channels", "65535 channels", "0 bits", "77 bits", "unknown codec", "no samples", "half a header",
        "header only"])
def test_lying_wav_headers(refused, tmp_path, content):
    (tmp_path / "song.wav").write_bytes(content)
    refused("song.wav", 4)


@pytest.mark.parametrize("size", [40, 2**31 - 1, 0xFFFFFFFF])
def test_a_wav_whose_length_is_a_lie_gives_its_samples(separate, tmp_path, size):
    (tmp_path / "song.wav").write_bytes(wav_bytes(NOISE, data_bytes=size))
    separate("song.wav", "--stems", "vocals")
    samples = len(wav.read(tmp_path / "out/song/vocals.wav")[0])
    assert samples == 10 if size == 40 else abs(samples - 10000) < 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 40000, -1])
def test_samples_that_are_no_numbers(refused, tmp_path, value, at):
    samples = music(1)
    samples[at, 1] = value
    wav.write(tmp_path / "song.wav", samples)
    refused("song.wav", 4, message="finite")


def test_truncated_file_gives_what_is_there(separate, tmp_path):
    content = SONG.read_bytes()
    (tmp_path / "cut.mp3").write_bytes(content[:len(content) // 2])
    separate("cut.mp3", "--stems", "vocals")
    assert 4 * 44100 < len(wav.read(tmp_path / "out/cut/vocals.wav")[0]) < 7 * 44100


def test_damaged_middle_does_not_stop(separate, tmp_path):
    content = bytearray(SONG.read_bytes())
    content[100000:101000] = os.urandom(1000)
    (tmp_path / "damaged.mp3").write_bytes(content)
    separate("damaged.mp3", "--stems", "vocals")
    assert len(wav.read(tmp_path / "out/damaged/vocals.wav")[0]) > 9 * 44100


def test_video_without_sound(refused, ffmpeg, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64", "-c:v", "mpeg4", tmp_path / "film.mp4")
    refused("film.mp4", 4, message="no audio track")


def test_video_with_sound(separate, song, ffmpeg, files, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=2:size=64x64", "-i", song, "-c:v", "mpeg4", tmp_path / "film.mkv")
    separate("film.mkv")
    assert files() == ["film/accompaniment.wav", "film/vocals.wav"]


def test_offset_after_the_end(refused, song):
    refused("song.wav", 4, "-s", "5", message="offset of 5 s")


def test_one_sample_is_enough(separate, tmp_path):
    wav.write(tmp_path / "song.wav", np.full((1, 2), 0.5, np.float32))
    separate("song.wav")
    assert wav.read(tmp_path / "out/song/vocals.wav")[0].shape == (1, 2)


def test_riff_with_chunks_of_other_programs(separate, song, tmp_path):
    content = song.read_bytes()
    extra = b"LIST" + struct.pack("<I", 5) + b"INFO\0\0"
    (tmp_path / "odd.wav").write_bytes(content[:12] + extra + content[12:])
    separate("odd.wav")
