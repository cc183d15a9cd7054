# SPDX-License-Identifier: MIT
"""The cases that museval and spleeterd evaluate: true stems and estimates, float32 [samples, 2].
Integers and correctly rounded operations make the bits the same on any machine."""

import numpy as np

RATE = 44100


def noise(seed, count):
    """Returns `count` numbers from -1 to 1, by a mixing hash of (seed, index)."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503 + 12345)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float64) / 2.0**23 - 1


def smooth(signal, taps):
    """Applies a moving average twice. This removes high frequencies, so the correlations become
    nearly singular."""
    for _ in range(2):
        sums = np.concatenate([[0], np.cumsum(np.rint(signal * 2.0**20))])
        signal = np.concatenate([np.zeros(taps - 1), sums[taps:] - sums[:-taps]]) / (taps * 2.0**20)
    return signal


def stem(seed, count, taps, level):
    """Returns two correlated channels whose volume changes in steps, every half second."""
    middle, side = smooth(noise(seed, count), taps), smooth(noise(seed + 50, count), taps)
    steps = np.array([4, 7, 2, 8, 5, 3, 6, 1], np.float64)[np.arange(count) // (RATE // 2) % 8] / 8
    return level * steps[:, None] * np.stack([middle + side / 4, middle - side / 2], 1)


def delayed(signal, samples):
    return np.concatenate([np.zeros((samples, 2)), signal[:len(signal) - samples]])


def estimate(stems, i, quality):
    """Returns the i-th stem with a delayed copy of itself, leakage of the others, and noise."""
    own = stems[i] * 0.75 + delayed(stems[i], 40 + 11 * i)[:, ::-1] * 0.25
    leak = sum(delayed(s, 7 * k) for k, s in enumerate(stems) if k != i) * quality
    dirt = np.stack([noise(900 + i, len(own)), noise(950 + i, len(own))], 1) * quality * 0.1
    return own + leak + dirt


def make(name, names, count, taps, qualities, change=None):
    stems = [stem(10 * i + 1, count, taps[i % len(taps)], 0.5 / (1 + i)) for i in range(len(names))]
    estimates = [estimate(stems, i, qualities[i % len(qualities)]) for i in range(len(names))]
    if change:
        change(stems, estimates)
    as_float = [[s.astype(np.float32) for s in side] for side in (stems, estimates)]
    return {"name": name, "truth": dict(zip(names, as_float[0])), "estimates": dict(zip(names, as_float[1]))}


TWO = ["vocals", "accompaniment"]
FOUR = ["vocals", "drums", "bass", "other"]


def pauses(stems, estimates):
    stems[0][2 * RATE:3 * RATE + 100] = 0
    estimates[1][4 * RATE:5 * RATE] = 0


def mono(stems, estimates):
    for s in stems:
        s[:, 1] = s[:, 0]
    estimates[0][:, 1] = estimates[0][:, 0]


def one_side(stems, estimates):
    stems[1][:, 1] = 0
    estimates[1][:, 0] = 0


def perfect(stems, estimates):
    estimates[0] = stems[0].copy()


def shorter(stems, estimates):
    for i, e in enumerate(estimates):
        estimates[i] = e[:3 * RATE + 5000]


def all_cases():
    return [
        make("two_stems", TWO, 5 * RATE + 20000, [3, 5], [0.05, 0.2]),
        make("four_stems", FOUR, 6 * RATE, [2, 1, 40, 6], [0.1, 0.3, 0.02]),
        make("dull", TWO, 4 * RATE, [60, 200], [0.01, 0.001]),
        make("pauses", TWO, 6 * RATE, [3, 5], [0.1], pauses),
        make("mono", TWO, 3 * RATE, [3, 5], [0.1], mono),
        make("one_side", TWO, 3 * RATE, [3, 5], [0.1], one_side),
        make("perfect", TWO, 3 * RATE, [3, 5], [0.1], perfect),
        make("short_estimates", TWO, 5 * RATE, [3, 5], [0.1], shorter),
        make("half_a_second", TWO, RATE // 2, [3, 5], [0.1]),
    ]
