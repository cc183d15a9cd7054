# SPDX-License-Identifier: MIT
"""Synthesised instruments: analogue-like oscillators and filter, FM, plucked strings, a
struck-string piano."""

import numba
import numpy as np

from . import RATE_HZ
from .effects import pan


@numba.njit(cache=True, fastmath=True)
def _saw(phase, step):
    value = 2.0 * phase - 1.0
    if phase < step:
        t = phase / step
        value -= t + t - t * t - 1.0
    elif phase > 1.0 - step:
        t = (phase - 1.0) / step
        value -= t * t + t + t + 1.0
    return value


@numba.njit(cache=True, fastmath=True)
def _envelope(i, length, attack, decay, sustain, release):
    if i < attack:
        value = i / attack
    else:
        value = sustain + (1.0 - sustain) * np.exp(-(i - attack) / decay)
    if i >= length:
        value *= np.exp(-(i - length) / release)
    return value


@numba.njit(cache=True, fastmath=True)
def _analogue(freq_hz, from_hz, length, total, shape, detune, sub, noise, amp, filt, cutoff_hz, sweep_octaves,
              resonance, vibrato_hz, vibrato_cents, pulse_width, seed):
    """Renders one voice: three oscillators (shape 0 saw, 1 pulse, 2 triangle, 3 sine), a sine an
    octave below, noise and a swept low pass."""
    np.random.seed(seed)
    out = np.empty(total, np.float32)
    phase = np.random.random(3)
    sub_phase = 0.0
    low = 0.0
    band = 0.0
    base = freq_hz
    g = 0.0
    for i in range(total):
        if i % 16 == 0:
            base = freq_hz
            if from_hz > 0:
                base *= (from_hz / freq_hz) ** np.exp(-i / (0.03 * 44100))
            wave = np.sin(6.2831853 * vibrato_hz * i / 44100.0) * min(1.0, i / 22050.0)
            base *= 2.0 ** (vibrato_cents / 1200.0 * wave)
            env = _envelope(i, length, filt[0], filt[1], filt[2], filt[3])
            g = np.tan(3.14159265 * min(cutoff_hz * 2.0 ** (sweep_octaves * env), 16000.0) / 44100.0)
        value = 0.0
        for k in range(3):
            step = base * (1.0 + (k - 1) * detune) / 44100.0
            phase[k] += step
            if phase[k] >= 1.0:
                phase[k] -= 1.0
            p = phase[k]
            if shape == 0:
                value += _saw(p, step)
            elif shape == 1:
                q = p + pulse_width
                if q >= 1.0:
                    q -= 1.0
                value += _saw(p, step) - _saw(q, step)
            elif shape == 2:
                value += 4.0 * abs(p - 0.5) - 1.0
            else:
                value += np.sin(6.2831853 * p)
            if detune == 0.0:
                value *= 3.0
                break
        value *= 0.33
        sub_phase += base * 0.5 / 44100.0
        if sub_phase >= 1.0:
            sub_phase -= 1.0
        value += sub * np.sin(6.2831853 * sub_phase) + noise * (np.random.random() * 2.0 - 1.0)
        high = (value - (resonance + g) * band - low) / (1.0 + g * (g + resonance))
        mid = g * high + band
        band = g * high + mid
        lowpass = g * mid + low
        low = g * mid + lowpass
        out[i] = lowpass * _envelope(i, length, amp[0], amp[1], amp[2], amp[3])
    return out


@numba.njit(cache=True, fastmath=True)
def _fm(freq_hz, length, total, ratio, index, index_decay, feedback, decay, release, ratio2, index2):
    out = np.empty(total, np.float32)
    a = 0.0
    b = 0.0
    c = 0.0
    last = 0.0
    for i in range(total):
        t = i / 44100.0
        env = np.exp(-t / decay) * min(1.0, i / 40.0)
        if i >= length:
            env *= np.exp(-(i - length) / release)
        b += freq_hz * ratio / 44100.0
        c += freq_hz * ratio2 / 44100.0
        last = np.sin(6.2831853 * b + feedback * last)
        a += freq_hz / 44100.0
        out[i] = env * np.sin(6.2831853 * a + index * np.exp(-t / index_decay) * last
                              + index2 * np.exp(-t / (index_decay * 0.3)) * np.sin(6.2831853 * c))
    return out


