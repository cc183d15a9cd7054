# SPDX-License-Identifier: MIT
"""Use of the page, in Chromium."""
import json
import re
import signal
import subprocess
import zipfile

import numpy as np
import pytest

from audio import decibels_apart, place, read_wav, recording
from client import Client
from conftest import KEY, PROGRAM, SONG, TOOLS, environment, open_song, play_until, start_recording, wait_until, wav, wav_bytes

ONE_MS = 44.1


def seconds(page):
    """Returns the position of the playhead."""
    minutes, rest = page.inner_text(".time strong").split(":")
    return 60 * int(minutes) + float(rest)


def wait_for_seconds(page, least):
    wait_until(lambda: seconds(page) >= least, what=f"second {least}")


def drag(page, box, start, end):
    page.mouse.move(box["x"] + start * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + end * box["width"], box["y"] + box["height"] / 2)
    page.mouse.up()


def export(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Export this mix").click()
    return download.value.suggested_filename, open(download.value.path(), "rb").read()


def test_from_a_file_to_stems(hall, visit):
    """Upload, progress, and a song with a track for each stem."""
    page = visit(hall)
    page.set_input_files("#files", str(SONG))
    page.wait_for_selector(".song h1:text('audio_example')")
    seen = set()

    def done():
        for state in page.query_selector_all(".state [role=progressbar]"):
            seen.add(state.get_attribute("aria-valuenow"))
        return page.query_selector(".downloads")

    wait_until(done, what="the stems")
    assert seen and all(0 <= int(value) <= 100 for value in seen)
    assert page.locator(".track h3").all_inner_texts() == ["Vocals", "Accompaniment"]
    row = page.locator(".library .song-row[aria-current=page]")
    assert "audio_example" in row.inner_text() and "Ready" in row.inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download All stems (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {"vocals.wav", "accompaniment.wav", "manifest.json"} <= set(archive.namelist())
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Vocals").click()
    assert download.value.suggested_filename == "audio_example - vocals.wav"
    read_wav(open(download.value.path(), "rb").read())


def short_songs(folder, name, count, seed):
    """Writes songs of 2 s with different sounds, named "`name` 0.wav" and so on. Returns their
    paths."""
    paths = [folder / f"{name} {number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(wav_bytes(2, seed=seed + number))
    return [str(path) for path in paths]


def wait_until_ready(page, name, count):
    for number in range(count):
        page.wait_for_selector(f".song-row:has-text('{name} {number}'):has-text('Ready')")


def test_several_files_at_once(hall, visit, tmp_path):
    paths = short_songs(tmp_path, "take", 3, seed=10)
    page = visit(hall)
    page.set_input_files("#files", paths)
    wait_until_ready(page, "take", 3)


def test_by_drop(hall, visit, tmp_path):
    """Two files are dropped anywhere on the page."""
    paths = short_songs(tmp_path, "dropped", 2, seed=20)
    page = visit(hall)
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": paths, "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 500, "data": data})
    page.wait_for_selector(".drop-over")
    session.send("Input.dispatchDragEvent", {"type": "drop", "x": 200, "y": 500, "data": data})
    wait_until_ready(page, "dropped", 2)
    assert page.locator(".drop-over").count() == 0


def test_from_a_link(serve, visit, receiver, song):
    receiver.answer = lambda request: (200, song) if request["path"] == "/take.wav" else (404, b"")
    page = visit(serve(SOURCE_ALLOW="127.0.0.0/8"))
    page.expected += ["422"]
    page.get_by_label("Address of an audio file").fill(f"{receiver.url}/none.wav")
    page.get_by_role("button", name="Fetch").click()
    assert "404" in page.locator(".upload .problem").inner_text()
    page.locator(".upload").get_by_role("button", name="Cancel").click()
    page.get_by_label("Address of an audio file").fill(f"{receiver.url}/take.wav")
    page.get_by_role("button", name="Fetch").click()
    page.wait_for_selector(".song h1:text('take')")
    page.wait_for_selector(".downloads")


def test_stems_play_in_sync(hall, visit, example):
    """Vocals are panned left and accompaniment right. Their positions on the audio clock are
    compared at the start and at the end."""
    page = visit(hall, record=True)
    open_song(page, example)
    start_recording(page)
    page.get_by_role("slider", name="Pan of Vocals").press("Home")
    page.get_by_role("slider", name="Pan of Accompaniment").press("End")
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 9.8)
    played = recording(page)
    stems = [read_wav(hall.stem(example["id"], f"{name}.wav").body) for name in ("vocals", "accompaniment")]
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


