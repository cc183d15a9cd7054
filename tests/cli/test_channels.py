# SPDX-License-Identifier: MIT
"""Mono, stereo and more channels; sample rates; --keep-format."""
import numpy as np
import pytest

import wav
from conftest import db, music

# Front left, front right, centre, LFE, back left, back right.
SURROUND = 0x3F


@pytest.fixture
def surround(tmp_path):
    """surround.wav: 1.5 s of 5.1, with a different signal in each channel."""
    samples = np.stack([music(1.5, channels=1, level=0.1 + 0.03 * i)[:, 0][::1 if i % 2 else -1] for i in range(6)], 1)
    wav.write(tmp_path / "surround.wav", samples, mask=SURROUND)
    return samples


def total(tmp_path, name, stems=("vocals", "accompaniment")):
    return sum(wav.read(tmp_path / f"out/{name}/{stem}.wav")[0] for stem in stems)


def test_mono_is_duplicated(separate, tmp_path):
    mono = music(1, channels=1)
    wav.write(tmp_path / "mono.wav", mono)
    wav.write(tmp_path / "stereo.wav", np.repeat(mono, 2, 1))
    separate("mono.wav", "stereo.wav", "--bit-depth", "float")
    assert (total(tmp_path, "mono") == total(tmp_path, "stereo")).all()


def test_plain_names_mix_surround_down(separate, surround, tmp_path):
    separate("surround.wav", "--bit-depth", "float")
    front, centre, back = surround[:, :2], surround[:, 2:3], surround[:, 4:6]
    mixture = front + np.sqrt(0.5) * (centre + back)
    result = total(tmp_path, "surround")
    # The downmix may be scaled to avoid clipping.
    gain = np.sum(result * mixture) / np.sum(mixture * mixture)
    assert db(result - gain * mixture, result) < -80 and 0.3 < gain < 1.01


def test_spleeters_names_take_the_first_two(separate, surround, tmp_path):
    wav.write(tmp_path / "front.wav", surround[:, :2])
    separate("surround.wav", "front.wav", "-p", "spleeter:2stems", "--bit-depth", "float")
    assert (total(tmp_path, "surround") == total(tmp_path, "front")).all()


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_keep_format_gives_surround_back(separate, surround, ffmpeg, tmp_path, codec):
    separate("surround.wav", "--keep-format", "-c", codec, "--bit-depth", "24")
    result = 0
    for stem in ("vocals", "accompaniment"):
        path = tmp_path / f"out/surround/{stem}.{codec}"
        ffmpeg("-i", path, "-c:a", "pcm_f32le", tmp_path / "back.wav")
        samples, rate, _, mask = wav.read(tmp_path / "back.wav")
        assert samples.shape == surround.shape and rate == 44100 and mask == SURROUND
        result = result + samples
    for channel in range(6):
        assert db(result[:, channel] - surround[:, channel], surround[:, channel]) < -90


def test_keep_format_separates_pairs_as_stereo(separate, surround, tmp_path):
    wav.write(tmp_path / "back.wav", surround[:, 4:6])
    wav.write(tmp_path / "centre.wav", surround[:, 2:3])
    separate("surround.wav", "back.wav", "centre.wav", "--keep-format", "--bit-depth", "float")
    kept, back, centre = (wav.read(tmp_path / f"out/{name}/vocals.wav")[0] for name in ("surround", "back", "centre"))
    assert (kept[:, 4:6] == back).all() and (kept[:, 2:3] == centre).all()


def test_keep_format_with_mixes(separate, surround, tmp_path):
    """Mixes of equal stems are equal, and each pair is as in a file of its own."""
    wav.write(tmp_path / "back.wav", surround[:, 4:6])
    wav.write(tmp_path / "centre.wav", surround[:, 2:3])
    mixes = "--stems", "vocals", "--mix", "all=vocals+accompaniment", "--mix", "again=accompaniment+vocals", "--mix", "same=vocals"
    separate("surround.wav", "back.wav", "centre.wav", "--keep-format", "--bit-depth", "float", *mixes)
    for first, second in ("all", "again"), ("vocals", "same"):
        kept, equal = (tmp_path / f"out/surround/{name}.wav" for name in (first, second))
        assert kept.read_bytes() == equal.read_bytes()
        back, centre = (wav.read(tmp_path / f"out/{name}/{first}.wav")[0] for name in ("back", "centre"))
        samples = wav.read(kept)[0]
        assert (samples[:, 4:6] == back).all() and (samples[:, 2:3] == centre).all()


