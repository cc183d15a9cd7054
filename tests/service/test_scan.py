# SPDX-License-Identifier: MIT
"""A real virus scanner: the files that it rejects are refused, and none is accepted while it is
down or hangs."""
import pytest

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
    assert scanned.get("/ready").status == 503 and scanned.get("/health").status == 200
    wait_until(lambda: scanned.files("blobs") == [] and scanned.leftovers() == [], what="cleaning up")
    assert scanned.metric("spleeter_scan_failures_total") == 1


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
