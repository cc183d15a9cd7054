# SPDX-License-Identifier: MIT
"""Options of `separate`: Spleeter's own, ours, their defaults, and invalid ones (exit code 2)."""
import os

import numpy as np
import pytest

import wav
from conftest import music


def test_defaults_are_spleeters(spleeterd, song, tmp_path):
    spleeterd("separate", song)
    out = tmp_path / "tmp" / "separated_audio" / "song"
    assert sorted(path.name for path in out.iterdir()) == ["accompaniment.wav", "vocals.wav"]
    samples, rate, bits, _ = wav.read(out / "vocals.wav")
    assert samples.shape == (2 * 44100, 2) and rate == 44100 and bits == 16


def test_default_folder_of_another_user(spleeterd, song, tmp_path):
    """The name of the default folder is public, so a folder or link of another user must not be
    used."""
    folder, elsewhere = tmp_path / "tmp" / "separated_audio", tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    assert f"{folder} is not a folder that you own; give another with -o" in spleeterd("separate", song, code=6).err
    folder.unlink()
    folder.mkdir()
    (folder / "song").symlink_to(elsewhere)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        spleeterd("separate", song, code=6)
    assert list(elsewhere.iterdir()) == []
    spleeterd("separate", song, "-o", folder)
    assert len(list(elsewhere.iterdir())) == 2


