# SPDX-License-Identifier: MIT
"""Stems as files: ranges, ETags, growing files, the zip, links without a key."""
import contextlib
import http.client
import io
import os
import pathlib
import socket
import sqlite3
import time
import zipfile

import numpy as np
import pytest

from client import Client
from conftest import wait_until, wav_of


@pytest.fixture(scope="module")
def done(serve_all, song):
    """A finished job: (service, its id, the content of vocals.wav)."""
    service = serve_all()
    job = service.separate(song)
    return service, job["id"], service.stem(job["id"], "vocals.wav").body


def test_a_whole_file(done):
    service, id, content = done
    answer = service.stem(id, "vocals.wav")
    assert answer.status == 200 and answer.headers["Content-Type"] == "audio/wav"
    assert int(answer.headers["Content-Length"]) == len(content) and answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"].startswith("attachment") or "filename" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = service.request("HEAD", f"/v1/jobs/{id}/stems/vocals.wav")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == len(content)
    assert head.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("range, part", [
    ("bytes=0-0", slice(0, 1)), ("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)),
    ("bytes=-100", slice(-100, None)), ("bytes=44-99999999999", slice(44, None)), ("bytes=-99999999999", slice(0, None)),
])
def test_a_part_of_a_file(done, range, part):
    service, id, content = done
    answer = service.stem(id, "vocals.wav", Range=range)
    assert answer.status == 206 and answer.body == content[part]
    start = len(content[:part.start]) if part.start and part.start > 0 else len(content) - len(answer.body) if part.stop is None and part.start else 0
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(content)}"


