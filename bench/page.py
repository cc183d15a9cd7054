#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the page with a song of one hour in five stems: the memory of the page, and its frame
rate while it scrolls, zooms and plays.

    bench/page.py [--build build] [--minutes 60] [--data FOLDER] [--json FILE]

Memory is the private memory of the page's process (Private in /proc/PID/smaps_rollup); the
JavaScript heap is the browser's own figure. The song is the bundled one, looped, which the service
separates with 5stems.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
parser = argparse.ArgumentParser()
parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build")
parser.add_argument("--minutes", type=int, default=60)
parser.add_argument("--data", type=pathlib.Path, help="folder of the service's data, kept")
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
build = arguments.build.resolve()
os.environ.update(SPLEETERD=str(build / "spleeterd"), SPLEETER_CODEC=str(build / "spleeterd-codec"), SPLEETER_MODEL_PATH=str(REPOSITORY / "models"))
sys.path.insert(0, str(REPOSITORY / "tests/service"))

import conftest as service_fixtures  # noqa: E402
from chromium import Chromium  # noqa: E402

# Measures the frame rate and frame intervals for `seconds` of wheel events, one per frame.
SCROLL = """async (seconds, ctrl) => {
    const track = document.querySelector(".waveform"), box = track.getBoundingClientRect();
    const times = [];
    const start = performance.now();
    await new Promise((resolve) => requestAnimationFrame(function frame(now) {
        times.push(now);
        const turn = Math.sin((now - start) / 700);
        track.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, clientX: box.x + box.width / 2, clientY: box.y + 10,
            ctrlKey: ctrl, deltaX: ctrl ? 0 : 40 * (turn > -0.6 ? 1 : -1), deltaY: ctrl ? 12 * Math.sign(turn) : 0 }));
        if (now - start < 1000 * seconds) requestAnimationFrame(frame); else resolve();
    }));
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return { frames_per_second: 1000 * gaps.length / (times.at(-1) - times[0]), slowest_of_100_ms: gaps[Math.floor(gaps.length * 0.99)] };
}"""


SEEK = """(share) => {
    const slider = document.querySelector(".seek input");
    slider.value = share * slider.max;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""
CLICK = "(selector) => document.querySelector(selector).click()"
PRESS = "(key) => dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))"
SIGN_IN = """async (key) => {
    const answer = await fetch("/v1/session", { method: "POST", headers: { "X-API-KEY": key, "X-Spleeterd-Page": "1" } });
    if (!answer.ok) throw new Error(`signing in: ${answer.status}`);
}"""
# Keeps the mix in the page's Blob instead of saving it, and returns the Blob's size.
EXPORT = """async () => {
    let size = 0;
    const create = URL.createObjectURL;
    URL.createObjectURL = (blob) => { size = blob.size; URL.createObjectURL = create; return "#"; };
    HTMLAnchorElement.prototype.click = () => {};
    document.querySelector(".export .button").click();
    while (!size) await new Promise((resolve) => setTimeout(resolve, 50));
    return size;
}"""


def separate(service, folder, minutes):
    song = folder / "hour.mp3"
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", service_fixtures.SONG, "-t", str(60 * minutes), "-c", "copy", song], check=True)
    started = time.monotonic()
    service.wait(service.submit(song.read_bytes(), name="hour.mp3", type="audio/mpeg", options={"model": "5stems"})["id"], timeout=7200)
    print(f"separated in {time.monotonic() - started:.0f} s", flush=True)


def measure(browser, service, job):
    origin = f"http://127.0.0.1:{service.port}"
    page = browser.open(origin, 1440, 900)
    page.wait_for("#key")
    page.run(SIGN_IN, service_fixtures.KEY)
    page = browser.open(f"{origin}/#/songs/{job['id']}", 1440, 900)
    started = time.monotonic()
    page.wait_for(".export .button:enabled")
    result = {"tracks": page.run("() => document.querySelectorAll('.track').length"), "opened_s": round(time.monotonic() - started, 2)}
    memory, heap = {}, []

    def scroll(step, ctrl=False):
        before = browser.cpu_s()
        result[step] = page.run(SCROLL, 6, ctrl)
        result[step]["cpu_ms_per_frame"] = 1000 * (browser.cpu_s() - before) / (6 * result[step]["frames_per_second"])
        result[step] = {name: round(value, 1) for name, value in result[step].items()}
        note(step)

    def note(step):
        memory[step] = max(memory.get(step, 0), round(browser.renderer_mb()))
        heap.append(page.heap_mb())

    note("open")
    page.run(CLICK, ".play")
    for step in range(12):  # while playing, from one end to the other
        page.run(SEEK, step / 12)
        time.sleep(2.5)
        note("play")
    page.run(CLICK, ".play")
    for step, keys, ctrl in (("scroll", "++++", False), ("scroll_near", "+++++", False), ("zoom", "", True)):
        for key in keys:
            page.run(PRESS, key)
        scroll(step, ctrl)
    page.run(CLICK, ".play")
    scroll("scroll_while_playing")
    page.run(CLICK, ".play")
    started = time.monotonic()
    page.run("(run) => { window.exporting = eval(run)(); }", EXPORT)
    while page.run("() => Promise.race([exporting.then(() => true), new Promise((resolve) => setTimeout(resolve, 1000, false))])") is False:
        note("export")
    result["export_s"] = round(time.monotonic() - started, 1)
    result["memory_mb"] = {**memory, "most": max(memory.values())}
    result["heap_mb"] = {"open": round(heap[0], 1), "most": round(max(heap), 1)}
    return result


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    service = service_fixtures.Service(folder, {"PORT": service_fixtures.free_port(), "DATA_DIR": arguments.data or folder / "data",
                                                "API_KEY": service_fixtures.KEY, "MIN_FREE_DISK_MB": 64, "RATE_PER_MINUTE": 100000}).start()

    def done():
        return [job for job in service.get("/v1/jobs").json()["jobs"] if job["status"] == "succeeded"]

    try:
        if not done():
            separate(service, folder, arguments.minutes)
        with Chromium(folder / "profile") as browser:
            result = measure(browser, service, done()[0])
    finally:
        service.stop()
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


main()