def test_solo_mute_and_volume_are_heard(hall, visit, example):
    page = visit(hall, record=True)
    open_song(page, example)
    vocals, accompaniment = (read_wav(hall.stem(example["id"], f"{name}.wav").body) for name in ("vocals", "accompaniment"))

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


def test_a_loop_comes_around(hall, visit, example):
    """The loop is selected with the mouse. Its end continues with its start, to the sample."""
    page = visit(hall, record=True)
    open_song(page, example)
    drag(page, page.locator(".lane").first.bounding_box(), 0.25, 0.4)
    assert page.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "true"
    start = seconds(page)
    assert 2 < start < 3.5
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => window.recorded && recorded.length * 4096 > 4.5 * 44100")
    assert start - 0.2 <= seconds(page) <= 5
    played = recording(page)[:, 0]
    mix = sum(read_wav(hall.stem(example["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
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


def test_waveforms_zoom_and_scrolling(hall, visit, example):
    """The drawn waveform is that of the stem. A click seeks to the time under it, also after
    zooming and scrolling."""
    page = visit(hall)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_song(page, example)

    def heights():
        return np.array(page.evaluate("""() => {
            const canvas = document.querySelector(".lane");
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            const { data, width, height } = copy.getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({ length: width }, (_, x) => {
                let count = 0;
                for (let y = 0; y < height; y++)
                    count += data[4 * (y * width + x) + 3] > 0;
                return count;
            });
        }"""))

    stem = read_wav(hall.stem(example["id"], "vocals.wav").body)
    box = page.locator(".lane").first.bounding_box()
    edges = [round(x * len(stem) / box["width"]) for x in range(len(heights()) + 1)]
    # Peaks of 1024 samples.
    around = [np.ptp(stem[max(0, start - 512):end + 512]) for start, end in zip(edges, edges[1:])]

    def is_drawn():
        drawn = heights()
        return np.ptp(drawn) > 0 and np.corrcoef(drawn, around)[0, 1] > 0.95

    # The song can be played before its peaks have arrived.
    wait_until(is_drawn, what="the waveform")
    assert page.evaluate("() => performance.getEntriesByType('resource').every((each) => !/stems.*wav$/.test(each.name) || each.transferSize < 2000)")

    length = example["input"]["duration_s"]

    def time_at(share):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 20)
        return seconds(page)

    assert abs(time_at(0.5) - length / 2) < 0.15
    time_at(0)
    for _ in range(2):
        page.get_by_role("button", name="Zoom in").click()
    assert abs(time_at(0.5) - length / 8) < 0.15
    page.mouse.wheel(box["width"], 0)
    wait_until(lambda: abs(time_at(0.5) - length * 3 / 8) < 0.15, what="the next quarter")
    wait_until(lambda: any("samples_per_peak=64&" in url for url in asked), what="finer peaks")


def test_speed_keeps_the_pitch(hall, visit):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(6 * 44100) / 44100)).astype(np.float32)
    samples = (np.stack([tone, tone], axis=1) * 32767).astype("<i2").tobytes()
    content = wav.header(len(samples), 44100, 2, 16, wav.PCM) + samples
    job = hall.separate(content, name="tone.wav")
    page = visit(hall, record=True)
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


def test_the_exported_mix_is_the_services(hall, visit, example):
    page = visit(hall)
    open_song(page, example)
    name, content = export(page)
    assert name == "audio_example - mix.wav"
    job = hall.wait(hall.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg",
                                options={"mixes": {"all": ["vocals", "accompaniment"]}})["id"])
    ours, theirs = read_wav(content), read_wav(hall.stem(job["id"], "all.wav").body)
    assert ours.shape == theirs.shape
    print(f"{decibels_apart(theirs, ours):.1f} dB apart")
    assert decibels_apart(theirs, ours) > 60

    page.get_by_role("button", name="Karaoke").click()
    _, content = export(page)
    assert np.array_equal(read_wav(content), read_wav(hall.stem(example["id"], "accompaniment.wav").body))

    drag(page, page.locator(".lane").first.bounding_box(), 0.5, 0.75)
    page.get_by_role("checkbox", name="Only the loop").check()
    _, content = export(page)
    assert abs(len(read_wav(content)) / len(ours) - 0.25) < 0.01


