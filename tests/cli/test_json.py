# SPDX-License-Identifier: MIT
"""--json: one object per line on standard output."""
import json
import os
import subprocess

import pytest

import wav
from conftest import PROGRAM, SONG, music


@pytest.fixture
def events(separate):
    def run(*arguments, code=0):
        result = separate(*arguments, "--json", code=code)
        return [json.loads(line) for line in result.out.splitlines()], result

    return run


def test_a_song(events, tmp_path):
    got, result = events(SONG)
    assert result.err == ""
    assert [event["event"] for event in got[-2:]] == ["result", "end"]
    progress = [event for event in got if event["event"] == "progress"]
    assert progress and all(0 <= event["fraction"] <= 1 and event["passes"] == 1 for event in progress)
    assert [event["fraction"] for event in progress] == sorted(event["fraction"] for event in progress)
    done = got[-2]
    assert done["status"] == "succeeded" and done["input"] == str(SONG) and done["model"] == "2stems"
    assert done["samples"] == 479832 and done["sample_rate_hz"] == 44100 and abs(done["duration_s"] - 10.88) < 0.01
    assert done["input_format"] == {"container": "mp3", "codec": "mp3", "sample_rate_hz": 44100, "channels": 2}
    assert done["seconds"] > 0 and abs(done["speed"] - done["duration_s"] / done["seconds"]) < 1e-6
    assert done["residual_db"] < -100
    assert [output["name"] for output in done["outputs"]] == ["vocals", "accompaniment"]
    for output in done["outputs"]:
        assert output["path"] == str(tmp_path / f"out/audio_example/{output['name']}.wav")
        assert output["clipped"] >= 0 and -20 < output["peak_dbfs"] < 6
    assert got[-1] == {"event": "end", "succeeded": 1, "failed": 0, "not_started": 0, "skipped": 0, "exit_code": 0}


def test_two_passes(events, song):
    got, _ = events(song, "--mwf")
    assert {event["passes"] for event in got if event["event"] == "progress"} == {2}


def test_channel_pairs_are_passes(events, tmp_path):
    wav.write(tmp_path / "surround.wav", music(0.5, channels=6), mask=0x3F)
    got, _ = events("surround.wav", "--keep-format")
    assert {event["passes"] for event in got if event["event"] == "progress"} == {4}
    assert got[-2]["residual_db"] < -100


def test_failures(events, song, tmp_path):
    (tmp_path / "bad.mp3").write_text("no audio")
    got, result = events("bad.mp3", song, "missing.wav", code=1)
    results = [event for event in got if event["event"] == "result"]
    assert [event["status"] for event in results] == ["failed", "succeeded", "failed"]
    assert [results[0]["exit_code"], results[2]["exit_code"]] == [4, 3]
    assert results[2]["error"] == "not found" and results[2]["message"] in result.err
    assert got[-1] == {"event": "end", "succeeded": 1, "failed": 2, "not_started": 0, "skipped": 0, "exit_code": 1}


def test_silence_and_partial_stems(events, tmp_path):
    wav.write(tmp_path / "silence.wav", music(0.1) * 0)
    got, _ = events("silence.wav")
    assert got[-2]["residual_db"] is None and got[-2]["outputs"][0]["peak_dbfs"] is None
    got, _ = events("silence.wav", "--stems", "vocals")
    assert "residual_db" not in got[-2]


def test_names_that_are_not_utf8(events, song, tmp_path):
    got, _ = events(song.rename(tmp_path / b"caf\xe9.wav".decode(errors="surrogateescape")))
    assert got[-2]["input"].endswith("/caf?.wav") and got[-2]["status"] == "succeeded"
    assert os.path.exists(bytes.fromhex(got[-2]["input_hex"]))
    for output in got[-2]["outputs"]:
        assert output["path"].endswith(f"/caf?/{output['name']}.wav") and os.path.exists(bytes.fromhex(output["path_hex"]))
    assert all("input_hex" in event for event in got if event["event"] == "progress")


def test_closed_output_is_reported(song):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "separate", str(song), "-o", str(song.parent / "out"), "--json"], stdout=full,
                              stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 6 and b"cannot write" in done.stderr
