# SPDX-License-Identifier: MIT
"""The instruments of the parts: a soundfont preset, a recording or our own synthesis, with the
effects typical of the instrument."""

from dataclasses import dataclass

import numpy as np

from . import effects, fluid, samplers, synth


@dataclass(frozen=True)
class Role:
    programs: tuple  # General MIDI programs
    synthesis: tuple = ()  # names of classes in synth
    chain: str = "clean"
    synthesis_share: float = 0.35
    # Recordings in samplers: a key of ONE_SHOTS, "grand_piano" or "strums".
    recordings: str = ""
    recordings_share: float = 0.0


BASSES = {
    "electric": Role((33, 34, 35, 33, 34), ("Pluck",), "bass", 0.25, "bass", 0.05),
    "driven": Role((34, 33), ("Pluck",), "driven_bass", 0.3),
    "upright": Role((32,), ("Pluck",), "bass", 0.15),
    "slap": Role((36, 37), ("Pluck",), "bass", 0.2, "slap", 0.3),
    "synth": Role((38, 39), ("Analogue", "Analogue", "Fm"), "synth_bass", 0.7, "bass", 0.2),
    "sampled_synth": Role((38, 39, 87), ("Analogue",), "synth_bass", 0.2, "bass", 0.6),
    "sub": Role((39, 38), ("Analogue",), "synth_bass", 0.85),
}

ROLES = {
    "clean_guitar": Role((26, 27, 27, 28), ("Pluck",), "clean_guitar"),
    "jazz_guitar": Role((26,), ("Pluck",), "clean", 0.2),
    "acoustic_guitar": Role((24, 25, 25), ("Pluck",), "clean", 0.25, "strums", 0.35),
    "drive_guitar": Role((29, 30, 27, 26), ("Pluck",), "drive_guitar", 0.3, "strums", 0.15),
    "high_gain_guitar": Role((30, 29, 27), ("Pluck",), "high_gain_guitar", 0.3, "guitar", 0.15),
    "lead_guitar": Role((29, 30, 27), ("Pluck",), "lead_guitar", 0.2),
    "steel_guitar": Role((25, 26), ("Pluck",), "clean_guitar", 0.2),
    "organ": Role((16, 17, 18, 19, 20), ("Analogue",), "organ", 0.1, "organ", 0.1),
    "accordion": Role((21, 22, 23), (), "clean"),
    "clavinet": Role((7, 6), ("Pluck",), "clean_guitar", 0.15),
    "strings": Role((48, 49, 50, 51, 44), ("Analogue",), "wide", 0.15, "strings", 0.25),
    "pad": Role(tuple(range(88, 96)) + (50, 51), ("Analogue", "Analogue", "Fm"), "wide", 0.6),
    "stab": Role((62, 63, 81, 90), ("Analogue", "Fm"), "wide", 0.7),
    "arpeggio": Role((80, 81, 87, 98, 46, 45), ("Analogue", "Fm", "Pluck"), "echo", 0.65),
    "lead": Role((80, 81, 82, 84, 87, 85), ("Analogue", "Fm"), "echo", 0.6),
    "brass": Role((61, 62, 56, 57, 63, 60), (), "clean", 0, "trumpet", 0.1),
    "sax": Role((64, 65, 66, 67, 56, 59), (), "clean"),
    "wind": Role((68, 71, 73, 75, 74, 79, 69), (), "clean", 0, "flute", 0.1),
    "fiddle": Role((40, 110, 41), (), "clean", 0, "violin", 0.15),
    "mallet": Role((9, 11, 12, 13, 10, 14), ("Fm",), "echo", 0.25),
    "vibraphone": Role((11, 12), ("Fm",), "clean", 0.15),
    "steel_drum": Role((114, 12), ("Fm",), "clean", 0.15),
    "plucked": Role((46, 105, 15, 45, 104, 107), ("Pluck",), "clean", 0.25),
}

# Electric pianos (tine, reed, FM) count as piano only where they replace the piano in the
# arrangement.
PIANOS = Role((0, 0, 0, 1, 1, 2, 3), ("StruckPiano",), "piano", 0.22, "grand_piano", 0.3)
ELECTRIC_PIANOS = Role((4, 5), ("ElectricPiano",), "electric_piano", 0.35)
CHOIRS = Role((52, 53, 54, 91), (), "wide")