@pytest.mark.parametrize("model, stems", [("4stems", ["vocals", "drums", "bass", "other"]), ("5stems", ["vocals", "piano", "drums", "bass", "other"])])
def test_four_and_five_stems(hall, visit, tmp_path, model, stems):
    """One row for each stem. Mute, solo and presets are checked in the exported mix and in the
    played audio. Then the zip."""
    cut = tmp_path / "cut.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-ss", "3", "-t", "5", "-i", SONG, cut], check=True)
    page = visit(hall, record=True)
    page.get_by_role("radio", name=f"{len(stems)} stems").check()
    page.get_by_text("More options").click()
    page.get_by_role("checkbox", name="All but drums").check()
    page.set_input_files("#files", str(cut))
    page.wait_for_selector(".export .button:enabled")
    job = hall.job(page.url.rsplit("/", 1)[1])
    assert job["model"]["name"] == model
    assert page.locator(".track h3").all_inner_texts() == [name.capitalize() for name in stems]
    sound = {name: read_wav(hall.stem(job["id"], f"{name}.wav").body) for name in (*stems, "no_drums")}
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
        assert archive.read("bass.wav") == hall.stem(job["id"], "bass.wav").body


def test_listening_while_it_runs(hall, visit, tmp_path):
    (tmp_path / "long.wav").write_bytes(wav_bytes(900, seed=5))
    page = visit(hall, record=True)
    page.set_input_files("#files", str(tmp_path / "long.wav"))
    page.wait_for_selector(".mixer")
    # The remaining time.
    page.wait_for_selector(".state:has-text('left')")
    wait_until(lambda: page.evaluate("() => !document.querySelector('.absent').hidden && parseFloat(document.querySelector('.absent').style.left) > 0"),
               what="the first seconds")
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 0.5)
    id = page.url.rsplit("/", 1)[1]
    assert hall.job(id)["status"] == "running"
    played = recording(page)
    assert np.abs(played).max() > 0.05
    page.get_by_role("button", name="Stop separating").click()
    page.wait_for_selector("text=This separation was stopped")


