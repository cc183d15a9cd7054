# SPDX-License-Identifier: MIT
"""What the page plays, recorded in Chromium and compared with the stems to the sample."""
import subprocess
import zipfile

import numpy as np
import pytest

from audio import decibels_apart, place, read_wav, recording
from conftest import SONG, drag, export, open_song, play_until, seconds, start_recording, wait_for_seconds, wait_until, wav

ONE_MS = 44.1


def test_stems_play_in_sync(shared, visit, example):
    """Vocals are panned left and accompaniment right. Their positions on the audio clock are
    compared at the start and at the end."""
    page = visit(shared, record=True)
    open_song(page, example)
    start_recording(page)
    page.get_by_role("slider", name="Pan of Vocals").press("Home")
    page.get_by_role("slider", name="Pan of Accompaniment").press("End")
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 9.8)
    played = recording(page)
    stems = [read_wav(shared.stem(example["id"], f"{name}.wav").body) for name in ("vocals", "accompaniment")]
    lags = []
    # The vocals are silent before 2.5 s.
    for start, end in ((2.5, 4.0), (7.0, 8.5)):
        part = slice(int(44100 * start), int(44100 * end))
        found = [place(played[:, side], stems[side][part, side]) for side in (0, 1)]
        assert min(fit for _, fit in found) > 0.999
        lags.append([lag - part.start for lag, _ in found])
    apart = [abs(left - right) for left, right in lags]
    drift = [abs(lags[1][side] - lags[0][side]) for side in (0, 1)]
    print(f"apart by {apart} samples, drift {drift} samples")
    assert max(apart + drift) <= ONE_MS


def test_solo_mute_and_volume_are_audible(shared, visit, example):
    page = visit(shared, record=True)
    open_song(page, example)
    vocals, accompaniment = (read_wav(shared.stem(example["id"], f"{name}.wav").body) for name in ("vocals", "accompaniment"))

    start_recording(page)

    def hear(start=3.0):
        """Returns the gain of each stem in the audio that is played from `start` on."""
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Home")
        for _ in range(round(start)):
            page.keyboard.press("Shift+ArrowRight")
        page.evaluate("recorded.splice(0)")
        play_until(page, f"parseFloat(document.querySelector('.time strong').textContent.split(':')[1]) > {start + 1.2}")
        played = recording(page)
        part = slice(int(44100 * (start + 0.3)), int(44100 * (start + 0.8)))
        lag = max((place(played[:, 0], stem[part, 0]) for stem in (vocals, accompaniment, vocals + accompaniment)), key=lambda each: each[1])[0]
        heard = played[lag:lag + part.stop - part.start, 0]
        gains, *_ = np.linalg.lstsq(np.stack([vocals[part, 0], accompaniment[part, 0]], axis=1), heard, rcond=None)
        return gains

    assert np.allclose(hear(), [1, 1], atol=0.01)
    page.get_by_role("button", name="Solo Vocals").click()
    assert np.allclose(hear(), [1, 0], atol=0.01)
    page.get_by_role("button", name="Solo Vocals").click()
    page.get_by_role("button", name="Mute Vocals").click()
    assert np.allclose(hear(), [0, 1], atol=0.01)
    page.get_by_role("button", name="Full mix").click()
    page.get_by_role("slider", name="Volume of Vocals").press("End")  # +6 dB
    assert np.allclose(hear(), [2, 1], atol=0.02)


def test_a_loop_comes_around(shared, visit, example):
    """The loop is selected with the mouse. Its end continues with its start, to the sample."""
    page = visit(shared, record=True)
    open_song(page, example)
    drag(page, page.locator(".waveform").first.bounding_box(), 0.25, 0.4)
    assert page.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "true"
    start = seconds(page)
    assert 2 < start < 3.5
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => window.recorded && recorded.length * 4096 > 4.5 * 44100")
    assert start - 0.2 <= seconds(page) <= 5
    played = recording(page)[:, 0]
    mix = sum(read_wav(shared.stem(example["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
    # The first half second of the loop repeats at equal distances.
    first = int(44100 * (start + 0.1))
    part = mix[first:first + 22050]
    size = 1 << 19
    product = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(part, size)), size)[:len(played) - len(part)]
    strong = np.flatnonzero(product > 0.98 * np.dot(part, part))
    rounds = [group[0] for group in np.split(strong, np.flatnonzero(np.diff(strong) > 1000) + 1)]
    assert len(rounds) >= 2 and np.ptp(np.diff(rounds)) <= 2
    length = 0.15 * example["input"]["duration_s"]
    assert abs(np.diff(rounds)[0] / 44100 - length) < 0.1
    page.get_by_role("button", name="Remove the loop").click()
    assert page.get_by_role("button", name="Remove the loop").count() == 0


def test_speed_keeps_the_pitch(shared, visit):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(6 * 44100) / 44100)).astype(np.float32)
    samples = (np.stack([tone, tone], axis=1) * 32767).astype("<i2").tobytes()
    content = wav.header(len(samples), 44100, 2, 16, wav.PCM) + samples
    job = shared.separate(content, name="tone.wav")
    page = visit(shared, record=True)
    open_song(page, job)
    start_recording(page)
    page.get_by_role("combobox", name="Speed").select_option("0.5")
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 1.0)
    clock = "() => [recorded.at(-1)[0], document.querySelector('.time strong').textContent.split(':')[1]]"
    frame, before = page.evaluate(clock)
    page.wait_for_function("(frame) => recorded.at(-1)[0] > frame + 2 * 44100", arg=frame)
    end, after = page.evaluate(clock)
    played = recording(page)[-88200:, 0]
    spectrum = np.abs(np.fft.rfft(played * np.hanning(len(played))))
    pitch = np.argmax(spectrum) * 44100 / len(played)
    assert abs(pitch - 440) < 2
    assert abs((float(after) - float(before)) / ((end - frame) / 44100) - 0.5) < 0.15