_LEGATO = {"sax", "wind", "fiddle", "lead", "lead_guitar", "strings", "steel_guitar"}


def play(rng, sources, role_name, role, notes, length):
    """Returns samples and the name of their source."""
    draw = rng.random() if sources.synthesis else 1.0
    if role.synthesis and draw < role.synthesis_share:
        kind = str(rng.choice(role.synthesis))
        use = role_name if role_name in ("pad", "lead", "arpeggio") else "bass" if "bass" in role.chain else "pluck"
        maker = getattr(synth, kind)
        voice = maker(rng) if kind in ("StruckPiano", "ElectricPiano") else maker(rng, use)
        audio, name = voice.render(notes, length), f"synthesis:{kind}"
    elif role.recordings and draw < role.synthesis_share + role.recordings_share:
        audio, name = _recorded(rng, role.recordings).render(notes, length), f"recordings:{role.recordings}"
    else:
        audio, name = _sampled(rng, sources, role_name, role, notes, length)
    audio = _CHAINS[role.chain](audio.astype(np.float64), rng)
    return audio, name


def _recorded(rng, kind):
    if kind == "grand_piano":
        return samplers.grand_piano(rng)
    return samplers.Strums(rng) if kind == "strums" else samplers.one_shot(rng, kind)


def _sampled(rng, sources, role_name, role, notes, length):
    font = sources.fonts[int(rng.choice(len(sources.fonts), p=sources.font_weights))]
    program = int(rng.choice(role.programs))
    vibrato = int(rng.integers(0, 50)) if role_name in _LEGATO else 0
    bends = _bends(rng, notes) if role_name in _LEGATO and rng.random() < 0.6 else ()
    audio = fluid.render(font, program, notes, length, bends=bends, vibrato=vibrato)
    return audio, f"{font.stem}:{program}"


def _bends(rng, notes):
    """Adds upward bends to the start of some notes."""
    bends = []
    for note in notes:
        if rng.random() < 0.25:
            depth = rng.uniform(0.3, 2.0)
            slide_s = min(0.12, note.length_s * 0.4)
            bends += [(note.start_s + slide_s * i / 6, -depth * (1 - i / 6)) for i in range(7)]
    return bends


def _maybe(rng, chance, effect, audio):
    return effect(audio) if rng.random() < chance else audio


def _clean(audio, rng):
    audio = effects.random_eq(audio, rng, 3)
    return effects.width(audio, rng.uniform(0.4, 1.1), rng.uniform(-0.5, 0.5))


def _clean_guitar(audio, rng):
    if rng.random() < 0.5:
        audio = effects.amplifier(audio, rng, rng.uniform(0, 8))
    audio = _maybe(rng, 0.35, lambda a: effects.chorus(a, rng), audio)
    audio = _maybe(rng, 0.15, lambda a: effects.tremolo(a, rng.uniform(3, 8), rng.uniform(0.2, 0.6)), audio)
    audio = _maybe(rng, 0.25, lambda a: effects.delay(a, rng.uniform(0.12, 0.4), 0.4, rng.uniform(0.1, 0.35)), audio)
    return _clean(audio, rng)


def _doubled(audio, rng, gain_db):
    """Simulates two takes, left and right: the second is late, detuned and through another
    amplifier."""
    mono = np.repeat(audio.mean(axis=1, keepdims=True), 2, axis=1)
    first = effects.amplifier(mono, rng, gain_db)
    if rng.random() < 0.35:
        return effects.width(first, 0, rng.uniform(-0.6, 0.6))
    second = effects.chorus(mono, rng, rng.uniform(1, 4), 1.0) - mono
    second = effects.amplifier(np.roll(second, int(rng.uniform(300, 900)), axis=0), rng, gain_db)
    spread = rng.uniform(0.5, 1.0)
    return effects.width(first, 0, -spread) + effects.width(second, 0, spread)


def _drive_guitar(audio, rng):
    return effects.random_eq(_doubled(audio, rng, rng.uniform(6, 20)), rng, 3)


