# SPDX-License-Identifier: MIT
"""Runs our program on a golden case and measures the difference from Spleeter.

The program is $SPLEETERD, or the one in build/ of the repository. Its codec helper is
$SPLEETER_CODEC, or the one of the same build, or the one that the program finds. Model names like
"spleeter:2stems" are looked up in $SPLEETER_MODEL_PATH, or models/ of the repository. Only the
Python standard library, numpy and the ffmpeg program (which decodes data/mix.flac) are used.
"""

import json
import math
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass

import numpy as np

import formula

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data")
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(REPOSITORY, "build")
MODELS = os.path.abspath(os.environ.get("SPLEETER_MODEL_PATH", os.path.join(REPOSITORY, "models")))
RUN_LIMIT_S = 900


def find_program():
    """Returns the program's path, and the environment variable that selects its codec helper."""
    program = os.path.abspath(os.environ.get("SPLEETERD", os.path.join(BUILD, "spleeterd")))
    codec = os.path.join(os.path.dirname(program), "spleeterd-codec")
    if "SPLEETER_CODEC" in os.environ or not os.path.exists(codec):
        return program, {}
    return program, {"SPLEETER_CODEC": codec}


PROGRAM, CODEC_SETTING = find_program()

# The bounds. TensorFlow's single-precision FFT adds noise to Spleeter's output, about 105 dB below
# the mixture. A stem that is not QUIET against the mixture must therefore reach a signal-to-noise
# ratio; for a quiet one, the noise must be far enough below the mixture. Digital silence must stay
# silent.
SNR_MIN_DB = 90.0
ERROR_MAX = 1e-4
QUIET = 10 ** (-66 / 20)
QUIET_NOISE_DB = -120.0
SILENCE_ERROR_MAX = 1e-9

with open(os.path.join(DATA, "cases.json"), encoding="ascii") as _file:
    CASES = {case["name"]: case for case in json.load(_file)["cases"]}

# ------------------------------------------------------------ WAV files ----


def write_float_wav(path, waveform):
    """Writes float32 [samples, channels] at 44.1 kHz."""
    channels = waveform.shape[1]
    data = waveform.astype("<f4").tobytes()
    chunks = (b"fmt " + struct.pack("<IHHIIHHH", 18, 3, channels, 44100, 44100 * 4 * channels, 4 * channels, 32, 0)
              + b"fact" + struct.pack("<II", 4, len(waveform))
              + b"data" + struct.pack("<I", len(data)) + data)
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)


def read_float_wav(path):
    """Reads a stereo 32-bit float WAV at 44.1 kHz as [samples, 2]. Anything else is an error."""
    with open(path, "rb") as file:
        raw = file.read()
    assert raw[:4] == b"RIFF" and raw[8:12] == b"WAVE", f"{path} is not a RIFF WAVE file"
    position, layout, data = 12, None, None
    while position + 8 <= len(raw):
        name, size = raw[position:position + 4], struct.unpack_from("<I", raw, position + 4)[0]
        body = raw[position + 8:position + 8 + size]
        assert len(body) == size, f"{path}: chunk {name!r} is cut short"
        if name == b"fmt ":
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            # WAVE_FORMAT_EXTENSIBLE: the sub-format's GUID starts with the tag.
            if tag == 0xFFFE:
                tag = struct.unpack_from("<H", body, 24)[0]
            layout = (tag, channels, rate, bits)
        elif name == b"data":
            data = body
        position += 8 + size + size % 2
    assert layout == (3, 2, 44100, 32), f"{path}: (format, channels, Hz, bits) are {layout}"
    assert data is not None and len(data) % 8 == 0, f"{path}: bad data chunk"
    return np.frombuffer(data, "<f4").reshape(-1, 2)


# -------------------------------------------------------------- running ----

_song = None


def case_input(case):
    global _song
    if _song is None:
        _song = formula.decode_song(os.path.join(DATA, "mix.flac"))
    return formula.make_input(_song, case["input"])