def test_keep_format_with_wiener_filter_and_one_stem(separate, surround, tmp_path):
    separate("surround.wav", "--keep-format", "--mwf", "--stems", "vocals")
    assert wav.read(tmp_path / "out/surround/vocals.wav")[0].shape == surround.shape


@pytest.mark.parametrize("channels", [3, 5, 8])
def test_keep_format_without_known_positions(separate, tmp_path, channels):
    samples = np.concatenate([music(0.5, channels=1, level=0.1 + 0.02 * i) for i in range(channels)], 1)
    wav.write(tmp_path / "odd.wav", samples)
    separate("odd.wav", "--keep-format", "--bit-depth", "float")
    assert db(total(tmp_path, "odd") - samples, samples) < -100


@pytest.mark.parametrize("rate, channels", [(44100, 1), (44100, 2), (48000, 2), (96000, 2), (192000, 1), (22050, 2),
                                            (8000, 1), (11025, 1), (32000, 2)])
@pytest.mark.parametrize("count", [20000, 20001, 20003])
def test_keep_format_keeps_rate_channels_and_length(separate, tmp_path, rate, channels, count):
    wav.write(tmp_path / "song.wav", music(30000 / rate, rate=rate, channels=channels)[:count], rate=rate)
    separate("song.wav", "--keep-format", "--stems", "vocals")
    samples, kept_rate, _, _ = wav.read(tmp_path / "out/song/vocals.wav")
    assert (samples.shape, kept_rate) == ((count, channels), rate)


@pytest.mark.parametrize("rate, channels, mask", [(8000, 1, 0), (44100, 5, 0x37)])
def test_keep_format_finds_a_bit_rate(separate, files, tmp_path, rate, channels, mask):
    """Vorbis does not support 128 kbit/s for one channel at 8 kHz, nor for five at 44.1 kHz."""
    wav.write(tmp_path / "song.wav", music(0.5, rate=rate, channels=channels), rate=rate, mask=mask)
    separate("song.wav", "--keep-format", "-c", "ogg", "--stems", "vocals")
    assert files() == ["song/vocals.ogg"]


@pytest.mark.parametrize("codec", ["ogg", "opus"])
def test_keep_format_refuses_places_that_a_format_lacks(separate, files, tmp_path, codec):
    wav.write(tmp_path / "song.wav", music(0.5, channels=4), mask=0x107)
    result = separate("song.wav", "--keep-format", "-c", codec, code=6)
    assert f"vocals.{codec}: this format has no place for the channels 4.0; choose wav or flac" in result.err
    assert files() == []


@pytest.mark.parametrize("rate", [48000, 96000])
def test_keep_format_stays_in_time(separate, tmp_path, rate):
    """Each sample stays at its time. Below the stems' limit of 22 kHz, they sum to the mixture."""
    mixture = music(2, rate=rate)
    spectrum = np.fft.rfft(mixture, axis=0)
    spectrum[int(18000 * 2):] = 0
    mixture = np.fft.irfft(spectrum, len(mixture), axis=0).astype(np.float32)
    wav.write(tmp_path / "song.wav", mixture, rate=rate)
    separate("song.wav", "--keep-format", "--bit-depth", "float")
    inside = slice(rate // 10, -rate // 10)
    assert db((total(tmp_path, "song") - mixture)[inside], mixture[inside]) < -60


@pytest.mark.parametrize("rate", [8000, 48000, 96000])
def test_other_rates_come_out_at_44100(separate, tmp_path, rate):
    wav.write(tmp_path / "song.wav", music(1, rate=rate), rate=rate)
    separate("song.wav", "--stems", "vocals")
    samples, kept_rate, _, _ = wav.read(tmp_path / "out/song/vocals.wav")
    assert kept_rate == 44100 and abs(len(samples) - 44100) <= 1
