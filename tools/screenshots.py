#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes the screenshots of the page for docs/images, with the bundled song, in Chromium.

    make && tests/page/install.sh build
    build/page/python/bin/python tools/screenshots.py [BUILD]
"""
import os
import pathlib
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "build").resolve()
os.environ.update(SPLEETERD=str(BUILD / "spleeterd"), SPLEETER_CODEC=str(BUILD / "spleeterd-codec"), SPLEETER_MODEL_PATH=str(REPOSITORY / "models"))
sys.path.insert(0, str(REPOSITORY / "tests/service"))

import conftest as service_fixtures  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

IMAGES = REPOSITORY / "docs/images"
SONGS = {"Slow Motion Dream": "5stems", "Rehearsal, take 3": "4stems", "Choir, second half": "2stems"}


def open_page(browser, service, **options):
    context = browser.new_context(**{"locale": "en-US", "device_scale_factor": 2, **options})
    context.set_default_timeout(120000)
    context.request.post(f"http://127.0.0.1:{service.port}/v1/session", headers={"X-API-KEY": service_fixtures.KEY})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{service.port}/")
    page.wait_for_selector(".drop")
    return page


def open_song(page, job):
    page.goto(page.url.split("#")[0] + f"#/songs/{job}")
    page.wait_for_selector(".export .button:enabled")


def play_to(page, share):
    """Plays briefly from that position, so that the meters move and the playhead is visible."""
    page.evaluate("(share) => { const seek = document.querySelector('.seek input'); seek.value = share * seek.max;"
                  " seek.dispatchEvent(new Event('input', { bubbles: true })); }", share)
    page.get_by_role("button", name="Play", exact=True).or_(page.get_by_role("button", name="Lecture", exact=True)).click()
    page.wait_for_timeout(1200)


def drag_loop(page, start, end):
    box = page.locator(".waveform").first.bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 20, steps=4)
    page.mouse.up()


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    service = service_fixtures.Service(folder, {"PORT": service_fixtures.free_port(), "DATA_DIR": folder / "data", "API_KEY": service_fixtures.KEY,
                                                "MIN_FREE_DISK_MB": 64}).start()
    song = service_fixtures.SONG.read_bytes()
    for name, model in reversed(SONGS.items()):
        job = service.wait(service.submit(song, name=f"{name}.mp3", type="audio/mpeg", options={"model": model})["id"])["id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        page = open_page(browser, service, viewport={"width": 1280, "height": 800}, color_scheme="dark")
        page.screenshot(path=IMAGES / "page-new.png")
        open_song(page, job)
        drag_loop(page, 0.28, 0.62)
        play_to(page, 0.42)
        page.screenshot(path=IMAGES / "page-song.png")
        page = open_page(browser, service, viewport={"width": 1280, "height": 800}, color_scheme="light", locale="fr-FR")
        open_song(page, job)
        play_to(page, 0.35)
        page.screenshot(path=IMAGES / "page-song-fr.png")
        page = open_page(browser, service, viewport={"width": 375, "height": 760}, color_scheme="dark", has_touch=True, is_mobile=True)
        open_song(page, job)
        play_to(page, 0.5)
        page.screenshot(path=IMAGES / "page-phone.png")
        browser.close()
    service.stop()


main()
