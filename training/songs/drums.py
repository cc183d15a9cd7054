# SPDX-License-Identifier: MIT
"""Drum kits: sampled (Hydrogen), mixed from one-shots, from a soundfont, or synthesised. A hit is
(time_s, piece, velocity)."""

from functools import lru_cache
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from scipy import signal
import soundfile

from . import RATE_HZ, effects, fluid
from .sources import ONE_SHOTS
from .theory import Note

PIECES = ("kick", "snare", "rim", "clap", "hat_closed", "hat_pedal", "hat_open", "tom_high", "tom_mid", "tom_low",
          "crash", "china", "ride", "cowbell", "tambourine", "shaker", "clave", "conga_high", "conga_low", "bongo_high",
          "bongo_low")
GM_KEYS = dict(zip(PIECES, (36, 38, 37, 39, 42, 44, 46, 50, 47, 43, 49, 52, 51, 56, 54, 70, 75, 63, 64, 60, 61)))
_PANS = {"hat": 0.35, "tom_high": 0.3, "tom_low": -0.4, "crash": -0.4, "china": 0.4, "ride": -0.35, "cowbell": 0.2,
         "tambourine": 0.3, "shaker": -0.3, "conga": 0.35, "bongo": -0.35, "clave": 0.4}
_NAMES = (  # the first match applies
    ("hat_pedal", r"ped|hat 1 pd"), ("hat_open", r"(open|swish|side ohh|hat op|hat 1 op|hat free)"),
    ("hat_closed", r"(clos|chh|hh|hat)"),
    ("rim", r"(stick|rim click|^rim$|cajon slap)"), ("clap", r"clap"),
    ("snare", r"(snare(?! roll)|djembe\d slap)"), ("kick", r"(kick|bass ?drum|cajon thump|djembe\d bass)"),
    ("tom_low", r"(tom ?low|floor|dununba1 head hit)"), ("tom_mid", r"(tom ?mid|tom 2|^tom$|djembe\d tone)"),
    ("tom_high", r"(tom ?hi|tom 1)"), ("china", r"china"), ("ride", r"(ride|paiste bell)"),
    ("crash", r"(crash|splash|cymbal)"), ("cowbell", r"(cowbell|agogo|bell hit)"), ("tambourine", r"tambourine(?! pedal)"),
    ("shaker", r"(shaker|maraca)"), ("clave", r"(clave|woodblock hi)"), ("conga_high", r"conga( 2)?$"),
    ("bongo_high", r"bongo hi"), ("bongo_low", r"bongo lo"),
)
_SUBSTITUTES = {"hat_pedal": "hat_closed", "china": "crash", "rim": "snare", "clap": "snare", "conga_high": "tom_high",
                "conga_low": "tom_low", "bongo_high": "tom_high", "bongo_low": "tom_mid", "clave": "rim",
                "tambourine": "shaker", "shaker": "hat_closed"}


