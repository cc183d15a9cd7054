# SPDX-License-Identifier: MIT
"""Turns synthesised speech into singing: spoken words, analysed by WORLD, are stretched to the
notes and given their pitch."""

from functools import lru_cache
import subprocess
import tempfile

import numpy as np
import pyworld
from scipy import signal
import soundfile

from . import RATE_HZ, effects

_FRAME_MS = 5.0
WORDS = ("love", "day", "night", "light", "home", "road", "free", "time", "rain", "sun", "moon", "sky", "heart", "eyes",
         "mind", "soul", "fall", "rise", "run", "stay", "go", "know", "show", "blue", "true", "you", "me", "we", "now",
         "here", "there", "where", "why", "fly", "high", "low", "slow", "fire", "gold", "cold", "hold", "old", "world",
         "girl", "blow", "dream", "real", "feel", "steal", "oh", "ah", "la", "na", "hey", "yeah", "ooh", "down", "town",
         "sound", "round", "long", "song", "wrong", "strong", "gone", "alone", "again", "away", "baby", "never")


@lru_cache(maxsize=2000)
def _speak(engine, voice, word):
    """Returns which frames of the word are voiced, its envelope and aperiodicity, without
    surrounding silence, and its sampling rate."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "flite":
            command = ["flite", "-voice", voice, "-t", word, "-o", file.name]
        else:
            command = ["espeak-ng", "-v", voice, "-s", "130", "-w", file.name, word]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        audio, rate_hz = soundfile.read(file.name, dtype="float64")
    loud = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max())
    audio = audio[max(0, loud[0] - 200): loud[-1] + 400]
    f0_hz, times = pyworld.dio(audio, rate_hz, frame_period=_FRAME_MS)
    f0_hz = pyworld.stonemask(audio, f0_hz, times, rate_hz)
    envelope = pyworld.cheaptrick(audio, f0_hz, times, rate_hz)
    aperiodicity = pyworld.d4c(audio, f0_hz, times, rate_hz)
    return f0_hz > 0, envelope, aperiodicity, rate_hz


def _stretch(voiced, frames):
    """Returns the word's frame for each frame of a note, and how many frames the word must start
    early. In long notes, consonants keep their length and the vowel is stretched."""
    count = len(voiced)
    sounding = np.flatnonzero(voiced)
    if len(sounding) < 4 or frames <= count:
        return np.linspace(0, count - 1, frames), 0
    head, tail = min(sounding[0] + 4, count // 2), min(count - sounding[-1] + 3, count // 3)
    middle = np.linspace(head, count - tail - 1, max(frames - head - tail, 1))
    index = np.concatenate([np.arange(head), middle, np.arange(count - tail, count)])[:frames]
    return index, min(int(sounding[0]), 30)


def _shift_formants(envelope, ratio):
    bins = np.minimum(np.arange(envelope.shape[1]) / ratio, envelope.shape[1] - 1)
    low = bins.astype(int)
    high = np.minimum(low + 1, envelope.shape[1] - 1)
    share = bins - low
    return np.ascontiguousarray(envelope[:, low] * (1 - share) + envelope[:, high] * share)


def _take(rng, engine, voice, words, notes, length, formants):
    """Renders one take of the song, mono, at the song's rate."""
    total = int(length / RATE_HZ * 1000 / _FRAME_MS) + 1
    words_said = [_speak(engine, voice, word) for word in words]
    rate_hz, bins = words_said[0][3], words_said[0][1].shape[1]
    f0_hz = np.zeros(total)
    envelope = np.full((total, bins), 1e-14)
    aperiodicity = np.full((total, bins), 0.999)
    vibrato_hz, vibrato = rng.uniform(4.5, 6.5), rng.uniform(10, 55)
    previous = None
    for i, note in enumerate(sorted(notes, key=lambda n: n.start_s)):
        voiced, word_envelope, word_aperiodicity, _ = words_said[i % len(words_said)]
        frames = max(int(note.length_s * 1000 / _FRAME_MS), 8)
        index, lead = _stretch(voiced, frames)
        first = max(int(note.start_s * 1000 / _FRAME_MS) - lead, 0)
        count = min(len(index), total - first)
        if count < 8:
            continue
        index = np.round(index[:count]).astype(int)
        t_s = np.arange(count) * _FRAME_MS / 1000
        cents = vibrato * np.sin(2 * np.pi * vibrato_hz * t_s) * np.clip((t_s - 0.25) / 0.3, 0, 1)
        cents += np.cumsum(rng.normal(0, 1.2, count)) + rng.normal(0, 6)
        if previous is not None:
            cents += (previous - note.pitch) * 100 * np.exp(-t_s / 0.03)
        f0_hz[first:first + count] = np.where(voiced[index], 440 * 2 ** ((note.pitch - 69) / 12 + cents / 1200), 0)
        fade = np.minimum(1, np.minimum(np.arange(count) + 1, np.arange(count, 0, -1)) / 6)[:, None]
        gain = (note.velocity / 100) ** 2 * fade ** 2
        envelope[first:first + count] = word_envelope[index] * gain + 1e-14
        aperiodicity[first:first + count] = word_aperiodicity[index]
        previous = note.pitch
    audio = pyworld.synthesize(f0_hz, _shift_formants(envelope, formants), aperiodicity, rate_hz, _FRAME_MS)
    divisor = np.gcd(rate_hz, RATE_HZ)
    audio = signal.resample_poly(audio, RATE_HZ // divisor, rate_hz // divisor)[:length]
    return np.pad(audio, (0, length - len(audio)))


def sing(rng, sources, notes, length):
    """Returns samples and the voice's name: a lead voice, sometimes doubled or with a harmony."""
    engine, voice = sources.voices[rng.integers(len(sources.voices))]
    words = [str(word) for word in rng.choice(WORDS, 14)]
    formants = rng.uniform(0.9, 1.18)
    lead = _take(rng, engine, voice, words, notes, length, formants)
    level = effects.rms(lead)
    audio = effects.pan(lead, rng.uniform(-0.1, 0.1))
    if rng.random() < 0.4:
        shift = int(rng.choice([0, 0, 12, -12, 7]))
        harmony = [type(n)(n.start_s + 0.012, n.length_s, n.pitch + shift, n.velocity) for n in notes]
        for place in (-0.6, 0.6):
            second = _take(rng, engine, voice, words, harmony, length, formants * rng.uniform(0.95, 1.05))
            audio += effects.pan(second, place) * rng.uniform(0.25, 0.6)
    audio = effects.pass_filter(audio, rng.uniform(80, 140), "highpass")
    air = effects.pass_filter(effects.drive(effects.pass_filter(audio, 3000, "highpass"), 14), 5000, "highpass")
    audio = audio + air * rng.uniform(0.3, 1.0)
    if level > 1e-6:
        audio = effects.compress(effects.random_eq(audio, rng, 3), rng, rng.uniform(4, 10))
    if rng.random() < 0.3:
        audio = effects.delay(audio, rng.uniform(0.15, 0.45), 0.35, rng.uniform(0.08, 0.3))
    return audio, f"{engine}:{voice}"