def _high_gain_guitar(audio, rng):
    return effects.random_eq(_doubled(audio, rng, rng.uniform(18, 34)), rng, 3)


def _lead_guitar(audio, rng):
    audio = effects.amplifier(audio, rng, rng.uniform(8, 28))
    audio = effects.delay(audio, rng.uniform(0.2, 0.45), 0.4, rng.uniform(0.1, 0.35))
    return effects.width(audio, 0.6, rng.uniform(-0.3, 0.3))


def _organ(audio, rng):
    audio = _maybe(rng, 0.4, lambda a: effects.drive(a, rng.uniform(2, 12)), audio)
    audio = _maybe(rng, 0.6, lambda a: effects.tremolo(effects.chorus(a, rng, 2), rng.uniform(0.8, 7), 0.25), audio)
    return _clean(audio, rng)


def _wide(audio, rng):
    audio = _maybe(rng, 0.5, lambda a: effects.chorus(a, rng, rng.uniform(1, 5)), audio)
    audio = _maybe(rng, 0.2, lambda a: effects.filter_sweep(a, *rng.permutation([rng.uniform(300, 1200), rng.uniform(5000, 16000)])), audio)
    return effects.width(effects.random_eq(audio, rng), rng.uniform(0.7, 1.5), rng.uniform(-0.2, 0.2))


def _echo(audio, rng):
    audio = _maybe(rng, 0.2, lambda a: effects.drive(a, rng.uniform(2, 15)), audio)
    audio = _maybe(rng, 0.25, lambda a: effects.chorus(a, rng), audio)
    audio = _maybe(rng, 0.55, lambda a: effects.delay(a, rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.6), rng.uniform(0.15, 0.5)), audio)
    return _clean(audio, rng)


def _bass(audio, rng):
    audio = np.repeat(audio.mean(axis=1, keepdims=True), 2, axis=1)
    audio = _maybe(rng, 0.4, lambda a: effects.drive(a, rng.uniform(0, 12), rng.uniform(0, 0.3)), audio)
    audio = _maybe(rng, 0.3, lambda a: effects.pass_filter(a, rng.uniform(1500, 5000), "lowpass"), audio)
    return effects.pass_filter(effects.random_eq(audio, rng), 32, "highpass")


def _driven_bass(audio, rng):
    clean = _bass(audio, rng)
    grit = effects.cabinet(effects.drive(effects.pass_filter(clean, 250, "highpass"), rng.uniform(12, 30)), rng)
    return clean + grit * rng.uniform(0.3, 1.0)


def _synth_bass(audio, rng):
    audio = _bass(audio, rng)
    if rng.random() < 0.25:
        wide = effects.pass_filter(effects.chorus(audio, rng), 250, "highpass")
        audio = audio + wide * 0.5
    return audio


def _piano(audio, rng):
    audio = _maybe(rng, 0.15, lambda a: effects.drive(a, rng.uniform(0, 8)), audio)
    audio = _maybe(rng, 0.1, lambda a: effects.pass_filter(a, rng.uniform(2500, 6000), "lowpass"), audio)
    return effects.width(effects.random_eq(audio, rng), rng.uniform(0.3, 1.2), rng.uniform(-0.3, 0.3))


def _electric_piano(audio, rng):
    audio = _maybe(rng, 0.4, lambda a: effects.drive(a, rng.uniform(2, 12)), audio)
    audio = _maybe(rng, 0.4, lambda a: effects.tremolo(a, rng.uniform(3, 7), rng.uniform(0.2, 0.5)), audio)
    audio = _maybe(rng, 0.4, lambda a: effects.chorus(a, rng), audio)
    return _piano(audio, rng)


_CHAINS = {
    "clean": _clean, "clean_guitar": _clean_guitar, "drive_guitar": _drive_guitar, "high_gain_guitar": _high_gain_guitar,
    "lead_guitar": _lead_guitar, "organ": _organ, "wide": _wide, "echo": _echo, "bass": _bass, "driven_bass": _driven_bass,
    "synth_bass": _synth_bass, "piano": _piano, "electric_piano": _electric_piano,
}
