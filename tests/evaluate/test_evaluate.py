# SPDX-License-Identifier: MIT
"""`spleeterd evaluate` gives museval's scores within 0.01 dB, finds songs and estimates in every
layout, and reports errors. golden.json is the output of museval (make_golden.py)."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

import cases

sys.path.append(str(pathlib.Path(__file__).parents[1] / "cli"))
import wav  # noqa: E402

PROGRAM = os.environ["SPLEETERD"]
GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden.json").read_text())
CASES = {case["name"]: case for case in cases.all_cases()}
BOUND_DB = 0.01
# Above this score, the errors are rounding noise, museval's and ours.
ROUNDING_DB = 90


def run(*arguments, code=0, **env):
    done = subprocess.run([PROGRAM, "evaluate", *map(str, arguments)], capture_output=True, text=True, timeout=600,
                          env={**os.environ, **env})
    assert done.returncode == code, done.stderr
    return done


def evaluate(*arguments):
    return json.loads(run("--json", *arguments).stdout)


def write_stems(folder, stems, extension="wav"):
    folder.mkdir(parents=True)
    for name, samples in stems.items():
        wav.write(folder / f"{name}.wav", samples)
        if extension != "wav":
            subprocess.run(["ffmpeg", "-v", "error", "-i", folder / f"{name}.wav", folder / f"{name}.{extension}"],
                           check=True)
            (folder / f"{name}.wav").unlink()


@pytest.fixture
def two_stems(tmp_path):
    """Writes tmp_path/truth/song and tmp_path/estimates/song."""
    write_stems(tmp_path / "truth/song", CASES["two_stems"]["truth"])
    write_stems(tmp_path / "estimates/song", CASES["two_stems"]["estimates"])
    return tmp_path


def close(got, expected):
    if expected is None:
        return got is None
    if expected > ROUNDING_DB:
        return got is None or got > ROUNDING_DB
    return got is not None and abs(got - expected) <= BOUND_DB


def check(stems, expected):
    assert sorted(stem["name"] for stem in stems) == sorted(expected)
    for stem in stems:
        assert len(stem["windows"]) == len(expected[stem["name"]])
        for second, (got, wanted) in enumerate(zip(stem["windows"], expected[stem["name"]])):
            for key, value in wanted.items():
                assert close(got[key], value), f"{stem['name']}, second {second}: {key} {got[key]}, museval {value}"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_same_as_museval(name, threads, tmp_path):
    write_stems(tmp_path / "truth/song", CASES[name]["truth"])
    write_stems(tmp_path / "estimates/song", CASES[name]["estimates"])
    result = evaluate("--threads", threads, tmp_path / "truth", "--estimates", tmp_path / "estimates")
    assert [song["name"] for song in result["songs"]] == ["song"]
    check(result["songs"][0]["stems"], GOLDEN[name])


def test_golden_data_are_worth_something():
    scores = [value for case in GOLDEN.values() for windows in case.values() for w in windows
              for value in w.values() if value is not None]
    assert len(scores) > 300 and np.ptp(scores) > 50


def test_medians(two_stems):
    result = evaluate(two_stems / "truth", "--estimates", two_stems / "estimates")
    for stem in result["songs"][0]["stems"]:
        for key in ("sdr", "isr", "sir", "sar", "si_sdr", "mixture_sdr"):
            assert stem[key] == pytest.approx(np.median([w[key] for w in stem["windows"]]))
    for stem in result["medians"]:
        own = next(s for s in result["songs"][0]["stems"] if s["name"] == stem["name"])
        assert stem["songs"] == 1 and stem["sdr"] == own["sdr"]
        assert stem["improvement"] == pytest.approx(own["sdr"] - own["mixture_sdr"])


def test_mixture_as_estimate(two_stems):
    truth = CASES["two_stems"]["truth"]
    stems = evaluate(two_stems / "truth", "--estimates", two_stems / "estimates")["songs"][0]["stems"]
    for stem in stems:
        other = next(samples for name, samples in truth.items() if name != stem["name"])
        for second, window in enumerate(stem["windows"]):
            part = slice(second * cases.RATE, (second + 1) * cases.RATE)
            own = truth[stem["name"]][part].astype(np.float64)
            expected = 10 * np.log10(np.sum(own**2) / np.sum(other[part].astype(np.float64)**2))
            assert window["mixture_sdr"] == pytest.approx(expected, abs=1e-4)


def test_empty_bands_make_sir_and_sar_unreliable(tmp_path):
    """Float stems without content above 16 kHz, as from a lossy decoder."""
    def low(samples):
        spectrum = np.fft.rfft(samples, axis=0)
        spectrum[int(16000 / cases.RATE * len(samples)):] = 0
        return np.fft.irfft(spectrum, len(samples), axis=0).astype(np.float32)
    truth = {name: low(samples[:4 * cases.RATE]) for name, samples in CASES["two_stems"]["truth"].items()}
    estimates = {name: samples[:4 * cases.RATE] for name, samples in CASES["two_stems"]["estimates"].items()}
    write_stems(tmp_path / "truth/song", truth)
    write_stems(tmp_path / "estimates/song", estimates)
    done = run("--json", tmp_path / "truth", "--estimates", tmp_path / "estimates")
    assert "song: warning: SIR and SAR are left out" in done.stderr
    result = json.loads(done.stdout)
    for stem in result["songs"][0]["stems"]:
        assert stem["ill_conditioned"] and stem["sir"] is None and stem["sar"] is None
        assert np.isfinite([stem["sdr"], stem["isr"], stem["si_sdr"]]).all()
        assert all(np.isfinite(window["sir"]) for window in stem["windows"])
    assert all(stem["sir"] is None for stem in result["medians"])


def test_several_songs(tmp_path):
    for name in ("two_stems", "pauses", "mono"):
        write_stems(tmp_path / "truth/test" / name, CASES[name]["truth"])
        write_stems(tmp_path / "estimates" / name, CASES[name]["estimates"])
    result = evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")
    assert [song["name"] for song in result["songs"]] == ["test/mono", "test/pauses", "test/two_stems"]
    for song in result["songs"]:
        check(song["stems"], GOLDEN[song["name"].removeprefix("test/")])
    for stem in result["medians"]:
        of_songs = [s["sdr"] for song in result["songs"] for s in song["stems"] if s["name"] == stem["name"]]
        assert stem["songs"] == 3 and stem["sdr"] == pytest.approx(np.median(of_songs))
    table = run(tmp_path / "truth", "--estimates", tmp_path / "estimates").stdout
    for stem in result["medians"]:
        assert any(line.startswith(stem["name"]) and f"{stem['sdr']:.2f}" in line for line in table.splitlines())


def test_single_song_without_a_folder_of_its_name(two_stems):
    result = evaluate(two_stems / "truth/song", "--estimates", two_stems / "estimates/song")
    check(result["songs"][0]["stems"], GOLDEN["two_stems"])


def test_flac(tmp_path):
    """16-bit files change the scores only slightly."""
    case = CASES["two_stems"]
    write_stems(tmp_path / "truth/song", case["truth"], "flac")
    write_stems(tmp_path / "estimates/song", case["estimates"])
    stems = evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")["songs"][0]["stems"]
    for stem in stems:
        assert stem["sdr"] == pytest.approx(np.median([w["sdr"] for w in GOLDEN["two_stems"][stem["name"]]]), abs=0.1)


def test_musdb_stem_mp4(tmp_path):
    """The tracks are mixture, drums, bass, other and vocals. They are lossless, so the scores are
    the golden ones."""
    case = CASES["four_stems"]
    write_stems(tmp_path / "stems", {**case["truth"], "mixture": sum(case["truth"].values())})
    order = ["mixture", "drums", "bass", "other", "vocals"]
    (tmp_path / "musdb/test").mkdir(parents=True)
    inputs = [part for name in order for part in ("-i", tmp_path / f"stems/{name}.wav")]
    maps = [part for i in range(5) for part in ("-map", f"{i}:a")]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *maps, "-c:a", "alac", "-sample_fmt", "s32p", "-f", "mp4",
                    tmp_path / "musdb/test/A - B.stem.mp4"], check=True)
    write_stems(tmp_path / "estimates/A - B", case["estimates"])
    result = evaluate(tmp_path / "musdb", "--estimates", tmp_path / "estimates")
    assert [song["name"] for song in result["songs"]] == ["test/A - B"]
    check(result["songs"][0]["stems"], GOLDEN["four_stems"])


def test_other_is_the_sum_of_the_rest(tmp_path):
    """Five true stems, four estimates: "other" is compared with the sum of other and piano."""
    case = CASES["four_stems"]
    other = case["truth"]["other"]
    half = (other * np.float32(0.5)).astype(np.float32)
    write_stems(tmp_path / "truth/song", {**case["truth"], "other": half, "piano": other - half})
    write_stems(tmp_path / "estimates/song", case["estimates"])
    check(evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")["songs"][0]["stems"], GOLDEN["four_stems"])


def test_accompaniment_is_the_sum_of_the_rest(tmp_path):
    case = CASES["two_stems"]
    whole = case["truth"]["accompaniment"]
    half = (whole * np.float32(0.5)).astype(np.float32)
    write_stems(tmp_path / "truth/song", {"vocals": case["truth"]["vocals"], "drums": half, "bass": whole - half})
    write_stems(tmp_path / "estimates/song", case["estimates"])
    check(evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")["songs"][0]["stems"], GOLDEN["two_stems"])


def test_silent_stem_is_left_out(tmp_path):
    case = CASES["four_stems"]
    truth = {name: samples * (name != "vocals") for name, samples in case["truth"].items()}
    write_stems(tmp_path / "truth/song", truth)
    write_stems(tmp_path / "estimates/song", case["estimates"])
    result = evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")
    stems = {stem["name"]: stem for stem in result["songs"][0]["stems"]}
    assert stems["vocals"]["silent"] and stems["vocals"]["sdr"] is None
    # SDR only uses the stem's own truth, so the other stems keep theirs.
    assert stems["drums"]["sdr"] == pytest.approx(np.median([w["sdr"] for w in GOLDEN["four_stems"]["drums"]]), abs=0.01)
    assert {stem["name"]: stem["songs"] for stem in result["medians"]}["vocals"] == 0


def test_separates_first(tmp_path):
    """The scores are those of a separate run of `separate` and the evaluation of its files."""
    truth = CASES["two_stems"]["truth"]
    write_stems(tmp_path / "truth/song", {**truth, "mixture": sum(truth.values())})
    subprocess.run([PROGRAM, "separate", tmp_path / "truth/song/mixture.wav", "-p", "spleeter:2stems", "--bit-depth", "float",
                    "-o", tmp_path / "estimates", "-f", "{foldername}/{instrument}.{codec}"], check=True, capture_output=True)
    by_hand = evaluate(tmp_path / "truth", "--estimates", tmp_path / "estimates")
    at_once = evaluate(tmp_path / "truth", "-p", "spleeter:2stems")
    assert at_once["model"] == "spleeter:2stems" and by_hand["estimates"] == str(tmp_path / "estimates")
    by_name = {stem["name"]: stem for stem in by_hand["songs"][0]["stems"]}
    for stem in at_once["songs"][0]["stems"]:
        for got, expected in zip(stem["windows"], by_name[stem["name"]]["windows"], strict=True):
            assert got == pytest.approx(expected, abs=1e-6)


def test_plot(two_stems):
    picture = two_stems / "plot.svg"
    result = evaluate(two_stems / "truth", "--estimates", two_stems / "estimates", "--plot", picture)
    root = xml.etree.ElementTree.parse(picture).getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 2
    for stem in result["medians"]:
        assert stem["name"] in texts and f"{stem['sdr']:.1f}" in texts


def fails(code, *arguments):
    done = run(*arguments, code=code)
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("spleeterd: "), done.stderr
    return done.stderr


def test_failures(two_stems):
    truth, estimates = two_stems / "truth", two_stems / "estimates"
    (two_stems / "empty").mkdir()
    assert "no song" in fails(3, two_stems / "empty")
    assert "nowhere" in fails(3, two_stems / "nowhere")
    assert "no estimates of song" in fails(3, truth, "--estimates", two_stems / "empty")
    assert "no mixture" in fails(3, truth)
    assert "no model" in fails(5, truth, "-p", "kazoo")
    fails(2)
    fails(2, truth, truth)
    shutil.copy(estimates / "song/vocals.wav", estimates / "song/kazoo.wav")
    assert "kazoo" in fails(3, truth, "--estimates", estimates)
    (estimates / "song/kazoo.wav").rename(estimates / "song/other.wav")
    assert "together" in fails(3, truth, "--estimates", estimates)
    (estimates / "song/other.wav").unlink()
    (estimates / "song/vocals.wav").write_bytes(b"this is no audio at all")
    assert "vocals.wav" in fails(4, truth, "--estimates", estimates)
    shutil.copy(truth / "song/vocals.wav", truth / "song/vocals.flac")
    assert "same stem" in fails(4, truth, "--estimates", estimates)


def test_one_bad_song_does_not_stop_the_others(two_stems):
    write_stems(two_stems / "truth/bad", CASES["mono"]["truth"])
    done = run("--json", two_stems / "truth", "--estimates", two_stems / "estimates", code=1)
    assert "no estimates of bad" in done.stderr
    bad, good = json.loads(done.stdout)["songs"]
    assert "no estimates" in bad["error"] and bad["name"] == "bad"
    check(good["stems"], GOLDEN["two_stems"])


def test_too_many_stems(tmp_path):
    stems = {f"stem{i}": np.ones((100, 2), "f4") for i in range(17)}
    write_stems(tmp_path / "truth/song", stems)
    write_stems(tmp_path / "estimates/song", stems)
    done = run("--estimates", tmp_path / "estimates", tmp_path / "truth", code=7)
    assert "song: there are 17 stems, and at most 16 can be evaluated together" in done.stderr
