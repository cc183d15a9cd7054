# SPDX-License-Identifier: MIT
"""Which uploads are accepted and refused, and the reasons that refusals give."""
import json
import math
import socket
import urllib.parse

import pytest

from conftest import KEY, Service, free_port, wait_until, wav_bytes


def refused(answer, status, code, **members):
    assert (answer.status, answer.problem()) == (status, code), answer
    for name, value in members.items():
        assert answer.json().get(name) == value, answer


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for all tests, because no test leaves anything in it."""
    folder = tmp_path_factory.mktemp("admission")
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                               "RATE_PER_MINUTE": 100000}).start()
    yield service
    assert service.stop() == 0


@pytest.fixture(autouse=True)
def nothing_is_kept(service):
    """Refused uploads leave no job and no file."""
    yield
    assert service.get("/v1/jobs").json()["jobs"] == []
    wait_until(lambda: service.files("blobs") == [] and service.leftovers() == [], what="cleaning up")
    assert service.get("/health").status == 200


@pytest.mark.parametrize("fields, field", [
    ({"model": "6stems"}, "model"), ({"model": "../../etc"}, "model"), ({"model": "/etc/passwd"}, "model"),
    ({"stems": "piano"}, "stems"), ({"stems": []}, "stems"), ({"mixes": {"x": ["piano"]}}, "mixes"),
    ({"mixes": {"../x": ["vocals"]}}, "mixes"), ({"codec": "exe"}, "codec"), ({"bitrate": "1"}, "bitrate"),
    ({"bit_depth": "12"}, "bit_depth"), ({"bandwidth": "22k"}, "bandwidth"), ({"mwf": "maybe"}, "mwf"),
    ({"offset": "-1"}, "offset"), ({"duration": "x"}, "duration"), ({"offset": "3"}, "offset"), ({"nonsense": "1"}, "nonsense"),
    ({"metadata": "{"}, "metadata"), ({"metadata": {"x": "y" * 20000}}, "metadata"), ({"options": "[]"}, "options"),
    ({"webhook_url": "http://127.0.0.1/"}, "webhook_url"), ({"webhook_url": "nonsense"}, "webhook_url"),
], ids=lambda value: json.dumps(value)[:40])
def test_fields(service, song, fields, field):
    refused(service.post("/v1/jobs", fields, file=song), 422, "invalid", field=field)


def test_no_file(service):
    refused(service.post("/v1/jobs", {"stems": "vocals"}), 422, "invalid", field="file")


def test_an_empty_file(service):
    assert service.post("/v1/jobs", {}, file=b"").status in (415, 422)


@pytest.mark.parametrize("name, type", [
    ("song.exe", "audio/wav"), ("song", "audio/wav"), ("song.wav", "text/html"), ("song.mp3", "audio/wav"),
    ("song.mp3", "audio/mpeg"), ("song.flac", "audio/flac"), ("song.wav.html", "audio/wav"),
])
def test_extension_type_and_content_agree(service, song, name, type):
    refused(service.post("/v1/jobs", {}, file=song, name=name, type=type), 415, "unsupported-media-type")


@pytest.mark.parametrize("content", [b"MZ" + bytes(1000), b"<html>", bytes(10000), b"#EXTM3U\nhttp://127.0.0.1/x\n"],
                         ids=["program", "page", "zeros", "playlist"])
def test_other_content(service, content):
    refused(service.post("/v1/jobs", {}, file=content), 415, "unsupported-media-type")


@pytest.mark.parametrize("content", [
    wav_bytes(1)[:44], wav_bytes(1)[:36], b"RIFF\xff\xff\xff\xffWAVE" + bytes(1000),
    wav_bytes(1)[:22] + b"\0\0" + wav_bytes(1)[24:], wav_bytes(1)[:24] + bytes(4) + wav_bytes(1)[28:],
    wav_bytes(1)[:22] + b"\xff\xff" + wav_bytes(1)[24:],
], ids=["no samples", "half a header", "no chunks", "no channels", "no rate", "65535 channels"])
def test_broken_audio(service, content):
    refused(service.post("/v1/jobs", {}, file=content), 422, "unreadable-audio")


def test_other_bodies(service, song):
    refused(service.request("POST", "/v1/jobs", song), 415, "unsupported-media-type")
    refused(service.request("POST", "/v1/jobs", "a=b", {"Content-Type": "application/x-www-form-urlencoded"}), 415,
            "unsupported-media-type")
    refused(service.request("POST", "/v1/jobs", "{", {"Content-Type": "application/json"}), 400, "bad-request")
    refused(service.post_json("/v1/jobs", []), 400, "bad-request")
    refused(service.post_json("/v1/jobs", {"stems": ["vocals"]}), 422, "invalid", field="source_url")
    answer = service.request("POST", "/v1/jobs", b"no boundary", {"Content-Type": "multipart/form-data"})
    assert answer.status == 400, answer


class TestLimits:
    @pytest.fixture
    def service(self, serve):
        return serve(MAX_FILE_SIZE_MB=1, MAX_DURATION_S=5)

    def test_too_large_by_its_length(self, service):
        refused(service.request("POST", "/v1/jobs?filename=a.wav", bytes(2 << 20), {"Content-Type": "audio/wav"}), 413,
                "too-large", setting="SPLEETER_MAX_FILE_SIZE_MB", field="file")

    def test_too_large_without_a_length(self, service):
        chunks = iter([wav_bytes(1)] + [bytes(100000)] * 15)
        answer = service.request("POST", "/v1/jobs?filename=a.wav", chunks, {"Content-Type": "audio/wav"})
        refused(answer, 413, "too-large", setting="SPLEETER_MAX_FILE_SIZE_MB", field="file")

    def test_much_too_large_without_a_length(self, service):
        chunks = iter([wav_bytes(1)] + [bytes(1 << 20)] * 65)
        answer = service.request("POST", "/v1/jobs?filename=a.wav", chunks, {"Content-Type": "audio/wav"})
        refused(answer, 413, "too-large", setting="SPLEETER_MAX_FILE_SIZE_MB", field="file")

    def test_what_was_received_is_deleted_at_once(self, service):
        head = f"POST /v1/jobs?filename=a.wav HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as upload:
            upload.sendall(head.encode() + b"100000\r\n" + bytes(1 << 20))
            wait_until(lambda: service.leftovers(), what="an upload")
            upload.sendall(b"\r\n1\r\n0\r\n")
            wait_until(lambda: service.leftovers() == [], what="an end of the upload")
            upload.sendall(b"0\r\n\r\n")
            assert upload.recv(4096).startswith(b"HTTP/1.1 413 ")

    def test_too_large_in_a_form(self, service):
        refused(service.post("/v1/jobs", {}, file=wav_bytes(1) + bytes(1 << 20)), 413, "too-large")

    def test_too_long(self, service):
        answer = service.post("/v1/jobs", {}, file=wav_bytes(5.5))
        refused(answer, 413, "too-long", setting="SPLEETER_MAX_DURATION_S")
        assert "5" in answer.json()["detail"]

    def test_a_part_of_a_long_song_is_taken(self, service):
        job = service.separate(wav_bytes(5.5), options={"offset": 1, "duration": 1})
        assert math.isclose(job["input"]["duration_s"], 1, abs_tol=0.01)
        assert job["outputs"][0]["samples"] == 44100
        assert service.delete(f"/v1/jobs/{job['id']}").status == 204


@pytest.mark.parametrize("depth", [33, 1800, 2047, 100000])
@pytest.mark.parametrize("begin, end", [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_deep_json(service, song, depth, begin, end):
    """JSON of more than 32 levels is refused anywhere in a request. A form field may have 64 KiB, a
    body 256 KiB."""
    deep = begin * depth + "1" + end * depth
    for field in "metadata", "options":
        refused(service.post("/v1/jobs", {field: deep}, file=song), 422, "invalid", field=field)
    large = len(deep) > 250 << 10
    body = '{"source_url": "https://example.com/", "metadata": %s}' % deep
    refused(service.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"}), *((413, "too-large") if large else (422, "invalid")))
    link = f"/v1/jobs/{'0' * 8}-0000-7000-8000-{'0' * 12}/links"
    refused(service.request("POST", link, deep, {"Content-Type": "application/json"}), *((413, "too-large") if len(deep) > 4096 else (422, "invalid")))


ODD = {"control": "\x01\x1f\x7f", "line end": "a\r\nb", "C1": "\x80\x9f", "direction": "\u202e\u2066", "emoji": "\U0001f3b5" * 40,
       "long": "\u00e4" * 300, "long, shifted": "x" + "\u00e4" * 300, "not a character": "\uffff", "percent": "%s%n%00", "quotes": '"\\\'<&>'}
TEXTS = ["model", "stems", "mixes", "codec", "bitrate", "bit_depth", "bandwidth", "mwf", "keep_format", "offset", "duration", "webhook_url", "options"]


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_characters(service, song, odd):
    """Odd characters anywhere in a request give a problem response."""
    json_type = {"Content-Type": "application/json"}
    encoded = urllib.parse.quote(odd)
    link = "/v1/jobs/01a20f13-3097-7000-815a-90e3a868afd0/links"
    for name in [*TEXTS, "metadata"]:
        refused(service.post("/v1/jobs", {name: odd}, file=song), 422, "invalid", field=name)
    assert service.post("/v1/jobs", {odd.replace('"', ""): "1"}, file=song).problem() in ("invalid", "bad-request")
    refused(service.post_json("/v1/jobs", {"source_url": odd}), 422, "source-refused")
    refused(service.post_json("/v1/jobs", {"source_url": "https://127.0.0.1/", odd: odd}), 422, "invalid")
    for name in TEXTS[:-1]:
        field = {name: odd} if name == "webhook_url" else {"options": {name: odd}}
        answer = service.post_json("/v1/jobs", {"source_url": "https://127.0.0.1/", **field})
        refused(answer, 422, "invalid", field=name)
    for body in odd, json.dumps({"file": odd}), json.dumps({odd: odd}):
        assert service.request("POST", link, body.encode(), json_type).problem() in ("bad-request", "invalid", "not-found"), body
    for path in (f"/v1/jobs?status={encoded}", f"/v1/jobs?limit={encoded}", f"/v1/jobs?cursor={encoded}", f"/v1/jobs?created_after={encoded}",
                 f"/v1/jobs/{encoded}", f"{link[:-5]}stems/{encoded}", f"/v1/{encoded}", f"/assets/{encoded}"):
        assert service.get(path).problem() in ("bad-request", "invalid", "not-found"), path
    audio = service.request("POST", f"/v1/jobs?filename={encoded}.wav&model={encoded}", song, {"Content-Type": "audio/wav"})
    assert audio.problem() in ("bad-request", "invalid"), audio
    assert service.post("/separate", {"stem": odd}, file=song).problem() in ("bad-request", "invalid")


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"a\0b"], ids=ascii)
def test_what_is_not_utf8(service, song, text):
    type = {"Content-Type": "multipart/form-data; boundary=B0"}
    part = b"--B0\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n--B0--\r\n"
    refused(service.request("POST", "/v1/jobs", part % (b"model", text), type), 422, "invalid", field="model")
    refused(service.request("POST", "/v1/jobs", part % (text, b"model"), type), 400, "bad-request")
    refused(service.request("POST", "/v1/jobs", b'{"source_url": "%b"}' % text, {"Content-Type": "application/json"}), 400, "bad-request")
    escaped = '{"source_url": "\\u0000"}', '{"source_url": "\\ud800"}', '{"\\u0000": 1}'
    for body in escaped:
        refused(service.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"}), 400, "bad-request")
    path = "/v1/jobs?model=" + urllib.parse.quote(text)
    refused(service.get(path), 400, "bad-request")


@pytest.mark.parametrize("header, statuses", [
    ("Idempotency-Key", [400, 422]), ("X-API-KEY", [401]), ("Authorization", [401]), ("Content-Type", [415]), ("Range", [200]), ("If-None-Match", [200]),
    ("X-Request-Id", [200]), ("traceparent", [200]), ("Last-Event-ID", [200]), ("X-Forwarded-For", [200, 400])])
def test_odd_headers(service, header, statuses):
    for value in "\xff\xc3", "\xe2\x80\xae", "a" * 4000, "", "%s%n", '"\\':
        method, path = ("POST", "/v1/jobs") if statuses[0] in (400, 415) else ("GET", "/v1/jobs")
        body = {"POST": b"{}", "GET": None}[method]
        answer = service.request(method, path, body, {"Content-Type": "application/json", header: value})
        assert answer.status in statuses, (header, value, answer)
        assert answer.status < 400 or answer.problem()
