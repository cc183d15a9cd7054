# SPDX-License-Identifier: MIT
"""Effects on stereo float arrays of shape [samples, 2]."""

import numba
import numpy as np
from scipy import ndimage, signal

from . import RATE_HZ


def db(decibels):
    return 10.0 ** (decibels / 20.0)


def rms(audio):
    flat = np.ascontiguousarray(audio).ravel()
    return float(np.sqrt(np.dot(flat, flat) / flat.size + 1e-20))


def peaks(audio):
    """Returns the larger magnitude of the two channels at each sample."""
    return np.maximum(np.abs(audio[:, 0]), np.abs(audio[:, 1]))


def _peak(freq_hz, gain_db, q):
    a = 10.0 ** (gain_db / 40.0)
    w = 2 * np.pi * min(freq_hz, RATE_HZ * 0.45) / RATE_HZ
    alpha = np.sin(w) / (2 * q)
    return np.array([1 + alpha * a, -2 * np.cos(w), 1 - alpha * a, 1 + alpha / a, -2 * np.cos(w), 1 - alpha / a]) \
        / (1 + alpha / a)


def _shelf(freq_hz, gain_db, high):
    a = 10.0 ** (gain_db / 40.0)
    w = 2 * np.pi * freq_hz / RATE_HZ
    cos, root = np.cos(w), 2 * np.sqrt(a) * np.sin(w) / np.sqrt(2)
    s = -1 if high else 1
    row = np.array([a * ((a + 1) - s * (a - 1) * cos + root), s * 2 * a * ((a - 1) - s * (a + 1) * cos),
                    a * ((a + 1) - s * (a - 1) * cos - root),
                    (a + 1) + s * (a - 1) * cos + root, -s * 2 * ((a - 1) + s * (a + 1) * cos),
                    (a + 1) + s * (a - 1) * cos - root])
    return row / row[3]


def equalise(audio, bands):
    return signal.sosfilt(np.array(bands), audio, axis=0)


def pass_filter(audio, freq_hz, kind, order=2):
    sos = signal.butter(order, np.minimum(freq_hz, RATE_HZ * 0.45), kind, fs=RATE_HZ, output="sos")
    return signal.sosfilt(sos, audio, axis=0)


def random_eq(audio, rng, depth_db=4.0):
    """Applies a few gentle random bands, which stand for different mixing desks and rooms."""
    return equalise(audio, [
        _shelf(rng.uniform(80, 250), rng.uniform(-depth_db, depth_db), high=False),
        _peak(np.exp(rng.uniform(np.log(200), np.log(1200))), rng.uniform(-depth_db, depth_db), 0.9),
        _peak(np.exp(rng.uniform(np.log(1200), np.log(6000))), rng.uniform(-depth_db, depth_db), 0.9),
        _shelf(rng.uniform(5000, 10000), rng.uniform(-depth_db, depth_db), high=True)])


@numba.njit(cache=True, fastmath=True)
def _saturate(audio, gain, asymmetry):
    """Applies tanh with its antiderivative, which reduces aliasing without oversampling."""
    out = np.empty_like(audio)
    rest = np.tanh(asymmetry)
    for channel in range(audio.shape[1]):
        before = asymmetry
        before_integral = np.log(np.cosh(before))
        for i in range(len(audio)):
            x = min(max(audio[i, channel] * gain + asymmetry, -300.0), 300.0)
            integral = abs(x) + np.log1p(np.exp(-2.0 * abs(x))) - 0.6931471805599453
            if abs(x - before) > 1e-4:
                value = (integral - before_integral) / (x - before)
            else:
                value = np.tanh(0.5 * (x + before))
            out[i, channel] = value - rest
            before = x
            before_integral = integral
    return out


def drive(audio, gain_db, asymmetry=0.0):
    """Applies saturation and keeps the level about the same."""
    level = rms(audio)
    if level < 1e-6:
        return audio
    shaped = _saturate(np.asarray(audio, np.float64), db(gain_db) * 0.2 / level, asymmetry)
    return shaped * (level / rms(shaped))


def amplifier(audio, rng, gain_db):
    """Simulates a guitar amplifier: tight low end, one or two stages of gain, and a random
    cabinet."""
    audio = pass_filter(audio, rng.uniform(80, 250), "highpass")
    audio = equalise(audio, [_peak(rng.uniform(600, 1200), rng.uniform(2, 8), 0.7)])
    audio = drive(audio, gain_db, rng.uniform(0, 0.3))
    if gain_db > 20:
        audio = drive(pass_filter(audio, 120, "highpass", 1), gain_db * 0.5)
    return cabinet(audio, rng)


def cabinet(audio, rng):
    audio = pass_filter(audio, rng.uniform(3500, 6500), "lowpass", 4)
    audio = pass_filter(audio, rng.uniform(60, 110), "highpass")
    return equalise(audio, [_peak(np.exp(rng.uniform(np.log(300), np.log(4000))), rng.uniform(-5, 5), rng.uniform(1, 3))
                            for _ in range(3)])


@numba.njit(cache=True, fastmath=True)
def _follow(level, attack, release):
    out = np.empty_like(level)
    state = 0.0
    for i in range(len(level)):
        rate = attack if level[i] > state else release
        state += rate * (level[i] - state)
        out[i] = state
    return out


