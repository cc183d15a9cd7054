# SPDX-License-Identifier: MIT
"""Tests of the song generator: `python -m pytest tests/test_songs.py` in training/, after
setup.sh."""

import json

import numpy as np
import pytest
import soundfile

from songs import RATE_HZ, STEMS, patterns, song, sources, styles, theory


@pytest.fixture(scope="module")
def validation_song():
    return song.render("validation", 0)


def _entries(book):
    """Returns every pattern in a book as text."""
    found = set()
    for table in (book.GROOVES, book.BASS, book.CHORDS, book.PROGRESSIONS):
        for entries in table.values():
            found |= {json.dumps(entry, sort_keys=True) for entry in entries}
    return found | {json.dumps(entry, sort_keys=True) for entry in [*book.FILLS, *book.ARPEGGIOS, *book.MELODIES]}


def test_validation_patterns_are_held_out():
    assert _entries(patterns.training) & _entries(patterns.held_out) == set()


def test_no_groove_of_training_has_the_kick_and_snare_of_a_held_out_one():
    def cores(book):
        return {(style, groove["kick"], groove["snare"]) for style, grooves in book.GROOVES.items() for groove in grooves
                if "kick" in groove and "snare" in groove}
    assert cores(patterns.training) & cores(patterns.held_out) == set()


def test_validation_sources_are_held_out():
    def names(split):
        fonts = [font for font in split.fonts] + [font for font, _, _ in split.drum_fonts]
        return {str(path) for path in [*fonts, *split.kits, *split.machines, *split.percussion_kits]} | set(split.voices)
    assert names(sources.TRAIN) & names(sources.VALIDATION) == set()
    assert not sources.VALIDATION.one_shots and not sources.VALIDATION.synthesis


@pytest.mark.parametrize("book", [patterns.training, patterns.held_out])
def test_patterns_are_one_bar_long(book):
    rows = [row for grooves in book.GROOVES.values() for groove in grooves for row in groove.values()]
    rows += [row for fill in book.FILLS for row in fill.values()] + book.ARPEGGIOS + book.MELODIES
    rows += [row for table in (book.BASS, book.CHORDS) for entries in table.values() for row in entries]
    assert {len(row) for row in rows} == {16}


def test_validation_covers_what_it_promises():
    plans = [song.plan("validation", index) for index in range(song.VALIDATION_SONGS)]
    assert len(plans) >= 40
    assert len({style for _, style, _, _ in plans}) >= 8
    assert {seconds for _, _, seconds, _ in plans} == {30}
    assert sum("vocals" in cast for _, _, _, cast in plans) * 2 == len(plans)
    assert all({"drums", "bass", "piano", "other"} <= cast for _, _, _, cast in plans)


def test_styles_have_patterns():
    for name in song.VALIDATION_STYLES:
        assert name in patterns.held_out.GROOVES and name in patterns.held_out.BASS
    for name in styles.STYLES:
        assert name in patterns.training.GROOVES and name in patterns.training.BASS


def test_chords():
    assert theory.parse_chord("bVII", 0).pitch_classes() == [10, 2, 5]
    assert theory.parse_chord("ii7", 0).pitch_classes() == [2, 5, 9, 0]
    assert theory.parse_chord("Vsus4", 9).pitch_classes() == [4, 9, 11]
    assert theory.parse_chord("I5", 4).pitch_classes() == [4, 11]


def test_validation_song_keeps_the_levels(validation_song):
    stems, _ = validation_song
    assert set(stems) == set(STEMS)
    levels_db = [20 * np.log10(np.sqrt(np.mean(audio ** 2))) for audio in stems.values()]
    assert max(levels_db) - min(levels_db) <= 6
    assert {audio.shape for audio in stems.values()} == {(30 * RATE_HZ, 2)}
    assert np.abs(sum(stems.values())).max() < 1
    assert max(np.abs(audio).max() for audio in stems.values()) < 1


def test_a_seed_gives_the_same_song(validation_song):
    again, about = song.render("validation", 0)
    assert about == validation_song[1]
    for name, audio in validation_song[0].items():
        assert np.array_equal(again[name], audio)


def test_a_written_song_is_whole(tmp_path):
    about = song.write(tmp_path, "train", 5)
    folder = song.folder(tmp_path, "train", 5)
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["00005"]
    files = sorted(folder.glob("*.flac"))
    assert {path.stem for path in files} == set(about["rms_db"]) == set(json.loads((folder / "song.json").read_text())["rms_db"])
    assert {soundfile.info(path).frames for path in files} == {round(about["seconds"] * RATE_HZ)}
    assert all((i.samplerate, i.channels, i.subtype) == (RATE_HZ, 2, "PCM_16") for i in map(soundfile.info, files))


def test_a_song_of_validation_has_all_files(validation_song, tmp_path, monkeypatch):
    stems, about = validation_song
    monkeypatch.setattr(song, "render", lambda split, index: ({name: stems[name] for name in STEMS[1:]}, dict(about)))
    song.write(tmp_path, "validation", 0)
    files = {path.stem: soundfile.read(path, dtype="int16")[0].astype(int) for path in tmp_path.glob("*/*/*.flac")}
    assert (files.pop("mixture") == sum(files.values())).all() and set(files) == set(STEMS)
    assert (files["vocals"] == 0).all() and "vocals" not in json.loads((tmp_path / "validation/00000/song.json").read_text())["rms_db"]
