# SPDX-License-Identifier: MIT
"""Mixes parts into mastered stems. Mastering applies one gain curve to all stems, so that they
still sum to the mix."""

import numpy as np

from . import RATE_HZ, effects

_LEVELS_DB = {"vocals": 0.0, "drums": 1.8, "bass": 1.8, "piano": -1.2, "other": -1.6}
_SENDS_DB = {"vocals": (-24, -12), "drums": (-26, -14), "piano": (-26, -12), "other": (-26, -10)}


def drums(rng, buses):
    """Processes kick, snare and rest with separate EQs, then the kit as a whole."""
    kick = effects.random_eq(buses["kick"].astype(np.float64), rng, 3)
    snare = effects.random_eq(buses["snare"].astype(np.float64), rng, 3)
    rest = effects.random_eq(buses["rest"].astype(np.float64), rng, 3)
    if rng.random() < 0.3:
        snare = effects.drive(snare, rng.uniform(2, 12))
    if rng.random() < 0.4:
        snare = snare + effects.convolve(snare, effects.impulse_response(rng, rng.uniform(0.3, 1.2), 6000)) * rng.uniform(0.1, 0.4)
    kit = kick * effects.db(rng.uniform(-2, 2)) + snare * effects.db(rng.uniform(-2, 2)) + rest * effects.db(rng.uniform(-4, 2))
    if rng.random() < 0.7:
        kit = effects.compress(kit, rng, rng.uniform(2, 9))
    if rng.random() < 0.25:
        kit = kit + effects.drive(kit, rng.uniform(6, 20)) * rng.uniform(0.1, 0.5)
    if rng.random() < 0.08:
        kit = effects.pass_filter(kit, rng.uniform(3000, 9000), "lowpass")
    return kit


def balance(parts, rng):
    """Sums the parts of one stem at comparable loudness."""
    out = 0
    for audio in parts:
        level = active_rms(audio)
        if level > 1e-6:
            out = out + audio * (effects.db(rng.uniform(-3, 3)) / level)
    return out


def active_rms(audio):
    """Returns the RMS over the half-second blocks in which something plays."""
    block = RATE_HZ // 2
    count = max(len(audio) // block, 1)
    power = np.mean(np.square(audio[: count * block].reshape(count, -1)), axis=1)
    heard = power[power > power.max() * 1e-3]
    return float(np.sqrt(heard.mean())) if len(heard) else 0.0


def pump(rng, kick_times_s, length):
    """Returns the gain curve [samples, 1] by which kicks duck other parts."""
    curve = np.ones(length)
    depth, recover_s = rng.uniform(0.4, 0.95), rng.uniform(0.08, 0.25)
    dip = 1 - depth * np.exp(-np.arange(int(recover_s * 5 * RATE_HZ)) / (recover_s * RATE_HZ))
    for time_s in kick_times_s:
        start = min(int(time_s * RATE_HZ), length)
        stop = min(start + len(dip), length)
        curve[start:stop] = np.minimum(curve[start:stop], dip[: stop - start])
    return curve[:, None]


def mix(rng, stems, spread_db, whole_song):
    """Adds reverb to the stems, sets their levels (within `spread_db` of the usual ones), and
    masters.

    Levels are measured over the whole song with `whole_song`, otherwise where the stem plays.
    """
    room = effects.impulse_response(rng, rng.uniform(0.25, 0.9), rng.uniform(2500, 8000))
    plate = effects.impulse_response(rng, rng.uniform(1.0, 2.8), rng.uniform(3000, 9000), rng.uniform(0, 40), 0)
    wet = {}
    for name, audio in stems.items():
        if name in _SENDS_DB:
            if name != "drums" and rng.random() < 0.5:
                audio = effects.compress(audio, rng, rng.uniform(1, 6))
            level = effects.rms(audio)
            for space in (room, plate):
                if rng.random() < 0.75:
                    echo = effects.convolve(audio, space)
                    audio = audio + echo * (level / max(effects.rms(echo), 1e-9) * effects.db(rng.uniform(*_SENDS_DB[name])))
        elif name == "bass":
            audio = effects.compress(audio, rng, rng.uniform(3, 9))
        measure = effects.rms if whole_song else active_rms
        target_db = _LEVELS_DB[name] + rng.uniform(-spread_db, spread_db)
        wet[name] = audio * (effects.db(target_db) / max(measure(audio), 1e-9))
    return master(rng, wet)


def master(rng, stems):
    """Applies bus compression and limiting. The limiter also tracks each stem, so that none clips
    on its own."""
    whole = sum(stems.values())
    level = effects.db(rng.uniform(-17, -10.5)) / effects.rms(whole)
    whole = whole * level
    threshold_db = 20 * np.log10(np.percentile(np.abs(whole[::16]), 97) + 1e-9) - rng.uniform(0, 4)
    curve = effects.compressor_gain(whole, threshold_db, rng.uniform(1.5, 3), rng.uniform(5, 30), rng.uniform(80, 300))
    curve = curve * effects.db(rng.uniform(0, 2))
    loudest = effects.peaks(whole)
    for audio in stems.values():
        loudest = np.maximum(loudest, effects.peaks(audio) * level)
    curve = curve * effects.limiter_gain(loudest * curve[:, 0], effects.db(rng.uniform(-1.0, -0.2)))
    return {name: audio * level * curve for name, audio in stems.items()}