@pytest.mark.parametrize("short, long", [
    (["-p", "spleeter:2stems", "-c", "flac", "-f", "{instrument}.{codec}", "-s", "0.5", "-d", "1", "-b", "96k"],
     ["--params_filename", "spleeter:2stems", "--codec", "flac", "--filename_format", "{instrument}.{codec}",
      "--offset", "0.5", "--duration", "1", "--bitrate", "96k"]),
])
def test_short_and_long_options_do_the_same(spleeterd, song, tmp_path, short, long):
    spleeterd("separate", "-i", song, "-o", tmp_path / "a", *short)
    spleeterd("separate", "--inputs", song, "--output_path", tmp_path / "b", *long, "--verbose")
    for name in ("vocals.flac", "accompaniment.flac"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("offset, duration, samples", [
    ("0.5", None, 66150), (None, "0.25", 11025), ("1.9", "5", 4410), ("0", "60", 88200), ("0", "999999999", 88200), (None, "1e-9", 1)])
def test_offset_and_duration(separate, song, tmp_path, offset, duration, samples):
    options = (["-s", offset] if offset else []) + (["-d", duration] if duration else [])
    separate(song, *options)
    assert wav.read(tmp_path / "out/song/vocals.wav")[0].shape == (samples, 2)


def test_no_limit_of_ten_minutes(separate, tmp_path):
    wav.write(tmp_path / "long.wav", music(615, rate=8000, channels=1), rate=8000, bits=16)
    separate("long.wav", "--stems", "vocals", "--keep-format")
    assert wav.read(tmp_path / "out/long/vocals.wav")[0].shape == (615 * 8000, 1)


@pytest.mark.parametrize("depth, bits", [("16", 16), ("24", 24), ("float", 32)])
def test_bit_depth(separate, song, tmp_path, depth, bits):
    separate(song, "--bit-depth", depth)
    assert wav.read(tmp_path / "out/song/vocals.wav")[2] == bits


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3", "ogg", "opus", "m4a", "wma"])
def test_codecs(separate, song, files, ffmpeg, tmp_path, codec):
    separate(song, "-c", codec, "-b", "192k")
    assert files() == [f"song/accompaniment.{codec}", f"song/vocals.{codec}"]
    ffmpeg("-i", tmp_path / f"out/song/vocals.{codec}", "-c:a", "pcm_s16le", tmp_path / "back.wav")
    samples = wav.read(tmp_path / "back.wav")[0]
    assert samples.shape[1] == 2 and 1.9 < len(samples) / (48000 if codec == "opus" else 44100) < 2.2


@pytest.mark.parametrize("rate", ["320k", "128000", "96K"])
def test_bitrate_is_used(separate, song, tmp_path, rate):
    separate(song, "-c", "mp3", "-b", rate, "--stems", "vocals")
    size = (tmp_path / "out/song/vocals.mp3").stat().st_size
    bps = {"320k": 320e3, "128000": 128e3, "96K": 96e3}[rate]
    assert 0.8 < size * 8 / 2 / bps < 1.3


def test_bandwidth(separate, song_float, tmp_path):
    peaks = {}
    for width in ("11k", "16k", "full"):
        separate(song_float, "--bandwidth", width, "--bit-depth", "float", "--mix", "all=vocals+accompaniment")
        spectrum = abs(np.fft.rfft(wav.read(tmp_path / "out/song/all.wav")[0][:, 0]))
        hz = 22050 / len(spectrum)
        peaks[width] = [spectrum[int(low / hz):int(high / hz)].mean() for low, high in ((12e3, 15e3), (17e3, 21e3))]
    assert peaks["11k"][0] < 0.01 * peaks["full"][0]
    assert peaks["16k"][0] > 0.5 * peaks["full"][0] and peaks["16k"][1] < 0.01 * peaks["full"][1]


@pytest.mark.parametrize("arguments, message", [
    ([], "there is no input"),
    (["song.wav", "--nope"], "no option --nope"),
    (["song.wav", "-Z"], "no option -Z"),
    (["song.wav", "-p"], "-p needs a value"),
    (["song.wav", "--json=1"], "--json=1: the option takes no value"),
    (["song.wav", "-a", "spleeter.audio.ffmpeg.FFMPEGProcessAudioAdapter"], "--adapter"),
    (["song.wav", "-c", "aiff"], "give one of wav, flac, mp3, ogg, opus, m4a, wma"),
    (["song.wav", "-s", "-1"], "--offset -1"),
    (["song.wav", "-s", "soon"], "--offset soon"),
    (["song.wav", "-d", "0"], "--duration"),
    (["song.wav", "-d", "1e9"], "--duration 1e9"),
    (["song.wav", "-d", "1e999"], "--duration 1e999"),
    (["song.wav", "-s", "1e300"], "--offset 1e300"),
    (["song.wav", "-s", "inf"], "--offset inf"),
    (["song.wav", "-d", "nan"], "--duration nan"),
    (["song.wav", "-b", "128"], "--bitrate 128"),
    (["song.wav", "-b", "fast"], "--bitrate fast"),
    (["song.wav", "--threads", "0"], "--threads 0"),
    (["song.wav", "--threads", "many"], "--threads many"),
    (["song.wav", "--bandwidth", "22k"], "11k, 16k or full"),
    (["song.wav", "--bit-depth", "32"], "16, 24 or float"),
    (["song.wav", "--bit-depth", "24", "-c", "mp3"], "--bit-depth is for wav and flac"),
    (["song.wav", "--bit-depth", "float", "-c", "flac"], "flac has 16 and 24"),
    (["song.wav", "-f", "{title}.wav"], "{title}"),
    (["song.wav", "-f", "{instrument:>9}.wav"], "{instrument:>9}"),
    (["song.wav", "-f", "{instrument"], "{instrument"),
    (["song.wav", "-f", "{filename}.{codec}"], "more than one stem would be written to"),
    (["song.wav", "--stems", "vocals,kazoo"], 'no stem "kazoo"'),
    (["song.wav", "--stems", ""], "its stems are vocals, accompaniment"),
    (["song.wav", "--mix", "karaoke"], "NAME=STEM+STEM"),
    (["song.wav", "--mix", "=vocals"], "NAME=STEM+STEM"),
    (["song.wav", "--mix", "a=vocals+kazoo"], 'no stem "kazoo"'),
    (["song.wav", "--mix", "a/b=vocals"], "slash"),
    (["song.wav", "--mix", "a=vocals", "--mix", "a=accompaniment"], "the same name"),
    (["-", "-"], "only once"),
])
def test_refused(spleeterd, song, files, tmp_path, arguments, message):
    result = spleeterd("separate", "-o", "out", *arguments, code=2)
    assert message in result.err
    assert len(result.lines()) == 1 and result.err.startswith("spleeterd: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments, code", [([], 2), (["nope"], 2), (["help", "nope"], 2), (["help"], 0),
                                             (["help", "separate"], 0), (["help", "models"], 0), (["--help"], 0),
                                             (["-h"], 0), (["separate", "-h"], 0), (["models", "--help"], 0)])
def test_help(spleeterd, arguments, code):
    result = spleeterd(*arguments, code=code)
    assert "spleeterd" in (result.out if code == 0 else result.err)
    assert (result.err if code == 0 else result.out) == ""


@pytest.mark.parametrize("arguments", [["--version"], ["separate", "--version"]])
def test_version_names_the_instruction_set(spleeterd, arguments):
    assert "kernels: generic" in spleeterd(*arguments, env={"SPLEETER_CPU": "generic"}).out
    assert "kernels: avx512" not in spleeterd(*arguments, env={"SPLEETER_CPU": "avx2"}).out
    assert spleeterd(*arguments).out.startswith("spleeterd 0.")
