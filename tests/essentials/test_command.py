# SPDX-License-Identifier: MIT
"""What every user of the command meets: output files, their names, exit codes, messages."""
import wave

from conftest import REPOSITORY

SONG = REPOSITORY / "examples/audio_example.mp3"


def test_separates_an_mp3_into_wav_files(spleeterd, tmp_path):
    spleeterd("separate", "--duration", "2", "-o", "out", SONG)
    stems = sorted((tmp_path / "out/audio_example").iterdir())
    assert [path.name for path in stems] == ["accompaniment.wav", "vocals.wav"]
    for path in stems:
        with wave.open(str(path)) as stem:
            assert (stem.getnchannels(), stem.getframerate(), stem.getnframes()) == (2, 44100, 88200)
            assert any(stem.readframes(88200))


def test_prints_its_version_and_help(spleeterd):
    assert spleeterd("--version").stdout.startswith("spleeterd ")
    assert "separate" in spleeterd("--help").stdout


def test_lists_and_verifies_its_models(spleeterd):
    for name in ("spleeter-2stems", "4stems", "5stems"):
        assert f"\n{name} " in spleeterd("models", "list").stdout
    spleeterd("models", "verify", "2stems")


def test_a_wrong_command_line_is_a_usage_error(spleeterd):
    for arguments in (["conjure"], ["separate", "--no-such-option", SONG], ["separate"]):
        assert spleeterd(*arguments, code=2).stderr


def test_a_missing_song_is_named_and_nothing_is_written(spleeterd, tmp_path):
    assert "no-song.mp3" in spleeterd("separate", "-o", "out", "no-song.mp3", code=3).stderr
    assert not list(tmp_path.rglob("*.wav"))


def test_what_is_no_audio_is_refused(spleeterd, tmp_path):
    (tmp_path / "text.mp3").write_text("this is no song\n" * 1000)
    assert "text.mp3" in spleeterd("separate", "-o", "out", "text.mp3", code=4).stderr
    assert not list(tmp_path.rglob("*.wav"))
