# SPDX-License-Identifier: MIT
"""One song from its seed: composed, played, mixed and written."""

import json
import os
from pathlib import Path
import shutil

import numpy as np
import soundfile

from . import RATE_HZ, STEMS, drums, instruments, mix, voices
from .compose import Composer
from .sources import LICENCES, TRAIN, VALIDATION
from .styles import STYLES

TRAIN_SEED = 20261124
# Chosen before training; results under another seed are not comparable.
VALIDATION_SEED = 514229
VALIDATION_SONGS = 48
VALIDATION_SECONDS = 30
VALIDATION_STYLES = ("rock", "pop", "house", "hip-hop", "jazz", "funk", "reggae", "metal", "ballad", "latin", "drum'n'bass",
                     "country")


def plan(split, index):
    """Returns the random generator, style, length in seconds and cast of a song."""
    if split == "validation":
        rng = np.random.default_rng([VALIDATION_SEED, index])
        style = VALIDATION_STYLES[index % len(VALIDATION_STYLES)]
        voiced = (index // len(VALIDATION_STYLES)) % 2 == 0
        return rng, style, VALIDATION_SECONDS, set(STEMS) - (set() if voiced else {"vocals"})
    rng = np.random.default_rng([TRAIN_SEED, index])
    style = str(rng.choice(list(STYLES)))
    chances = {"vocals": 0.55, "drums": 0.95, "bass": 0.95, "piano": 0.75, "other": 0.96}
    cast = {stem for stem in STEMS if rng.random() < chances[stem]}
    return rng, style, float(rng.uniform(30, 38)), cast or {"drums", "other"}


def render(split, index):
    """Returns the stems as float arrays, and the song's description."""
    rng, style, seconds, cast = plan(split, index)
    held_out = split == "validation"
    sources = VALIDATION if held_out else TRAIN
    length = round(seconds * RATE_HZ)
    composer = Composer(rng, style, seconds, held_out, cast)
    score = composer.compose()
    stems, used = {}, {}

    kick_times_s = [time_s for time_s, piece, _ in score.hits if piece == "kick"]
    ducking = mix.pump(rng, kick_times_s, length) if kick_times_s and rng.random() < composer.style.pump else None
    if score.hits:
        electronic = composer.style.electronic or (not held_out and rng.random() < 0.1)
        kit, used["drums"] = drums.choose_kit(rng, sources, electronic)
        stems["drums"] = mix.drums(rng, kit.render(score.hits, length))
    others = []
    for part in score.parts:
        role = _role(rng, part)
        audio, name = instruments.play(rng, sources, part.role, role, part.notes, length)
        used.setdefault(part.stem, {})[part.role] = name
        if ducking is not None and part.stem != "piano":
            audio = audio * ducking
        if part.stem == "other":
            others.append(audio)
        else:
            stems[part.stem] = audio
    if others:
        stems["other"] = mix.balance(others, rng)
    sung = []
    if score.melody:
        audio, name = voices.sing(rng, sources, score.melody, length)
        used.setdefault("vocals", {})["lead"] = name
        sung.append(audio)
    if score.choir:
        audio, name = instruments.play(rng, sources, "choir", instruments.CHOIRS, score.choir, length)
        used.setdefault("vocals", {})["choir"] = name
        sung.append(audio * 0.5)
    if sung:
        stems["vocals"] = mix.balance(sung, rng)

    stems = {name: audio for name, audio in stems.items() if mix.active_rms(audio) > 1e-5}
    spread_db = 0.9 if held_out else 4.0
    stems = mix.mix(rng, {name: stems[name] for name in STEMS if name in stems}, spread_db, held_out)
    fade = np.minimum(1, np.arange(length, 0, -1) / (0.02 * RATE_HZ))[:, None]
    about = {
        "split": split, "seed": [VALIDATION_SEED if held_out else TRAIN_SEED, index], "style": style,
        "tempo_bpm": score.tempo_bpm, "key": score.key, "seconds": length / RATE_HZ, "sources": used,
        "licences": _licences(used),
    }
    return {name: audio * fade for name, audio in stems.items()}, about


def _role(rng, part):
    if part.stem == "bass":
        return instruments.BASSES[part.role]
    if part.stem == "piano":
        return instruments.PIANOS if rng.random() < 0.82 else instruments.ELECTRIC_PIANOS
    return instruments.ROLES[part.role]


def _licences(used):
    text = json.dumps(used)
    return {name: licence for name, licence in LICENCES.items() if name in text}


def folder(root, split, index):
    return Path(root) / split / f"{index:05d}"


def _complete(folder, seconds):
    """Adds the files that `spleeterd evaluate` also needs: silence for absent stems, and the
    mixture as the exact sum."""
    silence = np.zeros((round(seconds * RATE_HZ), 2), np.int16)
    for name in STEMS:
        if not (folder / f"{name}.flac").exists():
            soundfile.write(folder / f"{name}.flac", silence, RATE_HZ, subtype="PCM_16")
    mixture = sum(soundfile.read(folder / f"{name}.flac", dtype="int16")[0].astype(np.int32) for name in STEMS)
    soundfile.write(folder / "mixture.flac", mixture.astype(np.int16), RATE_HZ, subtype="PCM_16")


def write(root, split, index):
    """Renders into a temporary folder and renames it, so that a song's folder is always
    complete."""
    final = folder(root, split, index)
    part = final.with_name(final.name + ".tmp")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    stems, about = render(split, index)
    for name, audio in stems.items():
        soundfile.write(part / f"{name}.flac", audio.astype(np.float32), RATE_HZ, subtype="PCM_16")
    if split == "validation":
        _complete(part, about["seconds"])
    about["rms_db"] = {name: round(20 * np.log10(np.sqrt(np.mean(audio ** 2)) + 1e-9), 2) for name, audio in stems.items()}
    (part / "song.json").write_text(json.dumps(about, indent=1) + "\n")
    os.rename(part, final)
    return about