def compressor_gain(key, threshold_db, ratio, attack_ms, release_ms):
    """Returns the gain curve [samples, 1] of a feed-forward compressor with the sidechain `key`."""
    level = peaks(key).astype(np.float64)
    rate = [1 - np.exp(-1 / (RATE_HZ * 0.001 * t)) for t in (attack_ms, release_ms)]
    level_db = 20 * np.log10(_follow(level, rate[0], rate[1]) + 1e-6)
    over = np.maximum(level_db - threshold_db, 0)
    return np.exp(over * ((1 / ratio - 1) * np.log(10) / 20))[:, None]


def compress(audio, rng, amount_db):
    """Reduces loud passages by about `amount_db` and restores the overall level."""
    level = rms(audio)
    threshold_db = 20 * np.log10(np.percentile(np.abs(audio[::16]), 99) + 1e-6) - amount_db
    ratio = rng.uniform(2, 6)
    out = audio * compressor_gain(audio, threshold_db, ratio, rng.uniform(1, 25), rng.uniform(50, 250))
    return out * (level / max(rms(out), 1e-9))


def limiter_gain(magnitude, ceiling):
    """Returns the gain curve [samples, 1] that keeps `magnitude` below the ceiling. It is smooth,
    looks ahead and never exceeds one."""
    need = np.minimum(1.0, ceiling / np.maximum(magnitude, 1e-9))
    span = int(0.004 * RATE_HZ)
    floor = ndimage.minimum_filter1d(need, 2 * span + 1)
    release = 1 - np.exp(-1 / (RATE_HZ * 0.06))
    held = 1 - _follow(1 - floor, 1.0, release)
    smooth = ndimage.uniform_filter1d(held, span)
    return np.minimum(smooth, 1.0)[:, None]


def impulse_response(rng, seconds, brightness_hz, predelay_ms=0.0, reflections=12):
    """Returns the impulse response of a stereo room: a few early reflections, then noise whose high
    end decays first."""
    n = int(seconds * 1.3 * RATE_HZ)
    t = np.arange(n)[:, None] / RATE_HZ
    noise = rng.standard_normal((n, 2))
    tail = np.zeros((n, 2))
    bands = signal.butter(1, brightness_hz, "lowpass", fs=RATE_HZ, output="sos")
    dark = signal.sosfilt(bands, noise, axis=0)
    tail += dark * 10 ** (-3 * t / seconds) + (noise - dark) * 0.6 * 10 ** (-3 * t / (seconds * 0.45))
    tail *= np.minimum(1, t / 0.01)
    for _ in range(reflections):
        tail[int(rng.uniform(0.002, 0.05) * RATE_HZ), rng.integers(2)] += rng.uniform(-1, 1) * 8
    tail = pass_filter(tail, rng.uniform(120, 300), "highpass", 1)
    tail /= np.sqrt(np.sum(tail ** 2, axis=0, keepdims=True))
    return np.concatenate([np.zeros((int(predelay_ms * 0.001 * RATE_HZ), 2)), tail]).astype(np.float32)


def convolve(audio, response):
    mono = audio.astype(np.float32)
    return signal.oaconvolve(mono, response, axes=0)[: len(audio)]


def delay(audio, time_s, feedback, wet):
    """Adds a ping-pong echo."""
    out = audio.copy()
    step = max(int(time_s * RATE_HZ), 1)
    echo, gain = pass_filter(audio, 4500, "lowpass", 1), wet
    for repeat in range(1, 6):
        echo = echo[:, ::-1]
        if repeat * step >= len(audio) or gain < 0.02:
            break
        out[repeat * step:] += echo[: len(audio) - repeat * step] * gain
        gain *= feedback
    return out


def chorus(audio, rng, depth_ms=3.0, wet=0.5):
    """Mixes each channel with a copy of itself at a small, wavering delay."""
    n = len(audio)
    index = np.arange(n, dtype=np.float64)
    out = audio.astype(np.float64)
    for channel in range(2):
        rate_hz, phase = rng.uniform(0.2, 1.5), rng.uniform(0, 2 * np.pi)
        lag = (8 + depth_ms * np.sin(2 * np.pi * rate_hz * index / RATE_HZ + phase)) * 0.001 * RATE_HZ
        out[:, channel] += wet * np.interp(index - lag, index, audio[:, channel])
    return out


def tremolo(audio, rate_hz, depth):
    t = np.arange(len(audio))[:, None] / RATE_HZ
    return audio * (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate_hz * t)))


def filter_sweep(audio, start_hz, stop_hz, blocks=64):
    """Applies a low pass that opens or closes over the whole length, in blocks with carried filter
    state."""
    out = np.empty_like(audio)
    state = np.zeros((1, 2, 2))
    edges = np.linspace(0, len(audio), blocks + 1).astype(int)
    for i in range(blocks):
        freq_hz = start_hz * (stop_hz / start_hz) ** (i / (blocks - 1))
        sos = signal.butter(2, min(freq_hz, 18000), "lowpass", fs=RATE_HZ, output="sos")
        out[edges[i]:edges[i + 1]], state = signal.sosfilt(sos, audio[edges[i]:edges[i + 1]], axis=0, zi=state)
    return out


def pan(mono, position):
    """Pans with constant power; -1 is left."""
    angle = (position + 1) * np.pi / 4
    return np.stack([mono * np.cos(angle), mono * np.sin(angle)], axis=1)


def width(audio, amount, position=0.0):
    """Scales the side signal, then pans the result towards `position`."""
    mid, side = audio.mean(axis=1), (audio[:, 0] - audio[:, 1]) * 0.5 * amount
    angle = (position + 1) * np.pi / 4
    return np.stack([(mid + side) * np.cos(angle), (mid - side) * np.sin(angle)], axis=1) * np.sqrt(2)