def test_a_song_that_ends_early_says_so(hall, visit):
    content = SONG.read_bytes()
    job = hall.separate(content[:len(content) // 2], name="cut.mp3", type="audio/mpeg")
    page = visit(hall, path=f"/#/songs/{job['id']}")
    page.wait_for_selector("text=This song may be incomplete: the file says that it has 10.9 s")


def test_compressed_stems_play_too(hall, visit):
    job = hall.wait(hall.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg", options={"codec": "flac"})["id"])
    page = visit(hall, record=True)
    open_song(page, job)
    start_recording(page)
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_seconds(page, 3)
    played = recording(page)[:, 0]
    wav = hall.wait(hall.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg")["id"])
    mix = sum(read_wav(hall.stem(wav["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
    assert place(played, mix[22050:66150])[1] > 0.999


@pytest.mark.parametrize("byob", [True, False], ids=["byob", "no byob"])
@pytest.mark.parametrize("depth", ["24", "float"])
def test_other_sample_formats(hall, visit, tmp_path, depth, byob):
    """A mix of one stem is lossless, also in browsers without BYOB readers."""
    job = hall.separate(wav_bytes(4, seed=31), name="fine.wav", options={"bit_depth": depth})
    page = visit(hall)
    if not byob:
        page.evaluate("""() => {
            const getReader = ReadableStream.prototype.getReader;
            ReadableStream.prototype.getReader = function (options) {
                if (options?.mode === "byob") throw new TypeError("not a byte stream");
                return getReader.call(this, options);
            };
        }""")
    open_song(page, job)
    page.get_by_role("button", name="Karaoke").click()
    files = {"page": export(page)[1], "service": hall.stem(job["id"], "accompaniment.wav").body}
    samples = {}
    for name, content in files.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / f"{name}.wav", "-f", "f64le", "-"], check=True, stdout=subprocess.PIPE)
        samples[name] = np.frombuffer(decoded.stdout, "<f8")
    assert len(samples["page"]) == 2 * 4 * 44100 and np.abs(samples["page"]).max() > 0.01
    assert np.array_equal(samples["page"], samples["service"])


def test_buffers_are_used_again(hall, visit):
    """However much is played, the page allocates few buffers, and the sound stays correct."""
    # Noise, so each position is unique.
    noise = (np.random.default_rng(32).standard_normal((60 * 44100, 2)) * 3000).astype("<i2").tobytes()
    job = hall.separate(wav.header(len(noise), 44100, 2, 16, wav.PCM) + noise, name="minute.wav")
    page = visit(hall, record=True)
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
    mix = sum(read_wav(hall.stem(job["id"], f"{name}.wav").body)[:, 0] for name in ("vocals", "accompaniment"))
    assert place(mix, played)[1] > 0.999


def test_by_keyboard_alone(hall, visit):
    """From sign-in to the exported mix without a pointer."""
    page = visit(hall, key=None)
    keys = page.keyboard
    choosers = []
    # Registered early: Chromium only reports file choosers if a listener exists when they open.
    page.on("filechooser", lambda chooser: choosers.append(chooser))

    def tab_to(selector):
        for _ in range(60):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            keys.press("Tab")
        raise AssertionError(f"no way to {selector}")

    tab_to("#key")
    keys.type(KEY)
    keys.press("Enter")
    page.wait_for_selector(".drop")
    page.get_by_role("radio").first.wait_for()
    tab_to("#files")
    keys.press("Space")
    wait_until(lambda: page.evaluate("true") and choosers, what="the file chooser")
    choosers[0].set_files(str(SONG))
    page.wait_for_selector(".export .button:enabled")
    page.evaluate("document.activeElement.blur()")
    keys.press("Space")
    wait_for_seconds(page, 0.3)
    keys.press("1")
    assert page.get_by_role("button", name="Solo Vocals").get_attribute("aria-pressed") == "true"
    keys.press("Shift+2")
    assert page.get_by_role("button", name="Mute Accompaniment").get_attribute("aria-pressed") == "true"
    keys.press("0")
    assert page.get_by_role("button", name="Full mix").get_attribute("aria-pressed") == "true"
    keys.press("l")
    assert page.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "true"
    keys.press("l")
    before = seconds(page)
    keys.press("ArrowRight")
    assert seconds(page) >= before + 4.5
    keys.press("Home")
    assert seconds(page) < 1
    keys.press("Space")
    page.wait_for_selector("button[aria-label=Play]")
    tab_to(".fader")
    keys.press("ArrowLeft")
    assert "-" in page.get_by_role("slider", name="Volume of Vocals").get_attribute("aria-valuetext")
    tab_to(".chip")
    tab_to(".export .button")
    with page.expect_download():
        keys.press("Enter")
    keys.press("?")
    page.get_by_role("dialog").wait_for()
    keys.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_on_a_phone(hall, visit, example):
    page = visit(hall, key=None, viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)

    def fits():
        return page.evaluate("document.scrollingElement.scrollWidth") <= 375

    assert fits()
    page.fill("#key", KEY)
    page.get_by_role("button", name="Sign in").tap()
    page.wait_for_selector(".drop")
    page.get_by_text("More options").tap()
    assert fits()
    page.locator(f"a[href='#/songs/{example['id']}']").tap()
    page.wait_for_selector(".export .button:enabled")
    assert fits()
    page.get_by_role("button", name="Play", exact=True).tap()
    wait_for_seconds(page, 0.5)
    box = page.get_by_role("button", name="Pause", exact=True).bounding_box()
    # The button stays in view.
    assert box["y"] + box["height"] <= 740
    page.get_by_role("button", name="Share Vocals").tap()
    page.wait_for_selector("dialog[open]")
    assert fits()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="All songs").tap()
    page.wait_for_selector(".drop")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(hall, visit, example, scheme):
    axe = (TOOLS / "node_modules/axe-core/axe.min.js").read_text()
    page = visit(hall, key=None, color_scheme=scheme)

    def check(place):
        # evaluate(), since the page's policy would block a script element.
        page.evaluate(axe)
        found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
        serious = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, f"{place}: {json.dumps(serious, indent=1)}"

    check("sign-in")
    page.fill("#key", "wrong-key-0123456789")
    page.keyboard.press("Enter")
    page.wait_for_selector(".problem")
    check("a refusal")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".drop")
    page.get_by_text("More options").click()
    check("new song")
    open_song(page, example)
    page.get_by_role("button", name="Solo Vocals").click()
    check("song")
    page.get_by_role("combobox", name="Language").select_option("fr")
    check("morceau")
    page.get_by_role("combobox", name="Langue").select_option("en")
    page.get_by_role("button", name="Share Vocals").click()
    page.get_by_role("button", name="Make the link").click()
    page.wait_for_selector("dialog input")
    check("share")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete").click()
    check("delete")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    check("keys")


def test_shared_links_need_no_key(hall, visit, example):
    page = visit(hall)
    open_song(page, example)
    page.get_by_role("button", name="Share Accompaniment").click()
    page.get_by_role("combobox", name="Valid for").select_option("3600")
    page.get_by_role("button", name="Make the link").click()
    address = page.get_by_role("textbox", name="Link").input_value()
    assert address.startswith(f"http://127.0.0.1:{hall.port}/v1/jobs/{example['id']}/stems/accompaniment.wav?expires=")
    path = address.split(f":{hall.port}")[1]
    stranger = Client(hall.port, None)
    assert stranger.get(path).body == hall.stem(example["id"], "accompaniment.wav").body
    assert stranger.get(path.replace("accompaniment", "vocals")).status == 401


def test_songs_are_found_and_deleted(hall, visit):
    for name in ("Été à la plage.wav", "Winter song.wav"):
        hall.separate(wav_bytes(1, seed=len(name)), name=name)
    page = visit(hall)
    search = page.get_by_role("searchbox", name="Search songs")
    search.fill("ete plage")
    assert page.locator(".song-row .song-name").all_inner_texts() == ["Été à la plage"]
    search.fill("nothing like that")
    assert page.get_by_text("No song has that in its name.").is_visible()
    search.fill("winter")
    page.locator(".song-row").first.click()
    page.wait_for_selector(".song h1:text('Winter song')")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_selector(".drop")
    assert not [job for job in hall.get("/v1/jobs").json()["jobs"] if job["input"]["name"] == "Winter song.wav"]


def test_options_become_those_of_the_job(hall, visit):
    page = visit(hall)
    page.get_by_text("More options").click()
    page.get_by_role("combobox", name="Format of the stems").select_option("mp3")
    page.get_by_role("combobox", name="Bit rate").select_option("320k")
    page.get_by_role("checkbox", name="Vocals").uncheck()
    page.get_by_role("combobox", name="Separate into").select_option("spleeter:2stems")
    page.set_input_files("#files", str(SONG))
    page.wait_for_selector(".song h1")
    job = hall.job(page.url.rsplit("/", 1)[1])
    assert job["model"]["name"] == "spleeter:2stems"
    assert job["options"]["codec"] == "mp3" and job["options"]["bitrate"] == 320000 and job["options"]["stems"] == ["accompaniment"]


def test_failures_say_what_to_do(hall, visit, tmp_path):
    page = visit(hall, key=None)
    page.expected += ["415", "422"]
    page.fill("#key", "a-wrong-key-0123456789")
    page.keyboard.press("Enter")
    assert "Check the key and sign in again" in page.locator(".problem").inner_text()
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".drop")
    (tmp_path / "notes.txt").write_text("no music")
    page.set_input_files("#files", str(tmp_path / "notes.txt"))
    page.wait_for_selector(".upload .problem")
    problem = page.locator(".upload .problem").inner_text()
    assert "Convert it to WAV, FLAC or MP3 first" in problem and "SPLEETER_FORMATS" in problem
    # The id of the request.
    assert re.search(r"[0-9a-f-]{36}", problem)
    # A new attempt would fail again.
    assert page.locator(".upload").get_by_role("button", name="Try again").count() == 0
    page.get_by_role("button", name="Cancel: notes.txt").click()
    (tmp_path / "broken.mp3").write_bytes(SONG.read_bytes()[:2000] + b"\0" * 50)
    page.get_by_label("Address of an audio file").fill("http://127.0.0.1:1/song.mp3")
    page.get_by_role("button", name="Fetch").click()
    page.wait_for_selector(".upload .problem")
    assert "https address" in page.locator(".upload .problem").inner_text()


def test_a_lost_service_is_told_and_found_again(serve, visit, song):
    service = serve()
    page = visit(service)
    page.expected += ["Failed to load resource", "net::"]
    service.stop()
    page.set_input_files("#files", {"name": "song.wav", "mimeType": "audio/wav", "buffer": song})
    page.wait_for_selector(".upload .problem")
    assert "can't be reached" in page.locator(".upload .problem").inner_text()
    service.start()
    page.locator(".upload").get_by_role("button", name="Try again").click()
    page.wait_for_selector(".downloads")


def test_a_session_that_ends_asks_for_the_key_again(serve, visit):
    service = serve()
    guest = service.add_key("guest")
    page = visit(service, key=guest.key)
    page.wait_for_selector(".model-card")
    subprocess.run([PROGRAM, "keys", "revoke", "guest"], env=environment(**service.settings), check=True, capture_output=True)
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: guest.get("/v1/jobs").status == 401, what="the end of the key")
    page.get_by_label("Address of an audio file").fill("https://127.0.0.1/song.mp3")
    page.get_by_role("button", name="Fetch").click()
    page.wait_for_selector("text=Your session is over. Sign in again.")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".drop")


def test_a_song_that_is_too_long_names_the_limit(serve, visit):
    page = visit(serve(MAX_DURATION_S=5))
    page.expected += ["413", "422"]
    page.set_input_files("#files", str(SONG))
    page.wait_for_selector(".upload .problem")
    problem = page.locator(".upload .problem").inner_text()
    assert "Cut it into parts first" in problem and "SPLEETER_MAX_DURATION_S" in problem


def test_the_key_stays_in_no_storage_and_no_address(hall, visit, example):
    page = visit(hall, key=None)
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".drop")
    open_song(page, example)
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, history.state])")
    assert KEY not in kept and "spleeterd_session" not in kept
    assert not [url for url in addresses if KEY in url or "session=" in url]
    page.reload()
    # Still signed in.
    page.wait_for_selector(".export .button:enabled")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("#key")
    page.reload()
    page.wait_for_selector("#key")


