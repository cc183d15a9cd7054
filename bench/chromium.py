# SPDX-License-Identifier: MIT
"""Controls Chromium over a pipe with the DevTools protocol, without a library in between.

Playwright makes the browser record the responses of each page in the memory of the page's process.
That takes up to 100 MB, which a normal browser does not use.
"""
import json
import os
import pathlib
import subprocess


class Chromium:
    def __init__(self, folder, *arguments):
        from_us, to_browser = os.pipe()
        from_browser, to_us = os.pipe()

        def give_pipes():
            # The browser reads from 3 and writes to 4. Both ends are first moved to higher numbers,
            # because they may be 3 or 4 themselves.
            reads, writes = os.dup(from_us), os.dup(to_us)
            high = [os.dup2(reads, 100), os.dup2(writes, 101)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [os.environ.get("CHROMIUM", "/usr/bin/chromium"), "--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run",
             f"--user-data-dir={folder}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=give_pipes)
        os.close(from_us)
        os.close(to_us)
        self.writer, self.reader = os.fdopen(to_browser, "wb", buffering=0), os.fdopen(from_browser, "rb")
        self.rest, self.last = b"", 0

    def send(self, method, session=None, **parameters):
        """Sends a command and returns its result."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self.writer.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                more = self.reader.read1(1 << 20)
                if not more:
                    raise ConnectionError("the browser has ended")
                self.rest += more
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, url, width, height):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.send("Page.navigate", url=url)
        return page

    def renderer_mb(self):
        """Private memory, in MB, of the largest renderer process."""
        processes = self.send("SystemInfo.getProcessInfo")["processInfo"]
        return max(private_mb(each["id"]) for each in processes if each["type"] == "renderer")

    def cpu_s(self):
        """CPU time of all browser processes, in seconds."""
        return sum(each["cpuTime"] for each in self.send("SystemInfo.getProcessInfo")["processInfo"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def send(self, method, **parameters):
        return self.browser.send(method, self.session, **parameters)

    def run(self, function, *arguments):
        """Calls a JavaScript function as a user gesture and waits for the promise it returns."""
        result = self.send("Runtime.evaluate", expression=f"({function})({', '.join(map(json.dumps, arguments))})",
                           awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", result["exceptionDetails"]["text"]))
        return result["result"].get("value")

    def wait_for(self, selector):
        self.run("""async (selector) => {
            while (!document.querySelector(selector))
                await new Promise((resolve) => setTimeout(resolve, 20));
        }""", selector)

    def heap_mb(self):
        return self.send("Runtime.getHeapUsage")["usedSize"] / 1e6


def private_mb(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # the process has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
