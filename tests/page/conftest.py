# SPDX-License-Identifier: MIT
"""Runs the page in a real Chromium, served by the real service. The fixtures of tests/service start
it.

The browser is Debian's package, $CHROMIUM or `chromium`. install.sh installs Playwright.
"""
import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/service"))

import importlib.util  # noqa: E402

# Imported under another name, since this file is also called conftest.
specification = importlib.util.spec_from_file_location("service_fixtures", REPOSITORY / "tests/service/conftest.py")
service_fixtures = importlib.util.module_from_spec(specification)
sys.modules["service_fixtures"] = service_fixtures
specification.loader.exec_module(service_fixtures)

from service_fixtures import KEY, PROGRAM, SONG, endless, environment, free_port, jwks, receiver, serve, service, song, wait_until, wav, wav_bytes  # noqa: E402, F401

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

import pytest  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
TOOLS = pathlib.Path(os.environ["PAGE_TOOLS"])

# Records its input, with the frame of the audio clock.
RECORDER = """
const SIZE = 4096;
class Recorder extends AudioWorkletProcessor {
    left = new Float32Array(SIZE);
    right = new Float32Array(SIZE);
    count = 0;
    process([input]) {
        if (input.length === 0)
            return true;
        this.left.set(input[0], this.count);
        this.right.set(input[1] ?? input[0], this.count);
        this.count += 128;
        if (this.count === SIZE) {
            this.port.postMessage([currentFrame, this.left.slice(), this.right.slice()]);
            this.count = 0;
        }
        return true;
    }
}
registerProcessor("recorder", Recorder);
"""
# Connects the context's output also to a recorder. Its blocks are in `recorded`: frame, left,
# right.
TAP = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
    if (to instanceof AudioDestinationNode && !window.recorded) {
        window.recorded = [];
        to.context.audioWorklet.addModule("data:text/javascript," + encodeURIComponent(RECORDER)).then(() => {
            const node = new AudioWorkletNode(to.context, "recorder", { numberOfOutputs: 0 });
            node.port.onmessage = (event) => window.recorded.push(event.data);
            connect.call(this, node);
            window.recorder = node;
        });
    }
    return connect.call(this, to, ...more);
};
""".replace("RECORDER", json.dumps(RECORDER))

# Expected refusals; the browser logs each to its console.
EXPECTED = ("401 (Unauthorized)",)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A service that all tests share."""
    folder = tmp_path_factory.mktemp("shared")
    server = service_fixtures.Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                                               "RATE_PER_MINUTE": 100000})
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Yields visit(service, key=KEY, ...), which opens the page in a new browser context, signed
    in. With `record`, played audio is in `recorded`; the recorder is not part of the page, so the
    page's policy is off then. At the end, no request may have left the origin, and no error may
    have occurred that is not in `page.expected`."""
    contexts = []

    def start(service, key=KEY, path="/", record=False, **options):
        options = {"viewport": {"width": 1280, "height": 860}, "locale": "en-US", "bypass_csp": record, **options}
        context = chromium.new_context(**options)
        context.set_default_timeout(60000)
        origin = f"http://127.0.0.1:{service.port}"
        requests, faults = [], []
        context.on("request", lambda request: requests.append(request.url))
        if record:
            context.add_init_script(TAP)
        if key:
            answer = context.request.post(f"{origin}/v1/session", headers={"X-API-KEY": key})
            assert answer.status == 201, answer
        page = context.new_page()
        page.expected, page.allowed = list(EXPECTED), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(f"{message.text} {message.location['url']}") if message.type in ("error", "warning") else None)
        contexts.append((context, page, origin, requests, faults))
        page.goto(origin + path)
        page.wait_for_selector("main h1, main .song")
        return page

    yield start
    for context, page, origin, requests, faults in contexts:
        with contextlib.suppress(Exception):
            context.close()
        assert [url for url in requests if not url.startswith((origin + "/", "blob:" + origin, *page.allowed))] == []
        assert [fault for fault in faults if not any(known in fault for known in page.expected)] == []


@pytest.fixture(scope="session")
def example(shared):
    """The job of the bundled song, separated."""
    return shared.wait(shared.submit(SONG.read_bytes(), name="audio_example.mp3", type="audio/mpeg")["id"])


def play_until(page, condition):
    """Plays until `condition` (JavaScript) holds, then pauses. This runs in the page, since its
    clock does not wait for the test."""
    page.evaluate("""async (condition) => {
        const button = document.querySelector(".play");
        const holds = new Function("return " + condition);
        const plays = () => button.getAttribute("aria-label") === "Pause";
        const until = async (reached) => {
            while (!reached())
                await new Promise((resolve) => setTimeout(resolve, 10));
        };
        button.click();
        await until(plays);
        await until(() => holds() || !plays());
        if (plays())
            button.click();
    }""", condition)
    page.wait_for_selector("button[aria-label=Play]")


def start_recording(page):
    """Plays for a moment until the recorder works, and rewinds."""
    play_until(page, "window.recorder && recorded.length > 1")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    page.evaluate("recorded.splice(0)")


def open_song(page, job):
    """Opens a finished song, and waits until it can be played and exported."""
    page.goto(page.url.split("#")[0] + f"#/songs/{job['id']}")
    page.wait_for_selector(".export .button:enabled")


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
