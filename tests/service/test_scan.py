# SPDX-License-Identifier: MIT
"""A real virus scanner: the files that it rejects are refused, and none is accepted while it is
down or hangs."""
import socketserver
import threading
import time

import pytest

from client import Client
from conftest import EICAR, wait_until, wav_bytes


@pytest.fixture
def scanned(serve, clamd):
    return serve(CLAMD=clamd.setting, SCAN_TIMEOUT_S=2)


def infected():
    content = bytearray(wav_bytes(2))
    content[1000:1000 + len(EICAR)] = EICAR
    return bytes(content)


def test_a_clean_file_passes(scanned, song):
    assert scanned.separate(song)["status"] == "succeeded"
    assert scanned.metric('spleeter_phase_seconds_count{phase="scan"}') == 1


@pytest.mark.parametrize("path", ["/v1/jobs", "/separate"])
def test_an_infected_file_is_refused_and_not_kept(scanned, path):
    answer = scanned.post(path, {}, file=infected())
    assert (answer.status, answer.problem()) == (422, "infected")
    assert scanned.get("/v1/jobs").json()["jobs"] == []
    wait_until(lambda: scanned.files("blobs") == [] and scanned.leftovers() == [], what="cleaning up")
    line, = scanned.log("upload.infected")
    assert "Eicar-Local-Signature" in line["signature"] and line["key"] == "key:default"
    assert scanned.metric("spleeter_uploads_infected_total") == 1
    assert not [path for data in scanned.data_folders for path in data.rglob("*") if path.is_file() and EICAR in path.read_bytes()]


def test_the_test_file_itself_is_refused(scanned):
    answer = scanned.post("/v1/jobs", {}, file=EICAR)
    assert answer.status in (415, 422), answer


def test_nothing_is_taken_while_it_is_down(scanned, clamd, song):
    clamd.stop()
    answer = scanned.post("/v1/jobs", {}, file=song)
    assert (answer.status, answer.problem()) == (503, "scan-unavailable")
    wait_until(lambda: scanned.get("/ready").status == 503, what="a service that is not ready")
    assert scanned.get("/health").status == 200
    wait_until(lambda: scanned.files("blobs") == [] and scanned.leftovers() == [], what="cleaning up")
    assert scanned.metric("spleeter_scan_failures_total") == 1


class Pings(socketserver.ThreadingTCPServer):
    """Answers pings as clamd does, and counts them."""
    daemon_threads = True

    def __init__(self):
        self.count = 0
        super().__init__(("127.0.0.1", 0), None)

    def finish_request(self, request, _address):
        if request.recv(16) == b"zPING\0":
            self.count += 1
            request.sendall(b"PONG\0")


def test_probes_by_anybody_are_bounded(serve):
    with Pings() as scanner:
        threading.Thread(target=scanner.serve_forever, daemon=True).start()
        service = serve(CLAMD=f"tcp:127.0.0.1:{scanner.server_address[1]}")
        before, start = scanner.count, time.monotonic()
        for _ in range(50):
            assert Client(service.port, None).get("/ready").status == 200
        # Two processes or threads ask it, once a second each.
        assert scanner.count - before <= 4 + 2 * (time.monotonic() - start)
        service.stop()
        scanner.shutdown()


def test_nothing_is_taken_while_it_hangs(scanned, clamd, song):
    clamd.freeze()
    answer = scanned.post("/v1/jobs", {}, file=song)
    assert (answer.status, answer.problem()) == (503, "scan-unavailable")
    assert scanned.get("/health").status == 200
    clamd.thaw()
    assert scanned.separate(song)["status"] == "succeeded"


def test_a_file_beyond_its_stream_limit_is_refused(serve, clamd, tmp_path):
    service = serve(CLAMD=clamd.setting, MAX_FILE_SIZE_MB=80)
    content = wav_bytes(1)
    answer = service.post("/v1/jobs", {}, file=content + bytes((66 << 20) - len(content)))
    assert answer.status in (413, 503), answer
    assert answer.problem() in ("too-large", "scan-unavailable")
    assert service.get("/v1/jobs").json()["jobs"] == []


def test_a_service_without_a_scanner_warns(service):
    assert [line for line in service.log() if line["level"] == "warning" and "scan" in str(line)]
