# SPDX-License-Identifier: MIT
"""Composes a song: sections, chords and the notes of every part, with human timing."""

from dataclasses import dataclass, field

import numpy as np

from . import patterns
from .styles import STYLES
from .theory import MAJOR, MINOR, PENTATONIC_MAJOR, PENTATONIC_MINOR, Note, nearest, parse_chord, scale_pitches, voicing

STEPS = 16


@dataclass
class Part:
    stem: str
    role: str
    notes: list = field(default_factory=list)


@dataclass
class Score:
    style: str
    tempo_bpm: float
    key: str
    bars: int
    hits: list  # (time_s, piece, velocity)
    parts: list
    melody: list  # the singer's notes, empty without a singer
    choir: list


@dataclass
class _Section:
    first_bar: int
    bars: int
    energy: float
    chords: list  # two per bar
    groove: dict
    bass: str
    players: set


class Composer:
    def __init__(self, rng, style_name, seconds, held_out, cast):
        """`cast` is the set of stems that play; `held_out` selects the validation patterns."""
        self.rng = rng
        self.style = STYLES[style_name]
        self.style_name = style_name
        self.book = patterns.held_out if held_out else patterns.training
        self.cast = cast
        self.tempo_bpm = float(np.round(rng.uniform(*self.style.tempo_bpm), 1))
        self.bar_s = 240.0 / self.tempo_bpm
        self.bars = int(np.ceil(seconds / self.bar_s))
        self.swing = self.style.swing * rng.uniform(0.7, 1.1)
        self.jitter_s = rng.uniform(0.0, 0.003) if self.style.electronic else rng.uniform(0.003, 0.011)
        self.tonic = int(rng.integers(12))
        self.mode = str(rng.choice(self.style.harmony))
        self.minor = self.mode in ("minor", "power") or (self.mode == "jazz" and rng.random() < 0.3)

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def at(self, bar, step):
        """Returns the time of a step in seconds. Swing delays the offbeats: eighths above a swing
        of 0.3, otherwise sixteenths."""
        late = 0.0
        if self.swing > 0.3 and step % 4 == 3 or 0 < self.swing <= 0.3 and step % 2 == 1:
            late = self.swing * (0.33 if self.swing > 0.3 else 1.0)
        return max(0.0, (bar + (step + late) / STEPS) * self.bar_s)

    def human(self, time_s):
        return max(0.0, time_s + self.rng.normal(0, self.jitter_s))

    def velocity(self, base, spread=8):
        return int(np.clip(base + self.rng.normal(0, spread), 20, 127))

    def compose(self):
        rng = self.rng
        roles = list(rng.permutation(sorted(set(self.style.others))))
        held_out = self.book is patterns.held_out
        count = int(rng.choice([1, 2]) if held_out else rng.choice([1, 2, 3, 4], p=[0.15, 0.4, 0.3, 0.15]))
        self.roles = [str(role) for role in roles[:count]] if "other" in self.cast else []
        if self.style_name in ("rock", "metal") and self.roles and not held_out:
            self.roles.append(self.style.others[0])
        sections = self._sections()
        score = Score(self.style_name, self.tempo_bpm, self._key_name(), self.bars, [], [], [], [])
        if "drums" in self.cast:
            for section in sections:
                score.hits += self._drums(section)
        if "bass" in self.cast:
            score.parts.append(self._part("bass", self.pick(self.style.basses), sections, self._bass))
        if "piano" in self.cast:
            kinds = {id(section): self.pick(self.style.piano) for section in sections}
            score.parts.append(self._part("piano", "piano", sections, lambda s: self._comp(s, kinds[id(s)], 60, "piano")))
        for role in dict.fromkeys(self.roles):
            score.parts.append(self._part("other", role, sections, self._writer(role)))
        if "vocals" in self.cast:
            self.vocal_center = int(rng.integers(55, 70))
            motif = self._motif()
            for section in sections:
                if "vocals" in section.players:
                    score.melody += self._melody(section, self.vocal_center, 7, motif if rng.random() < 0.7 else self._motif(), 0.9)
            if rng.random() < 0.35:
                choir = [s for s in sections if s.energy > 0.7] or sections[-1:]
                for section in choir:
                    score.choir += self._comp(section, "sustained", 64, "choir")
        return score

    def _key_name(self):
        names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
        return f"{names[self.tonic]} {'minor' if self.minor else 'major'}"

    def _part(self, stem, role, sections, write):
        part = Part(stem, role)
        for section in sections:
            if (stem if stem != "other" else role) in section.players:
                part.notes += write(section)
        return part

    # Form

    def _sections(self):
        rng = self.rng
        kinds = {}
        for name, energy in (("verse", 0.6), ("chorus", 0.95), ("break", 0.4)):
            progression = self.pick(self.book.PROGRESSIONS[self.mode]).split()
            kinds[name] = (energy, [parse_chord(numeral, self.tonic) for numeral in progression],
                           self.pick(self.book.GROOVES[self.style_name]), self.pick(self.book.BASS[self.style_name]))
        order = self.pick([["verse", "chorus"], ["verse", "verse", "chorus"], ["chorus", "verse", "break"],
                           ["verse", "chorus", "break", "chorus"], ["chorus"]])
        fast = rng.random() < 0.2  # two chords per bar
        sections, bar = [], 0
        while bar < self.bars:
            name = order[len(sections) % len(order)]
            energy, progression, groove, bass = kinds[name]
            bars = min(4, self.bars - bar)
            chords = []
            for half in range(bars * 2):
                chords.append(progression[(half if fast else half // 2) % len(progression)])
            sections.append(_Section(bar, bars, energy, chords, groove, bass, self._players(name)))
            bar += bars
        for stem in self.cast:
            if stem != "other" and not any(stem in section.players for section in sections):
                sections[0].players.add(stem)
        for role in self.roles:
            if not any(role in section.players for section in sections):
                sections[-1].players.add(role)
        return sections

    def _players(self, name):
        chance = {"verse": 0.85, "chorus": 0.97, "break": 0.6}[name]
        # Validation needs every stem in most of the song.
        if self.book is patterns.held_out:
            chance = 0.75 if name == "break" else 1.0
        players = {stem for stem in ("drums", "bass", "piano", "vocals") if stem in self.cast and self.rng.random() < chance}
        return players | {role for role in self.roles if self.rng.random() < chance - 0.1}

    # Drums

    def _drums(self, section):
        if "drums" not in section.players:
            return []
        hits = []
        levels = {"x": 96, "X": 116, "g": 42}
        ghosts = self.book is patterns.training and self.rng.random() < 0.5
        for bar in range(section.bars):
            last = bar == section.bars - 1
            fill = self.pick(self.book.FILLS) if last and self.rng.random() < 0.55 else None
            fill_from = min(row.find(next(c for c in row if c != ".")) for row in fill.values()) if fill else STEPS
            rows = [(piece, row, 0, fill_from) for piece, row in section.groove.items()]
            rows += [(piece, row, fill_from, STEPS) for piece, row in fill.items()] if fill else []
            for piece, row, first, stop in rows:
                for step in range(first, stop):
                    mark = row[step]
                    if mark == "." and ghosts and piece == "snare" and step % 2 == 1 and self.rng.random() < 0.06:
                        mark = "g"
                    if mark == ".":
                        continue
                    accent = 8 if step % 4 == 0 else 0 if step % 2 == 0 else -14 if piece in ("hat_closed", "shaker") else 0
                    hits.append((self.human(self.at(section.first_bar + bar, step)), piece,
                                 self.velocity(levels[mark] + accent, 5)))
        if self.rng.random() < 0.7 and self.style_name not in ("reggae", "latin"):
            hits.append((self.human(self.at(section.first_bar, 0)), "crash", self.velocity(100)))
        return hits

    # Pitched parts

    def _chord(self, section, bar, step):
        return section.chords[bar * 2 + step // 8]

    def _spans(self, row):
        """Returns (step, length in steps, mark) for each sound in a row."""
        spans = []
        for step, mark in enumerate(row):
            if mark not in ".-":
                length = 1
                while step + length < len(row) and row[step + length] == "-":
                    length += 1
                spans.append((step, length, mark))
        return spans

    def _bass(self, section):
        notes = []
        step_s = self.bar_s / STEPS
        short = self.rng.uniform(0.7, 0.98)
        row = section.bass
        low = self.rng.integers(26, 33)
        for bar in range(section.bars):
            if bar == section.bars - 1 and self.rng.random() < 0.3:
                row = self.pick(self.book.BASS[self.style_name])
            for step, length, mark in self._spans(row):
                chord = self._chord(section, bar, step)
                root = low + (chord.root - low) % 12
                after = section.chords[min(bar * 2 + 2, len(section.chords) - 1)].root
                target = nearest(after, root)
                pitch = {"R": root, "8": root + 12, "5": root + (6 if 6 in chord.intervals else 7),
                         "3": root + (3 if 3 in chord.intervals else 4), "7": root + (11 if 11 in chord.intervals else 10),
                         "a": target + int(self.rng.choice([-1, 1, 2]))}[mark]
                notes.append(Note(self.human(self.at(section.first_bar + bar, step)), length * step_s * short, int(pitch),
                                  self.velocity(100 if step % 4 == 0 else 88)))
        return notes

    def _comp(self, section, kind, center, role):
        if kind == "arpeggio":
            return self._arpeggio(section, center)
        rng = self.rng
        row = self.pick(self.book.CHORDS[kind])
        strummed = "guitar" in role
        voices = 5 if strummed else int(rng.choice([3, 4]))
        low_end_is_free = "bass" not in self.cast or self.book is patterns.training
        left_hand = role == "piano" and low_end_is_free and rng.random() < 0.6
        notes, previous = [], None
        step_s = self.bar_s / STEPS
        for bar in range(section.bars):
            for step, length, mark in self._spans(row):
                chord = self._chord(section, bar, step)
                pitches = voicing(chord, center, voices, previous)
                previous = pitches
                if "drive" in role or "high_gain" in role:
                    root = 40 + (chord.root - 40) % 12
                    pitches = [root, root + 7, root + 12]
                elif strummed:
                    pitches = [pitches[0] - 12] + pitches
                time_s = self.human(self.at(section.first_bar + bar, step))
                long = length * step_s * (0.98 if kind == "sustained" else 0.85)
                if kind == "rhythm" and not strummed:
                    long = max(long, step_s * 2)
                lag = rng.uniform(0.004, 0.018) if strummed else 0.004
                order = pitches if step % 4 in (0, 3) or not strummed else pitches[::-1]
                base = 98 if mark == "X" else 80
                notes += [Note(time_s + i * lag, long, int(pitch), self.velocity(base)) for i, pitch in enumerate(order)]
                if left_hand and step % 8 == 0:
                    root = 36 + (chord.root - 36) % 12
                    notes += [Note(time_s, step_s * 7, root + octave, self.velocity(base)) for octave in (0, 12)[: rng.integers(1, 3)]]
        return notes

    def _arpeggio(self, section, center):
        notes = []
        row = self.pick(self.book.ARPEGGIOS)
        octaves = self.rng.random() < 0.4
        short = self.rng.uniform(0.5, 1.6)
        for bar in range(section.bars):
            for step, length, mark in self._spans(row):
                tones = voicing(self._chord(section, bar, step), center, 3)
                tones = tones + [tone + 12 for tone in tones]
                pitch = tones[int(mark)] + (12 if octaves and step >= 8 else 0)
                notes.append(Note(self.human(self.at(section.first_bar + bar, step)), length * self.bar_s / STEPS * short,
                                  int(pitch), self.velocity(92 if step % 4 == 0 else 78)))
        return notes

    def _motif(self):
        rows = [self.pick(self.book.MELODIES) for _ in range(2)]
        return [rows[0], rows[1], rows[0], self.pick(self.book.MELODIES)]

    def _melody(self, section, center, reach, motif, legato):
        rng = self.rng
        scales = (PENTATONIC_MINOR, MINOR) if self.minor else (PENTATONIC_MAJOR, MAJOR)
        scale = scale_pitches(self.tonic, scales[0] if rng.random() < 0.6 else scales[1], center - reach, center + reach)
        place = len(scale) // 2
        notes = []
        for bar in range(section.bars):
            for step, length, _ in self._spans(motif[bar % len(motif)]):
                place = int(np.clip(place + rng.choice([-2, -1, -1, 0, 1, 1, 2]), 0, len(scale) - 1))
                pitch = scale[place]
                if step % 8 == 0 or length > 2:
                    classes = self._chord(section, bar, step).pitch_classes()
                    pitch = min((nearest(c, pitch) for c in classes[:3]), key=lambda p: abs(p - pitch))
                notes.append(Note(self.human(self.at(section.first_bar + bar, step)), length * self.bar_s / STEPS * legato,
                                  int(pitch), self.velocity(96)))
        return notes

    def _writer(self, role):
        """Returns the function that writes the part of a role of the "other" stem."""
        rng = self.rng
        if role in ("lead", "lead_guitar", "sax", "wind", "fiddle", "vibraphone", "steel_guitar"):
            motif, center = self._motif(), int(rng.integers(64, 79))
            return lambda section: self._melody(section, center, 9, motif, rng.uniform(0.7, 1.0))
        if role in ("arpeggio", "plucked", "mallet", "steel_drum"):
            center = int(rng.integers(60, 77))
            return lambda section: self._arpeggio(section, center)
        if role in ("pad", "strings"):
            center = int(rng.integers(58, 70))
            return lambda section: self._comp(section, "sustained", center, role)
        kind = str(rng.choice(self.style.comping))
        if role == "organ" and rng.random() < 0.5:
            kind = "sustained"
        center = int(rng.integers(55, 66))
        return lambda section: self._comp(section, kind, center, role)
