#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the page costs with a song of an hour in five tracks: memory of the page, and frames while it scrolls, zooms and plays.

    tests/page/install.sh build
    build/page/python/bin/python bench/page.py [--build build] [--minutes 60] [--json FILE]

Memory is what the page's process has for itself (Private in /proc/PID/smaps_rollup), JavaScript's heap is that of the browser's own
count. The tracks are mixes of two stems, so that making them takes less time.
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
from playwright.sync_api import sync_playwright  # noqa: E402

STEMS = {"one": ["vocals"], "two": ["accompaniment"], "three": ["vocals", "accompaniment"], "four": ["accompaniment"], "five": ["vocals"]}

# Counts frames and the time between them while `act` goes on, with 60 wheel events a second.
SCROLL = """async ([seconds, ctrl]) => {
    const lane = document.querySelector(".lane"), box = lane.getBoundingClientRect();
    const times = [];
    const start = performance.now();
    await new Promise((resolve) => requestAnimationFrame(function frame(now) {
        times.push(now);
        const turn = Math.sin((now - start) / 700);
        lane.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, clientX: box.x + box.width / 2, clientY: box.y + 10,
            ctrlKey: ctrl, deltaX: ctrl ? 0 : 40 * (turn > -0.6 ? 1 : -1), deltaY: ctrl ? 12 * Math.sign(turn) : 0 }));
        if (now - start < 1000 * seconds) requestAnimationFrame(frame); else resolve();
    }));
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return { frames_per_second: 1000 * gaps.length / (times.at(-1) - times[0]), slowest_of_100_ms: gaps[Math.floor(gaps.length * 0.99)] };
}"""


def page_mb(page):
    """Of the page's process, the largest of the browser's renderers."""
    session = page.context.browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max(private_mb(each["id"]) for each in processes if each["type"] == "renderer")


def private_mb(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def heap_mb(page):
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    data = arguments.data or folder / "data"
    service = service_fixtures.Service(folder, {"PORT": service_fixtures.free_port(), "DATA_DIR": data, "API_KEY": service_fixtures.KEY,
                                                "MIN_FREE_DISK_MB": 64, "RATE_PER_MINUTE": 600}).start()
    jobs = [job for job in service.get("/v1/jobs").json()["jobs"] if job["status"] == "succeeded"]
    if not jobs:
        song = folder / "hour.flac"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"anoisesrc=color=pink:amplitude=0.4:duration={60 * arguments.minutes}:sample_rate=22050",
                        "-af", "tremolo=f=0.1:d=0.9", song], check=True)
        started = time.monotonic()
        service.wait(service.submit(song.read_bytes(), name="hour.flac", type="audio/flac", options={"mixes": STEMS})["id"], timeout=3600)
        print(f"separated in {time.monotonic() - started:.0f} s", flush=True)
        jobs = [job for job in service.get("/v1/jobs").json()["jobs"] if job["status"] == "succeeded"]
    result = {"minutes": arguments.minutes, "tracks": len(STEMS)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(300000)
        context.request.post(f"http://127.0.0.1:{service.port}/v1/session", headers={"X-API-KEY": service_fixtures.KEY})
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{service.port}/#/songs/{jobs[0]['id']}")
        started = time.monotonic()
        page.wait_for_selector(".export .button:enabled")
        result["opened_s"] = time.monotonic() - started
        memory, heap = [page_mb(page)], [heap_mb(page)]

        def note():
            memory.append(page_mb(page))
            heap.append(heap_mb(page))

        page.get_by_role("button", name="Play", exact=True).click()
        for step in range(12):  # playing, from one end to the other
            page.evaluate("(share) => { const box = document.querySelector('.seek input'); box.value = share * box.max; box.dispatchEvent(new Event('input', { bubbles: true })); }", step / 12)
            page.wait_for_timeout(2500)
            note()
        page.get_by_role("button", name="Pause", exact=True).click()
        for _ in range(4):
            page.keyboard.press("+")
        result["scroll"] = page.evaluate(SCROLL, [6, False])
        note()
        for _ in range(5):
            page.keyboard.press("+")
        result["scroll_near"] = page.evaluate(SCROLL, [6, False])
        note()
        result["zoom"] = page.evaluate(SCROLL, [6, True])
        note()
        page.get_by_role("button", name="Play", exact=True).click()
        result["scroll_while_playing"] = page.evaluate(SCROLL, [6, False])
        note()
        result["memory_mb"] = {"open": round(memory[0]), "most": round(max(memory))}
        result["heap_mb"] = {"open": round(heap[0]), "most": round(max(heap))}
        browser.close()
    service.stop()
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


main()