def test_parts_outside_the_file(done):
    service, id, content = done
    answer = service.stem(id, "vocals.wav", Range=f"bytes={len(content)}-")
    assert (answer.status, answer.problem()) == (416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"
    for malformed in ("bytes=", "bytes=b-a", "bytes=5-2", "octets=0-1"):
        answer = service.stem(id, "vocals.wav", Range=malformed)
        assert (answer.status, answer.body) == (200, content) or answer.status == 416, malformed


def test_tags(done):
    service, id, content = done
    tag = service.stem(id, "vocals.wav").headers["ETag"]
    assert service.stem(id, "vocals.wav", If_None_Match=tag).status == 304
    assert service.stem(id, "vocals.wav", If_None_Match='"other"').body == content
    assert service.stem(id, "vocals.wav", Range="bytes=0-9", If_Range=tag).status == 206
    assert service.stem(id, "vocals.wav", Range="bytes=0-9", If_Range='"other"').status == 200


def test_the_zip_holds_all(done):
    service, id, content = done
    answer = service.get(f"/v1/jobs/{id}/stems.zip")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/zip"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert service.request("HEAD", f"/v1/jobs/{id}/stems.zip").headers["Content-Length"] == answer.headers["Content-Length"]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = {name.rsplit("/", 1)[-1]: name for name in archive.namelist()}
        assert {"vocals.wav", "accompaniment.wav"} <= names.keys()
        assert archive.read(names["vocals.wav"]) == content
        assert not [name for name in archive.namelist() if name.startswith("/") or ".." in name]


def receive_nothing(service, path):
    """Requests a file and reads none of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", service.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {service.key}\r\n\r\n".encode())
    assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    return client


@pytest.mark.one_process("descriptors are those of one process")
def test_zips_of_many_files_hold_few_descriptors(service, song):
    mixes = {f"mix{i}": ["vocals", "accompaniment"] for i in range(62)}
    id = service.separate(song, options={"mixes": mixes})["id"]
    folder = pathlib.Path(f"/proc/{service.process.pid}/fd")
    before = len(list(folder.iterdir()))
    clients = [receive_nothing(service, f"/v1/jobs/{id}/stems.zip") for _ in range(20)]
    held = len(list(folder.iterdir())) - before
    for client in clients:
        client.close()
    assert 20 <= held <= 4 * len(clients)
    with zipfile.ZipFile(io.BytesIO(service.get(f"/v1/jobs/{id}/stems.zip").body)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == len(mixes) + 1  # the manifest


@pytest.mark.one_process("the stems are in this process's folder")
@pytest.mark.parametrize("change", ["removed", "shorter", "longer"])
def test_a_zip_of_a_file_that_changed_is_cut(service, song, change):
    id = service.separate(song, options={"duration": {"removed": 1, "shorter": 1.1, "longer": 1.2}[change]})["id"]
    files = [output["file"] for output in service.job(id)["outputs"]]
    path = service.data / "blobs" / id / files[-1]
    if change == "removed":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (1 if change == "longer" else -1))
    with pytest.raises(http.client.IncompleteRead):
        service.get(f"/v1/jobs/{id}/stems.zip")
    wait_until(lambda: any(files[-1] in line["error"] for line in service.log("zip.cut")), what="a line of the log")
    service.data.joinpath("blobs", id, files[0]).unlink()
    answer = service.get(f"/v1/jobs/{id}/stems.zip")
    assert (answer.status, answer.problem()) == (404, "not-found")


def test_missing_files(done):
    service, id, _ = done
    for file in ("drums.wav", "input", "vocals.mp3", "..%2f..%2fsecret", "%2e%2e", "vocals.wav%00"):
        answer = service.stem(id, file)
        assert answer.status in (400, 404), (file, answer)


@pytest.mark.one_process("what another machine writes comes when it is complete")
def test_a_file_can_be_read_while_it_grows(service, long_song):
    job = service.submit(long_song)
    outputs = None
    while not outputs:
        outputs = service.wait(job["id"], "running")["outputs"]
        time.sleep(0.02)
    file = outputs[0]["file"]
    assert not outputs[0]["complete"]
    part = service.stem(job["id"], file, Range="bytes=0-1023")
    assert part.status in (206, 416), part
    if part.status == 206:
        assert part.headers["Content-Range"].endswith("/*")
    whole = service.stem(job["id"], file)  # follows the file to its end
    assert whole.status == 200 and "ETag" not in whole.headers
    service.wait(job["id"])
    final = service.stem(job["id"], file).body
    assert len(whole.body) == len(final)
    assert whole.body[80:] == final[80:], "all but the lengths in the header, which were not known yet"


def test_links_need_no_key_and_expire(done):
    service, id, content = done
    stranger = Client(service.port, None)
    answer = service.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"})
    assert answer.status == 201, answer
    url = answer.json()["url"]
    assert url.startswith(f"/v1/jobs/{id}/stems/vocals.wav?")
    assert stranger.get(url).body == content
    assert stranger.get(url, Range="bytes=0-9").body == content[:10]
    path, query = url.split("?")
    for wrong in (path, f"{path}?{query[:-1]}", f"{path}?{query.replace('expires=', 'expires=1')}",
                  url.replace("vocals", "accompaniment"), f"/v1/jobs/{id}?{query}", f"/v1/jobs/{id}/stems.zip?{query}"):
        assert stranger.get(wrong).status == 401, wrong
    brief = service.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav", "expires_in_s": 1}).json()["url"]
    wait_until(lambda: stranger.get(brief).status == 401, what="the end of the link")
    assert stranger.get(url).status == 200
    for file in ("stems.zip", "manifest.json"):
        url = service.post_json(f"/v1/jobs/{id}/links", {"file": file}).json()["url"]
        assert stranger.get(url).status == 200


def test_links_are_limited(serve, song):
    service = serve(LINK_MAX_S=60)
    id = service.separate(song)["id"]
    for body in ({"file": "vocals.wav", "expires_in_s": 61}, {"file": "vocals.wav", "expires_in_s": 0}, {"file": "none.wav"},
                 {"file": "../secret"}, {}):
        assert service.post_json(f"/v1/jobs/{id}/links", body).status == 422, body
    assert service.request("POST", f"/v1/jobs/{id}/links", "not json").status == 400


def test_files_of_jobs_that_are_not_done(service, busy, song):
    busy(service)
    waiting = service.submit(song)
    for path in ("stems/vocals.wav", "manifest.json", "stems.zip"):
        answer = service.get(f"/v1/jobs/{waiting['id']}/{path}")
        assert answer.status in (404, 409), answer


def test_expired_files_are_gone(serve, song):
    service = serve(RETENTION_S=1)
    job = service.submit(song)
    wait_until(lambda: service.job(job["id"])["status"] == "expired", timeout=120, what="the files' end")
    answer = service.stem(job["id"], "vocals.wav")
    assert (answer.status, answer.problem()) == (410, "gone")
    wait_until(lambda: service.files("blobs") == [], what="an end of its files")


def read_all(client, start):
    """Reads the rest of an answer, and returns the length of its body."""
    length = len(start.split(b"\r\n\r\n", 1)[1])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            length += len(part)
    client.close()
    return length


def delete(service, id):
    assert service.delete(f"/v1/jobs/{id}").status == 204


def expire(service, id):
    with contextlib.closing(sqlite3.connect(service.data / "jobs.db", timeout=60)) as database, database:
        database.execute("UPDATE jobs SET expires_ms = ? WHERE id = ?", [int(time.time() * 1000), id])


@pytest.mark.parametrize("end", [delete, pytest.param(expire, marks=pytest.mark.one_process("it changes SQLite's file"))])
def test_downloads_end_with_their_job(serve, end):
    """A client that reads slowly does not keep the files of a job that is gone. It may take as long
    as it likes for those of another job."""
    service = serve(MIN_RATE_BYTES_S=0)
    silence = wav_of(np.zeros((8000 * 60, 1)), 8000)
    gone, kept = [service.separate(silence, options={"bit_depth": "float", "duration": seconds})["id"] for seconds in (59, 8)]
    link = service.post_json(f"/v1/jobs/{gone}/links", {"file": "vocals.wav"}).json()["url"]
    stem, archive = "/v1/jobs/{}/stems/vocals.wav", "/v1/jobs/{}/stems.zip"
    others = [service.stall(path.format(kept)) for path in (stem, archive)]
    ended = [service.stall(stem.format(gone)), service.stall(stem.format(gone), Range="bytes=1-"), service.stall(archive.format(gone)),
             Client(service.port, None).stall(link)]
    end(service, gone)
    ids = {id for _, _, id in ended}
    wait_until(lambda: service.cut_answers(ids) == ids, what="the end of the answers")
    assert service.deleted_files() == []
    for client, _, _ in ended:
        client.close()
    whole = [int(service.request("HEAD", path.format(kept)).headers["Content-Length"]) for path in (stem, archive)]
    assert [read_all(client, start) for client, start, _ in others] == whole


@pytest.mark.one_process("what another machine writes comes when it is complete")
@pytest.mark.parametrize("end", [Client.cancel, delete])
def test_growing_files_end_with_their_job(serve, endless, end):
    service = serve(MIN_RATE_BYTES_S=0)
    id = endless(service)["id"]
    wait_until(lambda: service.job(id)["outputs"], what="a stem that grows")
    client, _, request = service.stall(f"/v1/jobs/{id}/stems/vocals.wav")
    # More than the buffers of the connection take.
    wait_until(lambda: sum(path.stat().st_size for path in (service.data / "blobs" / id).glob("vocals*")) > 24 << 20, what="enough bytes")
    end(service, id)
    wait_until(lambda: service.cut_answers({request}), what="the end of the answer")
    wait_until(lambda: service.deleted_files() == [], what="the end of the file")
    client.close()