def run_program(*arguments):
    assert os.access(PROGRAM, os.X_OK), f"{PROGRAM} is missing: build it, or set SPLEETERD"
    done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=RUN_LIMIT_S, check=False,
                          env={**os.environ, **CODEC_SETTING, "SPLEETER_MODEL_PATH": MODELS})
    assert done.returncode == 0, (f"{' '.join([PROGRAM, *arguments])} gave {done.returncode}:\n"
                                  f"{done.stdout.decode(errors='replace')}")


def separate(case, model, folder):
    """Returns {stem: float32 [samples, 2]} that the program makes of the case's input. `model` is
    the value of -p."""
    song, output = os.path.join(folder, "in.wav"), os.path.join(folder, "out")
    write_float_wav(song, case_input(case))
    run_program("separate", "-p", model, "--bit-depth", "float", *(["--mwf"] if case["mwf"] else []),
                "-f", "{instrument}.{codec}", "-o", output, song)
    written = sorted(os.listdir(output))
    assert written == sorted(f"{stem}.wav" for stem in case["stems"]), written
    stems = {stem: read_float_wav(os.path.join(output, f"{stem}.wav")) for stem in case["stems"]}
    shutil.rmtree(output)
    return stems


# ------------------------------------------------------------ comparing ----


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def ratio_db(one, other):
    if other == 0.0:
        return math.inf
    ratio = one / other
    return 20 * math.log10(ratio) if ratio > 0.0 else -math.inf


@dataclass
class Measure:
    """The difference of one window of a stem from Spleeter's."""

    stem: str
    window: tuple
    rms: float  # of Spleeter's stem
    mixture_rms: float
    noise_rms: float
    error: float  # the largest absolute difference

    @property
    def snr_db(self):
        return ratio_db(self.rms, self.noise_rms)

    def within_bounds(self):
        if self.mixture_rms == 0.0 and self.rms == 0.0:
            return self.error <= SILENCE_ERROR_MAX
        if self.rms < QUIET * self.mixture_rms:
            noise_is_low = ratio_db(self.noise_rms, self.mixture_rms) <= QUIET_NOISE_DB
        else:
            noise_is_low = self.snr_db >= SNR_MIN_DB
        return self.error <= ERROR_MAX and noise_is_low

    def __str__(self):
        return (f"{self.stem:14s} {self.window[0]:8d} .. {self.window[1]:8d}  rms {self.rms:.1e}"
                f"  mixture {self.mixture_rms:.1e}  SNR {self.snr_db:6.1f} dB  largest error {self.error:.1e}"
                f"{'' if self.within_bounds() else '   OUT OF BOUNDS'}")


def measure(stem, window, mixture, expected, got):
    expected = expected.astype(np.float64)
    difference = np.nan_to_num(np.abs(expected - got), nan=np.inf)
    return Measure(stem, tuple(window), rms(expected), rms(mixture), rms(difference),
                   float(np.max(difference)))


def expected_windows(case, stem):
    """Yields (window, Spleeter's float32 [samples, 2] in it) for each stored window of `stem`."""
    kept = np.load(os.path.join(DATA, f"{case['name']}.{stem}.npy"))
    position = 0
    for start, end in case["windows"]:
        yield (start, end), kept[position:position + end - start]
        position += end - start
    assert position == len(kept), f"cases.json and the data of {case['name']} differ"


def compare(case, stems):
    """Returns a Measure for each stem and window, and asserts that each stem is as long as the
    input."""
    mixture = case_input(case)
    measures = []
    for stem in case["stems"]:
        got = stems[stem]
        assert len(got) == case["samples"], f"{stem}: {len(got)} samples instead of {case['samples']}"
        for window, expected in expected_windows(case, stem):
            measures.append(measure(stem, window, mixture[window[0]:window[1]], expected,
                                    got[window[0]:window[1]]))
    return measures


def snr_of_stem(case, stems, stem):
    """Returns the signal-to-noise ratio of `stem` over all its windows together."""
    windows = list(expected_windows(case, stem))
    got = np.concatenate([stems[stem][start:end] for (start, end), _ in windows])
    expected = np.concatenate([kept for _, kept in windows])
    return measure(stem, (0, 0), expected, expected, got).snr_db
