# SPDX-License-Identifier: MIT
"""Uploads go to disk: the memory of the service does not grow with them. 4 concurrent uploads of
100 MB; of 500 MB with SPLEETERD_SOAK=1."""
import concurrent.futures
import http.client
import os
import re
import struct

from conftest import KEY, wait_until

SIZE = (500 if os.environ.get("SPLEETERD_SOAK") else 100) << 20
UPLOADS = 4


def silence():
    """Yields the pieces of a WAV file of many minutes of silence."""
    yield (b"RIFF" + struct.pack("<I", SIZE + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16)
           + b"data" + struct.pack("<I", SIZE))
    piece = bytes(1 << 20)
    for _ in range(SIZE // len(piece)):
        yield piece


def upload(port, chunked):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"X-API-KEY": KEY, "Content-Type": "audio/wav"}
    if not chunked:
        headers["Content-Length"] = str(SIZE + 44)
    connection.request("POST", "/v1/jobs", body=silence(), headers=headers, encode_chunked=chunked)
    answer = connection.getresponse()
    return answer.status, answer.read()


def peak_memory(service):
    """Returns the peak memory of all processes together, in MiB."""
    statuses = [open(f"/proc/{process.pid}/status").read() for process in service.processes]
    return sum(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) for status in statuses) / 1024


def test_memory_does_not_grow_with_uploads(serve):
    service = serve(MAX_DURATION_S=60)
    before = peak_memory(service)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for status, body in pool.map(lambda i: upload(service.port, i % 2 == 1), range(UPLOADS)):
            assert status == 413 and b"SPLEETER_MAX_DURATION_S" in body
    grown = peak_memory(service) - before
    print(f"{UPLOADS} uploads of {SIZE >> 20} MiB at once: {grown:.1f} MiB more memory than the {before:.1f} MiB at start")
    assert grown < 64
    wait_until(lambda: service.files("incoming") == [], what="the end of the last request")