def test_without_keys_nobody_signs_in(serve, visit):
    page = visit(serve(ENV="development", API_KEY=None), key=None)
    page.get_by_role("radio", name="2 stems").wait_for()
    assert page.get_by_role("button", name="Sign out").count() == 0


def test_in_french(hall, visit, example):
    page = visit(hall, locale="fr-FR")
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert page.get_by_role("heading", name="Nouveau morceau").is_visible()
    open_song(page, example)
    assert page.locator(".track h3").all_inner_texts() == ["Voix", "Accompagnement"]
    page.get_by_role("combobox", name="Langue").select_option("en")
    page.reload()
    page.wait_for_selector("text=Export this mix")


def test_light_and_dark(hall, visit):
    """The page follows the system until a scheme is chosen. The choice is kept."""
    page = visit(hall, color_scheme="light")

    def is_dark():
        red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
        return red + green + blue < 200

    assert not is_dark()
    page.emulate_media(color_scheme="dark")
    wait_until(is_dark, what="the dark theme")
    page.get_by_role("button", name="Appearance: As the system").click()
    assert not is_dark()
    page.reload()
    page.wait_for_selector(".drop")
    assert not is_dark()
    page.get_by_role("button", name="Appearance: Light").click()
    page.emulate_media(color_scheme="light")
    assert is_dark()


def test_the_first_load_is_small(hall, visit, chromium):
    context = chromium.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    sizes = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"http://127.0.0.1:{hall.port}/")
    page.wait_for_selector("#key")
    page.wait_for_load_state("networkidle")
    print(f"{sum(sizes)} bytes in {len(sizes)} answers")
    assert len(sizes) >= 4 and 20000 < sum(sizes) < 200 * 1024
    context.close()