@numba.njit(cache=True, fastmath=True)
def _pluck(freq_hz, length, total, brightness, damping, position, muting, seed):
    """Renders Karplus-Strong synthesis with a fractional delay, a pick-position comb and a damped
    release."""
    np.random.seed(seed)
    period = 44100.0 / freq_hz - 0.5
    size = int(period)
    fraction = period - size
    line = np.empty(size + 1, np.float64)
    smooth = 0.0
    for i in range(size + 1):
        smooth += brightness * (np.random.random() * 2.0 - 1.0 - smooth)
        line[i] = smooth
    comb = max(1, int(size * position))
    excite = line.copy()
    for i in range(size + 1):
        line[i] = excite[i] - 0.9 * excite[i - comb]
    out = np.empty(total, np.float32)
    loss = damping ** (1.0 / freq_hz)
    mute_loss = 0.02 ** (1.0 / freq_hz)
    index = 0
    previous = 0.0
    for i in range(total):
        j = index + 1
        if j > size:
            j = 0
        value = line[index] * (1.0 - fraction) + line[j] * fraction
        filtered = (1.0 - muting) * value + muting * previous
        previous = value
        out[i] = value
        line[index] = filtered * (loss if i < length else mute_loss)
        index = j
    return out


@numba.njit(cache=True, fastmath=True)
def _struck(freq_hz, length, total, velocity, partials, inharmonicity, hardness, decay_s, strike, beat_cents, seed):
    """Renders the strings of one piano note: stretched partials with two-stage decay and slight
    beating."""
    np.random.seed(seed)
    out = np.zeros(total, np.float32)
    for k in range(1, partials + 1):
        f = freq_hz * k * np.sqrt(1.0 + inharmonicity * k * k)
        if f > 15000.0:
            break
        level = abs(np.sin(3.14159265 * k * strike)) * np.exp(-k * freq_hz / (hardness * (0.4 + velocity)))
        if level < 1e-4:
            continue
        tau = decay_s / (1.0 + 0.25 * k + f / 3000.0)
        for string in range(2):
            w = 6.2831853 * f * 2.0 ** (beat_cents * (string - 0.5) * (0.5 + np.random.random()) / 1200.0) / 44100.0
            c = np.cos(w)
            s = np.sin(w)
            phase = 6.2831853 * np.random.random()
            x = np.cos(phase) * level
            y = np.sin(phase) * level
            fast = np.exp(-1.0 / (tau * 44100.0 * (1.0 if string == 0 else 3.0)))
            damp = np.exp(-1.0 / (0.08 * 44100.0))
            heard = min(total, int(np.log(1e-4 / level) / np.log(fast)) + 1)
            for i in range(heard):
                out[i] += x
                decay = fast * damp if i >= length else fast
                x, y = (x * c - y * s) * decay, (x * s + y * c) * decay
    attack = 0.002 * 44100.0
    for i in range(min(total, 400)):
        out[i] *= 1.0 - np.exp(-i / attack)
    return out


def _hz(pitch):
    return 440.0 * 2.0 ** ((pitch - 69) / 12.0)


class Voice:
    """Plays notes with `one(note, previous, length, total, seed) -> mono`, spread over the stereo
    field by pitch; `previous` is the pitch of the previous note, or None."""

    tail_s = 0.4

    def __init__(self, rng, spread=0.0):
        self._seed = int(rng.integers(1 << 30))
        self._spread = spread

    def render(self, notes, length):
        out = np.zeros((length, 2), np.float32)
        previous = None
        for i, note in enumerate(sorted(notes, key=lambda n: n.start_s)):
            start = int(note.start_s * RATE_HZ)
            total = min(int((note.length_s + self.tail_s) * RATE_HZ), length - start)
            if total < 64:
                continue
            mono = self.one(note, previous, int(note.length_s * RATE_HZ), total, self._seed + i)
            mono[-64:] *= np.linspace(1, 0, 64, dtype=np.float32)
            place = self._spread * np.sin(note.pitch * 1.7)
            out[start:start + total] += pan(mono * (note.velocity / 127.0), place).astype(np.float32)
            previous = note.pitch
        return out


class Analogue(Voice):
    def __init__(self, rng, role):
        super().__init__(rng, 0.0 if role in ("bass", "lead") else rng.uniform(0, 0.6))
        bass = role == "bass"
        self.shape = int(rng.choice([0, 1, 2, 3] if bass else [0, 0, 1, 1, 2], p=[0.4, 0.3, 0.15, 0.15] if bass else None))
        self.detune = 0.0 if rng.random() < (0.5 if bass else 0.2) else rng.uniform(0.001, 0.009)
        self.sub = rng.uniform(0, 0.8) if bass else rng.uniform(0, 0.2) * (rng.random() < 0.3)
        self.noise = rng.uniform(0, 0.05) * (rng.random() < 0.3)
        self.pulse_width = rng.uniform(0.15, 0.5)
        self.resonance = rng.uniform(0.25, 1.6)
        self.glide = rng.random() < (0.25 if role in ("bass", "lead") else 0)
        self.vibrato = (rng.uniform(4, 6.5), rng.uniform(5, 30) if role == "lead" else rng.uniform(0, 4))
        slow = role == "pad"
        pluck = role in ("pluck", "arpeggio") or (bass and rng.random() < 0.6)
        attack = rng.uniform(0.1, 0.6) if slow else rng.uniform(0.001, 0.012)
        decay = rng.uniform(0.08, 0.5)
        release = rng.uniform(0.2, 0.8) if slow else rng.uniform(0.02, 0.25)
        self.amp = np.array([attack, decay * 2, rng.uniform(0, 0.4) if pluck else rng.uniform(0.6, 1), release]) \
            * [RATE_HZ, RATE_HZ, 1, RATE_HZ]
        self.filt = np.array([rng.uniform(0.1, 1.0) if slow else 0.002, decay, 0.0 if pluck else rng.uniform(0, 0.7),
                              release]) * [RATE_HZ, RATE_HZ, 1, RATE_HZ]
        self.cutoff_ratio = np.exp(rng.uniform(np.log(1.5), np.log(8 if bass else 12)))
        self.sweep = rng.uniform(0.5, 4.0)
        self.tail_s = min(release * 5, 1.5)

    def one(self, note, previous, length, total, seed):
        freq_hz = _hz(note.pitch)
        from_hz = _hz(previous) if self.glide and previous else 0.0
        sweep = self.sweep * (0.4 + 0.6 * note.velocity / 127)
        return _analogue(freq_hz, from_hz, length, total, self.shape, self.detune, self.sub, self.noise, self.amp,
                         self.filt, freq_hz * self.cutoff_ratio, sweep, self.resonance, self.vibrato[0],
                         self.vibrato[1], self.pulse_width, seed)


