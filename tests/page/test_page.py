# SPDX-License-Identifier: MIT
"""Use of the page, in Chromium, without playback (test_playback.py)."""
import json
import re
import signal
import subprocess
import zipfile

import numpy as np
import pytest

from audio import decibels_apart, read_wav
from client import Client
from conftest import KEY, PROGRAM, SONG, TOOLS, drag, environment, export, open_song, seconds, wait_for_seconds, wait_until, wav_bytes


def test_from_a_file_to_stems(shared, visit):
    """Upload, progress, and a song with a track for each stem."""
    page = visit(shared)
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


def test_several_files_at_once(shared, visit, tmp_path):
    paths = short_songs(tmp_path, "take", 3, seed=10)
    page = visit(shared)
    page.set_input_files("#files", paths)
    wait_until_ready(page, "take", 3)


def test_by_drop(shared, visit, tmp_path):
    """Two files are dropped anywhere on the page."""
    paths = short_songs(tmp_path, "dropped", 2, seed=20)
    page = visit(shared)
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


def test_waveforms_zoom_and_scrolling(shared, visit, example):
    """The drawn waveform is that of the stem. A click seeks to the time under it, also after
    zooming and scrolling."""
    page = visit(shared)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_song(page, example)

    def heights():
        return np.array(page.evaluate("""() => {
            const canvas = document.querySelector(".waveform");
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

    stem = read_wav(shared.stem(example["id"], "vocals.wav").body)
    box = page.locator(".waveform").first.bounding_box()
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


def test_the_exported_mix_is_the_services(shared, visit, example):
    page = visit(shared)
    open_song(page, example)
    name, content = export(page)
    assert name == "audio_example - mix.wav"
    job = shared.wait(shared.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg",
                                options={"mixes": {"all": ["vocals", "accompaniment"]}})["id"])
    ours, theirs = read_wav(content), read_wav(shared.stem(job["id"], "all.wav").body)
    assert ours.shape == theirs.shape
    print(f"{decibels_apart(theirs, ours):.1f} dB apart")
    assert decibels_apart(theirs, ours) > 60

    page.get_by_role("button", name="Karaoke").click()
    _, content = export(page)
    assert np.array_equal(read_wav(content), read_wav(shared.stem(example["id"], "accompaniment.wav").body))

    drag(page, page.locator(".waveform").first.bounding_box(), 0.5, 0.75)
    page.get_by_role("checkbox", name="Only the loop").check()
    _, content = export(page)
    assert abs(len(read_wav(content)) / len(ours) - 0.25) < 0.01


def test_a_song_that_ends_early_has_a_warning(shared, visit):
    content = SONG.read_bytes()
    job = shared.separate(content[:len(content) // 2], name="cut.mp3", type="audio/mpeg")
    page = visit(shared, path=f"/#/songs/{job['id']}")
    page.wait_for_selector("text=This song may be incomplete: the file says that it has 10.9 s")


@pytest.mark.parametrize("byob", [True, False], ids=["byob", "no byob"])
@pytest.mark.parametrize("depth", ["24", "float"])
def test_other_sample_formats(shared, visit, tmp_path, depth, byob):
    """A mix of one stem is lossless, also in browsers without BYOB readers."""
    job = shared.separate(wav_bytes(4, seed=31), name="fine.wav", options={"bit_depth": depth})
    page = visit(shared)
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
    files = {"page": export(page)[1], "service": shared.stem(job["id"], "accompaniment.wav").body}
    samples = {}
    for name, content in files.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / f"{name}.wav", "-f", "f64le", "-"], check=True, stdout=subprocess.PIPE)
        samples[name] = np.frombuffer(decoded.stdout, "<f8")
    assert len(samples["page"]) == 2 * 4 * 44100 and np.abs(samples["page"]).max() > 0.01
    assert np.array_equal(samples["page"], samples["service"])


def test_by_keyboard_alone(shared, visit):
    """From sign-in to the exported mix without a pointer."""
    page = visit(shared, key=None)
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


def test_on_a_phone(shared, visit, example):
    page = visit(shared, key=None, viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)

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
def test_axe_finds_nothing_serious(shared, visit, example, scheme):
    axe = (TOOLS / "node_modules/axe-core/axe.min.js").read_text()
    page = visit(shared, key=None, color_scheme=scheme)

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


def test_shared_links_need_no_key(shared, visit, example):
    page = visit(shared)
    open_song(page, example)
    page.get_by_role("button", name="Share Accompaniment").click()
    page.get_by_role("combobox", name="Valid for").select_option("3600")
    page.get_by_role("button", name="Make the link").click()
    address = page.get_by_role("textbox", name="Link").input_value()
    assert address.startswith(f"http://127.0.0.1:{shared.port}/v1/jobs/{example['id']}/stems/accompaniment.wav?expires=")
    path = address.split(f":{shared.port}")[1]
    stranger = Client(shared.port, None)
    assert stranger.get(path).body == shared.stem(example["id"], "accompaniment.wav").body
    assert stranger.get(path.replace("accompaniment", "vocals")).status == 401


def test_songs_are_found_and_deleted(shared, visit):
    for name in ("Été à la plage.wav", "Winter song.wav"):
        shared.separate(wav_bytes(1, seed=len(name)), name=name)
    page = visit(shared)
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
    assert not [job for job in shared.get("/v1/jobs").json()["jobs"] if job["input"]["name"] == "Winter song.wav"]


def test_options_become_those_of_the_job(shared, visit):
    page = visit(shared)
    page.get_by_text("More options").click()
    page.get_by_role("combobox", name="Format of the stems").select_option("mp3")
    page.get_by_role("combobox", name="Bit rate").select_option("320k")
    page.get_by_role("checkbox", name="Vocals").uncheck()
    page.get_by_role("combobox", name="Separate into").select_option("spleeter:2stems")
    page.set_input_files("#files", str(SONG))
    page.wait_for_selector(".song h1")
    job = shared.job(page.url.rsplit("/", 1)[1])
    assert job["model"]["name"] == "spleeter:2stems"
    assert job["options"]["codec"] == "mp3" and job["options"]["bitrate"] == 320000 and job["options"]["stems"] == ["accompaniment"]


def test_failures_say_what_to_do(shared, visit, tmp_path):
    page = visit(shared, key=None)
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


def test_a_lost_service_is_reported_and_found_again(serve, visit, song):
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


def test_an_ended_session_needs_a_new_sign_in(serve, visit):
    service = serve()
    guest = service.add_key("guest")
    page = visit(service, key=guest.key)
    page.wait_for_selector(".model-card")
    subprocess.run([PROGRAM, "keys", "revoke", "guest"], env=environment(**service.settings), check=True, capture_output=True)
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: guest.get("/v1/jobs").status == 401, what="the end of the key")
    page.get_by_label("Address of an audio file").fill("https://127.0.0.1/song.mp3")
    page.get_by_role("button", name="Fetch").click()
    page.wait_for_selector("text=Your session has ended. Sign in again.")
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


def test_the_key_stays_in_no_storage_and_no_address(shared, visit, example):
    page = visit(shared, key=None)
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


def test_in_french(shared, visit, example):
    page = visit(shared, locale="fr-FR")
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert page.get_by_role("heading", name="Nouveau morceau").is_visible()
    open_song(page, example)
    assert page.locator(".track h3").all_inner_texts() == ["Voix", "Accompagnement"]
    page.get_by_role("combobox", name="Langue").select_option("en")
    page.reload()
    page.wait_for_selector("text=Export this mix")


def test_light_and_dark(shared, visit):
    """The page follows the system until a scheme is chosen. The choice is kept."""
    page = visit(shared, color_scheme="light")

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


def test_the_first_load_is_small(shared, visit, chromium):
    context = chromium.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    sizes = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"http://127.0.0.1:{shared.port}/")
    page.wait_for_selector("#key")
    page.wait_for_load_state("networkidle")
    print(f"{sum(sizes)} bytes in {len(sizes)} answers")
    assert len(sizes) >= 4 and 20000 < sum(sizes) < 200 * 1024
    context.close()
