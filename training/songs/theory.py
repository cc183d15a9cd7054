# SPDX-License-Identifier: MIT
"""Keys, chords and voicings. Pitches are MIDI numbers; a chord is a root and intervals above it."""

from dataclasses import dataclass
import re

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PENTATONIC_MAJOR = (0, 2, 4, 7, 9)
PENTATONIC_MINOR = (0, 3, 5, 7, 10)

_NUMERALS = {"i": 0, "ii": 1, "iii": 2, "iv": 3, "v": 4, "vi": 5, "vii": 6}
_QUALITIES = {
    "": (), "7": (10,), "maj7": (11,), "6": (9,), "9": (10, 14), "maj9": (11, 14), "add9": (14,), "13": (10, 14, 21),
}


@dataclass(frozen=True)
class Chord:
    root: int  # pitch class
    intervals: tuple

    def pitch_classes(self):
        return [(self.root + interval) % 12 for interval in self.intervals]


@dataclass(frozen=True)
class Note:
    start_s: float
    length_s: float
    pitch: int
    velocity: int  # 1..127


def parse_chord(numeral, tonic):
    """Parses a roman numeral over the major scale ("bVII", "ii7", "Vsus4", "viio") into a chord in
    the key of `tonic`."""
    match = re.fullmatch(r"([b#]?)([ivIV]+)(sus4|sus2|o|5)?(.*)", numeral)
    accidental, degree, kind, extension = match.groups()
    root = tonic + MAJOR[_NUMERALS[degree.lower()]] + {"": 0, "b": -1, "#": 1}[accidental]
    if kind == "sus4":
        triad = (0, 5, 7)
    elif kind == "sus2":
        triad = (0, 2, 7)
    elif kind == "5":
        triad = (0, 7)
    elif kind == "o":
        triad = (0, 3, 6)
    else:
        triad = (0, 4, 7) if degree.isupper() else (0, 3, 7)
    return Chord(root % 12, triad + _QUALITIES[extension])


def nearest(pitch_class, pitch):
    """Returns the pitch of that class nearest to `pitch`."""
    return pitch + (pitch_class - pitch + 6) % 12 - 6


def voicing(chord, center, voices, previous=None):
    """Returns close-position pitches of the chord around `center`; with `previous`, the inversion
    with the least movement."""
    classes = chord.pitch_classes()
    if len(classes) > voices:
        classes = [classes[0]] * (voices < 3) + classes[1:] if voices < len(classes) else classes
        classes = classes[:voices]
    candidates = []
    for bottom in range(len(classes)):
        order = classes[bottom:] + classes[:bottom]
        pitches = [nearest(order[0], center - 5)]
        for pitch_class in order[1:]:
            pitches.append(pitches[-1] + (pitch_class - pitches[-1] - 1) % 12 + 1)
        candidates.append(pitches)
    if previous is None:
        return min(candidates, key=lambda p: abs(sum(p) / len(p) - center))
    return min(candidates, key=lambda p: abs(sum(p) / len(p) - sum(previous) / len(previous))
               + 0.3 * abs(sum(p) / len(p) - center))


def scale_pitches(tonic, scale, low, high):
    return [pitch for pitch in range(low, high + 1) if (pitch - tonic) % 12 in scale]
