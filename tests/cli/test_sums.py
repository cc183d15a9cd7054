# SPDX-License-Identifier: MIT
"""Stems sum to the mixture, and mixes are the sums of their stems."""
import numpy as np
import pytest

import wav
from conftest import SONG, db, music


def read_stems(tmp_path, name="song"):
    return [wav.read(tmp_path / f"out/{name}/{stem}.wav")[0] for stem in ("vocals", "accompaniment")]


@pytest.mark.parametrize("bits, limit_db", [("float", -100), ("24", -100), ("16", -80)])
def test_stems_sum_to_the_mixture(separate, tmp_path, bits, limit_db):
    # More than one segment.
    mixture = music(14, level=0.6)
    wav.write(tmp_path / "song.wav", mixture)
    separate("song.wav", "--bit-depth", bits)
    assert db(sum(read_stems(tmp_path)) - mixture, mixture) < limit_db


def test_the_bundled_song_sums_to_its_mixture(separate, ffmpeg, tmp_path):
    ffmpeg("-i", SONG, "-c:a", "pcm_f32le", tmp_path / "mixture.wav")
    separate("mixture.wav", "--bit-depth", "float")
    mixture = wav.read(tmp_path / "mixture.wav")[0]
    assert db(sum(read_stems(tmp_path, "mixture")) - mixture, mixture) < -100


def test_mix_is_the_sum_of_its_stems(separate, song_float, tmp_path):
    separate(song_float, "--bit-depth", "float", "--mix", "all=vocals+accompaniment", "--stems", "vocals,accompaniment")
    vocals, accompaniment = read_stems(tmp_path)
    assert (wav.read(tmp_path / "out/song/all.wav")[0] == (vocals + accompaniment)).all()


def test_one_stem_alone_is_the_same(separate, spleeterd, song_float, tmp_path):
    separate(song_float, "--bit-depth", "float")
    spleeterd("separate", song_float, "--bit-depth", "float", "--stems", "vocals", "-o", "alone")
    assert (tmp_path / "out/song/vocals.wav").read_bytes() == (tmp_path / "alone/song/vocals.wav").read_bytes()


def test_spleeters_names_cut_the_band(separate, song_float, tmp_path):
    separate(song_float, "-p", "spleeter:2stems", "--bit-depth", "float")
    mixture = wav.read(song_float)[0]
    left = sum(read_stems(tmp_path)) - mixture
    # The missing part lies above 11 kHz.
    assert -60 < db(left, mixture) < -1
    spectrum = np.abs(np.fft.rfft(left[:, 0]))
    assert spectrum[:len(spectrum) * 10 // 22].mean() < 0.05 * spectrum[len(spectrum) * 12 // 22:].mean()


def test_silence_stays_silence(separate, tmp_path):
    wav.write(tmp_path / "song.wav", np.zeros((44100, 2), np.float32))
    separate("song.wav", "--bit-depth", "float")
    assert all((stem == 0).all() for stem in read_stems(tmp_path))
