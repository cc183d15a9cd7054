# SPDX-License-Identifier: MIT
"""The bundled model gives Spleeter's samples for a whole song.

tests/golden has the other cases. This one needs neither numpy nor ffmpeg. The bounds are those of
tests/golden.
"""
import array
import math
import struct

from conftest import REPOSITORY

DATA = REPOSITORY / "tests/golden/data"
SNR_MIN_DB, ERROR_MAX = 90.0, 1e-4


def floats(content):
    values = array.array("f")
    values.frombytes(content)
    return values


def npy(path):
    """Returns the float32 values of an .npy file of version 1."""
    content = path.read_bytes()
    assert content[:8] == b"\x93NUMPY\x01\x00" and b"'descr': '<f4'" in content[:128]
    return floats(content[10 + struct.unpack_from("<H", content, 8)[0]:])


def float_wav(path):
    """Returns the float32 values of a WAV file."""
    content = path.read_bytes()
    start = content.index(b"data") + 8
    return floats(content[start:start + struct.unpack_from("<I", content, start - 4)[0]])


def test_a_song_has_spleeters_samples(spleeterd, tmp_path):
    spleeterd("separate", "-p", "spleeter:2stems", "--bit-depth", "float", "-f", "{instrument}.{codec}", "-o", "out", DATA / "mix.flac")
    for stem in ("vocals", "accompaniment"):
        want, got = npy(DATA / f"audio_example_2stems.{stem}.npy"), float_wav(tmp_path / "out" / f"{stem}.wav")
        assert len(got) == len(want) == 2 * 479832
        errors = [abs(a - b) for a, b in zip(want, got)]
        snr_db = 10 * math.log10(sum(a * a for a in want) / sum(e * e for e in errors))
        assert snr_db >= SNR_MIN_DB and max(errors) <= ERROR_MAX, f"{stem}: SNR {snr_db:.1f} dB, largest error {max(errors):.1e}"