class Fm(Voice):
    def __init__(self, rng, role):
        super().__init__(rng, 0.0 if role in ("bass", "lead") else rng.uniform(0, 0.5))
        self.ratio = float(rng.choice([1, 1, 2, 3, 0.5] if role == "bass" else [1, 2, 3, 4, 7, 14]))
        self.ratio2 = float(rng.choice([1, 2, 5, 9, 14]))
        self.index, self.index2 = rng.uniform(0.5, 5), rng.uniform(0, 1.5) * (rng.random() < 0.5)
        self.index_decay = rng.uniform(0.05, 0.8)
        self.feedback = rng.uniform(0, 0.8)
        self.decay = rng.uniform(0.4, 2.5)
        self.release = rng.uniform(0.02, 0.2) * RATE_HZ

    def one(self, note, previous, length, total, seed):
        soft = 0.3 + 0.7 * note.velocity / 127
        return _fm(_hz(note.pitch), length, total, self.ratio, self.index * soft, self.index_decay, self.feedback,
                   self.decay, self.release, self.ratio2, self.index2 * soft)


class ElectricPiano(Fm):
    """A tine piano: FM at a ratio of one for the body and of fourteen for the strike."""

    def __init__(self, rng):
        super().__init__(rng, "piano")
        self.ratio, self.ratio2 = 1.0, 14.0
        self.index, self.index2 = rng.uniform(0.4, 2.0), rng.uniform(0.2, 1.0)
        self.index_decay, self.decay, self.feedback = rng.uniform(0.5, 1.5), rng.uniform(0.8, 2.5), 0.0


class Pluck(Voice):
    def __init__(self, rng, role):
        super().__init__(rng, 0.0 if role == "bass" else rng.uniform(0, 0.3))
        self.brightness = rng.uniform(0.15, 0.6) if role == "bass" else rng.uniform(0.3, 1.0)
        self.damping = 10 ** -rng.uniform(0.6, 2.5)
        self.position = rng.uniform(0.08, 0.4)
        self.muting = rng.uniform(0.1, 0.5)
        self.tail_s = 0.25

    def one(self, note, previous, length, total, seed):
        bright = min(1.0, self.brightness * (0.5 + note.velocity / 127))
        return _pluck(_hz(note.pitch), length, total, bright, self.damping, self.position, self.muting, seed)


class StruckPiano(Voice):
    def __init__(self, rng):
        super().__init__(rng, rng.uniform(0.1, 0.5))
        self.partials = int(rng.integers(18, 32))
        self.inharmonicity = np.exp(rng.uniform(np.log(1e-4), np.log(6e-4)))
        self.hardness = np.exp(rng.uniform(np.log(700), np.log(3500)))
        self.decay_s = rng.uniform(2.5, 6)
        self.strike = rng.uniform(0.09, 0.14)
        self.beat_cents = rng.uniform(0.3, 2.5) if rng.random() < 0.8 else rng.uniform(6, 14)
        self.tail_s = 0.35

    def one(self, note, previous, length, total, seed):
        freq_hz = _hz(note.pitch)
        decay_s = self.decay_s * 2.0 ** ((60 - note.pitch) / 24)
        return _struck(freq_hz, length, total, note.velocity / 127, self.partials, self.inharmonicity, self.hardness,
                       decay_s, self.strike, self.beat_cents, seed)


def riser(rng, length):
    """An upward noise sweep, as before a drop."""
    noise = rng.standard_normal((length, 2)) * 0.1
    from .effects import filter_sweep
    return filter_sweep(noise, 200, rng.uniform(6000, 15000)) * np.linspace(0, 1, length)[:, None] ** 2