@lru_cache(maxsize=200)
def load_sample(path):
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    if audio.shape[1] == 1:
        audio = np.repeat(audio, 2, axis=1)
    audio = audio[: rate_hz * 5, :2]
    if rate_hz != RATE_HZ:
        divisor = np.gcd(rate_hz, RATE_HZ)
        audio = signal.resample_poly(audio, RATE_HZ // divisor, rate_hz // divisor, axis=0).astype(np.float32)
    return audio


@lru_cache(maxsize=None)
def read_hydrogen_kit(folder):
    """Returns {piece: alternatives}, each a list of sample paths from soft to loud."""
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"|\sxsi:\w+="[^"]*"', "", (folder / "drumkit.xml").read_text(errors="replace"))
    pieces = {}
    for instrument in ElementTree.fromstring(text).iter("instrument"):
        name = (instrument.findtext("name") or "").lower()
        layers = sorted((float(layer.findtext("max") or 1), layer.findtext("filename"))
                        for layer in instrument.iter("layer") if layer.findtext("filename"))
        files = [filename for _, filename in layers] or [instrument.findtext("filename")]
        paths = [str(folder / filename) for filename in files if filename and "empty" not in filename.lower()
                 and (folder / filename).exists()]
        piece = next((piece for piece, pattern in _NAMES if re.search(pattern, name)), None)
        if piece and paths:
            pieces.setdefault(piece, []).append(paths)
    return pieces


def one_shot_pieces(folder_patterns=ONE_SHOTS):
    return {piece: [[str(path)] for folder, pattern in places for path in sorted(folder.glob(pattern))]
            for piece, places in folder_patterns.items()}


class SampledKit:
    """Uses one alternative per piece, slightly retuned and shortened, and panned from the drummer's
    perspective."""

    def __init__(self, rng, pieces, fallback):
        self._samples, self._gain, self._rng = {}, {}, rng
        for piece in PIECES:
            source = self._find(piece, pieces, fallback)
            layers = [load_sample(path) for path in source[rng.integers(len(source))]]
            self._samples[piece] = self._vary(piece, layers)
        self._mirror = rng.choice([-1, 1])
        self._width = rng.uniform(0.3, 1)

    @staticmethod
    def _find(piece, pieces, fallback):
        """Returns the alternatives for a piece: from the kit, from the fallback, or of its
        substitute."""
        while not (pieces.get(piece) or fallback.get(piece)):
            piece = _SUBSTITUTES[piece]
        return pieces.get(piece) or fallback[piece]

    def _vary(self, piece, layers):
        rng = self._rng
        tune = 1 + rng.uniform(-0.08, 0.08)
        decay_s = rng.uniform(0.15, 0.9) if piece in ("kick", "snare", "hat_closed", "clap") else 10
        target = {"kick": 0.8, "snare": 0.7, "clap": 0.5, "crash": 0.45, "china": 0.4, "ride": 0.3}.get(piece)
        target = target or (0.3 if "hat" in piece or piece in ("shaker", "tambourine") else 0.5)
        varied = []
        for layer in layers:
            count = int(len(layer) / tune)
            index = np.arange(count) * tune
            layer = np.stack([np.interp(index, np.arange(len(layer)), layer[:, c]) for c in range(2)], axis=1)
            layer *= np.minimum(1, 10 ** (-3 * (np.arange(count)[:, None] / RATE_HZ - decay_s * 0.6) / decay_s))
            varied.append(layer.astype(np.float32))
        loudest = max(np.abs(layer).max() for layer in varied) + 1e-9
        level = target * effects.db(rng.uniform(-2.5, 2.5))
        return [layer * (level / (np.abs(layer).max() * 0.7 + loudest * 0.3 + 1e-9)) for layer in varied]

    def render(self, hits, length):
        """Returns the buses kick, snare and rest by name, so that they can be processed
        separately."""
        buses = {name: np.zeros((length, 2), np.float32) for name in ("kick", "snare", "rest")}
        last_open = None
        for time_s, piece, velocity in sorted(hits):
            layers = self._samples[piece]
            sample = layers[min(int(velocity / 128 * len(layers)), len(layers) - 1)]
            start = int(time_s * RATE_HZ)
            count = min(len(sample), length - start)
            if count <= 0:
                continue
            bus = buses[piece if piece in buses else "snare" if piece in ("rim", "clap") else "rest"]
            if piece.startswith("hat"):
                last_open = self._choke(buses["rest"], start, last_open)
            gain = (velocity / 127) ** 1.6
            place = next((p for name, p in _PANS.items() if piece.startswith(name)), 0) * self._mirror * self._width
            part = effects.width(sample[:count], self._width, place).astype(np.float32) * gain
            bus[start:start + count] += part
            if piece == "hat_open":
                last_open = (start, part)
        return buses

    @staticmethod
    def _choke(bus, start, last_open):
        if last_open is not None and start < last_open[0] + len(last_open[1]):
            rest = last_open[1][start - last_open[0]:]
            fade = np.exp(-np.arange(len(rest))[:, None] / (0.02 * RATE_HZ)).astype(np.float32)
            bus[start:start + len(rest)] -= rest * (1 - fade)
        return None


class SoundfontKit:
    def __init__(self, font, bank, program):
        self._font, self._bank, self._program = font, bank, program

    def render(self, hits, length):
        groups = {"kick": [], "snare": [], "rest": []}
        for time_s, piece, velocity in hits:
            bus = piece if piece in groups else "snare" if piece in ("rim", "clap") else "rest"
            groups[bus].append(Note(time_s, 0.3, GM_KEYS[piece], velocity))
        return {bus: fluid.render(self._font, self._program, notes, length, self._bank)
                for bus, notes in groups.items()}


def synthesised_pieces(rng):
    """Simulates an analogue drum machine with random settings: {piece: one mono sample as
    stereo}."""
    def timeline(seconds):
        return np.arange(int(seconds * RATE_HZ)) / RATE_HZ

    def noise(t):
        return rng.standard_normal(len(t))

    def kick():
        t = timeline(rng.uniform(0.25, 0.9))
        low, high, speed = rng.uniform(42, 62), rng.uniform(120, 450), rng.uniform(20, 90)
        phase = 2 * np.pi * np.cumsum(low + high * np.exp(-t * speed)) / RATE_HZ
        body = np.sin(phase) * np.exp(-t * 5 / t[-1])
        click = noise(t) * np.exp(-t * 400) * rng.uniform(0, 0.5)
        return np.tanh((body + click) * rng.uniform(1, 4))

    def snare():
        t = timeline(rng.uniform(0.15, 0.4))
        tone_hz = rng.uniform(150, 250)
        tone = (np.sin(2 * np.pi * tone_hz * t) + 0.6 * np.sin(2 * np.pi * tone_hz * 1.8 * t)) * np.exp(-t * 22)
        rattle = effects.pass_filter(noise(t), rng.uniform(900, 3000), "highpass") * np.exp(-t * rng.uniform(10, 25))
        return tone * rng.uniform(0.3, 1) + rattle * rng.uniform(0.4, 0.9)

    def clap():
        t = timeline(0.35)
        bursts = sum(np.exp(-np.maximum(t - d, 0) * 250) * (t >= d) for d in (0, 0.011, 0.022)) + \
            0.7 * np.exp(-np.maximum(t - 0.03, 0) * rng.uniform(12, 25)) * (t >= 0.03)
        return effects.pass_filter(noise(t), [rng.uniform(700, 1000), rng.uniform(2500, 6000)], "bandpass") * bursts

    def metal(seconds, highpass_hz):
        t = timeline(seconds)
        base = rng.uniform(180, 420)
        ratios = (1, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
        tone = sum(signal.square(2 * np.pi * base * ratio * t) for ratio in ratios) / 6
        tone = tone + noise(t) * rng.uniform(0.1, 1.0)
        return effects.pass_filter(tone, highpass_hz, "highpass", 4) * np.exp(-t * 6 / seconds)

    def tom(freq_hz):
        t = timeline(0.5)
        return np.sin(2 * np.pi * np.cumsum(freq_hz * (1 + 0.6 * np.exp(-t * 25))) / RATE_HZ) * np.exp(-t * 9)

    def blip(freq_hz):
        t = timeline(0.08)
        return np.sin(2 * np.pi * freq_hz * t) * np.exp(-t * 60) + 0.1 * noise(t) * np.exp(-t * 300)

    def cowbell():
        t = timeline(0.3)
        return effects.pass_filter(signal.square(2 * np.pi * 540 * t) + signal.square(2 * np.pi * 800 * t),
                                   [400, 3000], "bandpass") * np.exp(-t * 14)

    highpass_hz = rng.uniform(5000, 9000)
    made = {
        "kick": kick(), "snare": snare(), "clap": clap(), "rim": blip(rng.uniform(900, 1900)),
        "hat_closed": metal(rng.uniform(0.04, 0.12), highpass_hz), "hat_open": metal(rng.uniform(0.25, 0.6), highpass_hz),
        "crash": metal(1.8, 3500), "ride": metal(0.7, 6000), "tom_high": tom(rng.uniform(160, 230)),
        "tom_mid": tom(rng.uniform(110, 160)), "tom_low": tom(rng.uniform(70, 105)), "cowbell": cowbell(),
        "shaker": effects.pass_filter(noise(timeline(0.07)), 5000, "highpass") * np.hanning(int(0.07 * RATE_HZ)),
        "conga_high": tom(300), "conga_low": tom(200), "clave": blip(2400),
    }
    return {piece: np.repeat(sample[:, None], 2, axis=1).astype(np.float32) for piece, sample in made.items()}


class SynthesisedKit(SampledKit):
    def __init__(self, rng):
        self._rng = rng
        made = synthesised_pieces(rng)
        self._samples = {piece: self._vary(piece, [made[piece if piece in made else self._nearest(piece, made)]])
                         for piece in PIECES}
        self._mirror, self._width = rng.choice([-1, 1]), rng.uniform(0, 1)

    @staticmethod
    def _nearest(piece, made):
        while piece not in made:
            piece = _SUBSTITUTES[piece]
        return piece


def choose_kit(rng, sources, electronic):
    """Returns a kit and its name for the song's description."""
    fallback = read_hydrogen_kit(sources.fallback_kit)
    draw = rng.random()
    if sources.synthesis and draw < (0.4 if electronic else 0.04):
        return SynthesisedKit(rng), "synthesis"
    if sources.one_shots and draw < (0.65 if electronic else 0.2):
        pieces = one_shot_pieces()
        for folder in sources.kits + sources.machines:
            for piece, alternatives in read_hydrogen_kit(folder).items():
                pieces.setdefault(piece, []).extend(alternatives if rng.random() < 0.3 else [])
        return SampledKit(rng, pieces, fallback), "one-shots of sonic-pi-samples, lmms-common and kits"
    if draw > 1 - sources.drum_font_share[electronic]:
        font, bank, programs = sources.drum_fonts[rng.integers(len(sources.drum_fonts))]
        return SoundfontKit(font, bank, int(rng.choice(programs))), font.stem
    kits = sources.machines if electronic else sources.kits
    folder = kits[rng.integers(len(kits))]
    pieces = dict(read_hydrogen_kit(folder))
    if sources.percussion_kits:
        extra = read_hydrogen_kit(sources.percussion_kits[rng.integers(len(sources.percussion_kits))])
        pieces = {**extra, **pieces}
    return SampledKit(rng, pieces, fallback), folder.name