@pytest.mark.parametrize("model, stems", [("4stems", ["vocals", "drums", "bass", "other"]), ("5stems", ["vocals", "piano", "drums", "bass", "other"])])
def test_four_and_five_stems(shared, visit, tmp_path, model, stems):
    """One row for each stem. Mute, solo and presets are checked in the exported mix and in the
    played audio. Then the zip."""
    cut = tmp_path / "cut.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-ss", "3", "-t", "5", "-i", SONG, cut], check=True)
    page = visit(shared, record=True)
    page.get_by_role("radio", name=f"{len(stems)} stems").check()
    page.get_by_text("More options").click()
    page.get_by_role("checkbox", name="All but drums").check()
    page.set_input_files("#files", str(cut))
    page.wait_for_selector(".export .button:enabled")
    job = shared.job(page.url.rsplit("/", 1)[1])
    assert job["model"]["name"] == model
    assert page.locator(".track h3").all_inner_texts() == [name.capitalize() for name in stems]
    sound = {name: read_wav(shared.stem(job["id"], f"{name}.wav").body) for name in (*stems, "no_drums")}
    assert min(np.abs(each).max() for each in sound.values()) > 0.001

    def of(names):
        return sum(sound[name] for name in names)

    def exported():
        return read_wav(export(page)[1])

    def muted():
        return [name for name in stems if page.get_by_role("button", name=f"Mute {name.capitalize()}").get_attribute("aria-pressed") == "true"]

    assert decibels_apart(of(stems), exported()) > 60
    page.get_by_role("button", name="Karaoke").click()
    assert muted() == ["vocals"]
    assert decibels_apart(of(stems[1:]), exported()) > 60
    page.get_by_role("button", name="No drums", exact=True).click()
    assert muted() == ["drums"]
    assert decibels_apart(sound["no_drums"], exported()) > 60
    page.get_by_role("button", name="Mute Bass").click()
    assert muted() == ["drums", "bass"]
    assert decibels_apart(of(name for name in stems if name not in ("drums", "bass")), exported()) > 60
    page.get_by_role("button", name="Solo Bass").click()
    page.get_by_role("button", name="Solo Other").click()
    assert decibels_apart(of(["bass", "other"]), exported()) > 60

    start_recording(page)
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 3)
    lag, fit = place(recording(page)[:, 0], of(["bass", "other"])[44100:88200, 0])
    assert fit > 0.999
    with page.expect_download() as download:
        page.get_by_role("link", name="Download All stems (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) == {*(f"{name}.wav" for name in sound), "manifest.json"}
        assert archive.read("bass.wav") == shared.stem(job["id"], "bass.wav").body


def test_listening_while_it_runs(shared, visit, endless, tmp_path):
    (tmp_path / "long.flac").write_bytes(endless.content)
    page = visit(shared, record=True)
    page.set_input_files("#files", str(tmp_path / "long.flac"))
    page.wait_for_selector(".mixer")
    # The remaining time.
    page.wait_for_selector(".state:has-text('left')")
    wait_until(lambda: page.evaluate("() => !document.querySelector('.absent').hidden && parseFloat(document.querySelector('.absent').style.left) > 0"),
               what="the first seconds")
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 0.5)
    id = page.url.rsplit("/", 1)[1]
    assert shared.job(id)["status"] == "running"
    played = recording(page)
    assert np.abs(played).max() > 0.05
    page.get_by_role("button", name="Stop separating").click()
    page.wait_for_selector("text=This separation was stopped")


def test_compressed_stems_play_too(shared, visit):
    job = shared.wait(shared.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg", options={"codec": "flac"})["id"])
    page = visit(shared, record=True)
    open_song(page, job)
    start_recording(page)
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 3)
    played = recording(page)[:, 0]
    wav = shared.wait(shared.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg")["id"])
    mix = sum(read_wav(shared.stem(wav["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
    assert place(played, mix[22050:66150])[1] > 0.999


def test_buffers_are_used_again(shared, visit):
    """However much is played, the page allocates few buffers, and the sound stays correct."""
    # Noise, so each position is unique.
    noise = (np.random.default_rng(32).standard_normal((60 * 44100, 2)) * 3000).astype("<i2").tobytes()
    job = shared.separate(wav.header(len(noise), 44100, 2, 16, wav.PCM) + noise, name="minute.wav")
    page = visit(shared, record=True)
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if "/stems/" in request.url and "range" in request.headers else None)
    page.evaluate("""() => {
        window.made = 0;
        window.ArrayBuffer = new Proxy(ArrayBuffer, { construct(target, [bytes, ...more]) {
            made += bytes > 100000;
            return Reflect.construct(target, [bytes, ...more]);
        } });
    }""")
    open_song(page, job)
    start_recording(page)
    for number in range(24):
        page.evaluate("""async (second) => {
            const slider = document.querySelector(".seek input"), played = recorded.length;
            slider.value = second;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            if (document.querySelector(".play").getAttribute("aria-label") === "Play") document.querySelector(".play").click();
            while (document.querySelector(".waiting").textContent || recorded.length < played + 3)
                await new Promise((resolve) => setTimeout(resolve, 20));
        }""", 17 * number % 55)
    made = page.evaluate("made")
    print(f"{made} buffers for {len(fetched)} requests")
    assert len(fetched) > 80 and 0 < made < 30
    page.wait_for_function("(before) => recorded.length >= before + 12", arg=page.evaluate("recorded.length"))
    played = recording(page)[-2 * 4096:, 0]
    mix = sum(read_wav(shared.stem(job["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
    assert place(mix, played)[1] > 0.999
