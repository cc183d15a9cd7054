# SPDX-License-Identifier: MIT
"""Jobs from creation to deletion, through the public API."""
import contextlib
import hashlib
import http.client
import io
import json
import re
import sqlite3
import threading
import urllib.parse
import zipfile

import pytest

from client import Client, form
from conftest import SONG, wait_until, wav_bytes

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def stems(client, job):
    """{file: content} of all outputs."""
    return {output["file"]: client.stem(job["id"], output["file"]).body for output in job["outputs"]}


@pytest.fixture(scope="module")
def shared(serve_all):
    """One service for the tests that do not depend on what else it holds."""
    return serve_all()


# ------------------------------------------------------------------------- creation


def test_the_bundled_song_gives_the_commands_bytes(shared, command):
    content = SONG.read_bytes()
    job = shared.separate(content, name="audio_example.mp3", type="audio/mpeg")
    assert stems(shared, job) == command(content, name="audio_example.mp3")


@pytest.mark.parametrize("fields, options", [
    ({"codec": "flac", "bit_depth": "24"}, ["-c", "flac", "--bit-depth", "24"]),
    ({"codec": "mp3", "bitrate": "192k"}, ["-c", "mp3", "-b", "192k"]),
    ({"bit_depth": "float", "bandwidth": "16k"}, ["--bit-depth", "float", "--bandwidth", "16k"]),
    ({"mwf": "true"}, ["--mwf"]),
    ({"model": "spleeter:2stems", "offset": "0.5", "duration": "1"}, ["-p", "spleeter:2stems", "-s", "0.5", "-d", "1"]),
    ({"stems": ["vocals"]}, ["--stems", "vocals"]),
    ({"mixes": {"all": ["vocals", "accompaniment"]}, "stems": ["vocals"]},
     ["--stems", "vocals", "--mix", "all=vocals+accompaniment"]),
], ids=lambda value: "" if isinstance(value, list) else "-".join(value))
def test_options_give_the_commands_bytes(shared, command, song, fields, options):
    job = shared.separate(song, options=fields)
    assert stems(shared, job) == command(song, *options)


def test_an_input_that_is_not_44100_stereo(shared, command):
    content = wav_bytes(1.5, rate=48000, channels=1)
    job = shared.separate(content, options={"keep_format": True})
    assert stems(shared, job) == command(content, "--keep-format")


def test_three_ways_to_create_are_one(service, song):
    by_form = service.post("/v1/jobs", {"stems": "vocals", "metadata": {"n": [1, "two"]}}, file=song)
    by_body = service.request("POST", "/v1/jobs?stems=vocals&filename=song.wav", song, {"Content-Type": "audio/wav"})
    by_options = service.post("/v1/jobs", {"options": {"stems": ["vocals"]}}, file=song)
    for answer in (by_form, by_body, by_options):
        assert answer.status == 202, answer
        job = answer.json()
        assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
        assert re.fullmatch(UUID7, job["id"])
        assert job["status"] in ("queued", "running", "succeeded")
        assert job["input"]["name"] == "song.wav" and job["input"]["bytes"] == len(song)
    results = [service.wait(answer.json()["id"]) for answer in (by_form, by_body, by_options)]
    assert len({json.dumps(job["options"], sort_keys=True) for job in results}) == 1
    assert len({job["outputs"][0]["sha256"] for job in results}) == 1
    assert results[0]["metadata"] == {"n": [1, "two"]} and results[1]["metadata"] is None


def test_names_of_files_can_be_shown(shared, song):
    """Changes of text direction are replaced, in JSON as in Content-Disposition; control characters
    are refused."""
    for name, shown in {"a\u202egpj.wav": "a_gpj.wav", "\u061c\u200e\u200f\u2066\u2069.wav": "_____.wav",
                        "../C:\\music\\a.wav": "a.wav",
                        "Björk 音楽.wav": "Björk 音楽.wav"}.items():
        path = f"/v1/jobs?filename={urllib.parse.quote(name)}"
        answer = shared.request("POST", path, song, {"Content-Type": "audio/wav"})
        assert answer.status == 202, answer
        job = answer.json()
        assert job["input"]["name"] == shown
        assert shared.job(job["id"])["input"]["name"] == shown
    for control in ("%1b%5b2J.wav", "a%c2%9b.wav"):
        answer = shared.request("POST", f"/v1/jobs?filename={control}", song, {"Content-Type": "audio/wav"})
        assert answer.status == 400, answer


def test_a_source_url(serve, receiver, song):
    receiver.answer = lambda request: (200, song) if request["path"] == "/songs/a.wav" else (404, b"")
    service = serve(SOURCE_ALLOW="127.0.0.0/8")
    answer = service.post_json("/v1/jobs", {"source_url": f"{receiver.url}/songs/a.wav", "stems": ["vocals"]})
    assert answer.status == 202, answer
    assert service.wait(answer.json()["id"])["status"] == "succeeded"
    answer = service.post_json("/v1/jobs", {"source_url": f"{receiver.url}/songs/none.wav"})
    assert (answer.status, answer.problem()) == (422, "source-refused")


def test_private_source_urls_are_refused(shared, receiver):
    for url in (f"{receiver.url}/a.wav", "http://localhost/a.wav", "https://127.0.0.1/a.wav", "https://[::1]/a.wav",
                "https://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://example.org/"):
        answer = shared.post_json("/v1/jobs", {"source_url": url})
        assert (answer.status, answer.problem()) == (422, "source-refused"), url
    assert receiver.requests == []


# --------------------------------------------------------------- state and results


def test_a_job_from_queued_to_succeeded(service, long_song):
    first = service.submit(long_song)
    second = service.submit(wav_bytes(2), metadata={"mine": True})
    assert second["queue"]["position"] >= 1
    running = service.wait(first["id"], "running")
    assert re.fullmatch(TIME, running["created"]) and re.fullmatch(TIME, running["started"])
    assert running["finished"] is None and running["error"] is None
    seen = set()
    while (job := service.job(first["id"]))["status"] == "running":
        assert 0 <= job["progress"] <= 1
        seen.add(job["progress"])
    assert len(seen) > 2, "progress did not move"
    done = service.wait(first["id"])
    assert done["status"] == "succeeded" and done["progress"] == 1 and done["attempts"] == 1
    assert done["created"] <= done["started"] <= done["finished"] < done["expires"]
    assert {output["name"] for output in done["outputs"]} == {"vocals", "accompaniment"}
    for output in done["outputs"]:
        assert output["complete"] and output["samples"] == 240 * 44100
        assert re.fullmatch(r"[0-9a-f]{64}", output["sha256"])
    assert re.fullmatch(r"[0-9a-f]{64}", done["model"]["sha256"])
    assert service.wait(second["id"])["metadata"] == {"mine": True}


def test_the_manifest_proves_the_result(shared, song):
    job = shared.separate(song)
    answer = shared.get(f"/v1/jobs/{job['id']}/manifest.json")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    manifest = answer.json()
    text = json.dumps(manifest)
    assert job["model"]["sha256"] in text and hashlib.sha256(song).hexdigest() in text
    for output in job["outputs"]:
        content = shared.stem(job["id"], output["file"]).body
        assert hashlib.sha256(content).hexdigest() == output["sha256"]
        assert output["sha256"] in text and len(content) == output["bytes"]
    assert manifest["residual_db"] is None or manifest["residual_db"] < -60


def test_a_song_that_ends_early_has_a_warning(shared, song):
    content = SONG.read_bytes()
    job = shared.separate(content[:len(content) // 2], name="cut.mp3", type="audio/mpeg")
    assert job["status"] == "succeeded"
    assert re.fullmatch(r"the file says that it has 10\.9 s, but ends after 5\.\d s", job["warning"])
    assert shared.get("/v1/jobs").json()["jobs"][0]["warning"] == job["warning"]
    assert shared.separate(song)["warning"] is None


def test_events_are_whole_snapshots(shared, long_song):
    job = shared.submit(long_song)
    connection, response = shared.open("GET", f"/v1/jobs/{job['id']}/events")
    assert response.status == 200 and response.headers["Content-Type"].startswith("text/event-stream")
    stream = response.read().decode()
    connection.close()
    events = [dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
              for block in stream.split("\n\n") if "data: " in block]
    jobs = [json.loads(event["data"]) for event in events]
    assert all(event["event"] == "job" for event in events)
    assert all(snapshot.keys() == job.keys() and snapshot["id"] == job["id"] for snapshot in jobs)
    order = ["queued", "running", "succeeded"]
    states = [order.index(snapshot["status"]) for snapshot in jobs]
    assert states == sorted(states) and jobs[-1]["status"] == "succeeded"
    progress = [snapshot["progress"] for snapshot in jobs]
    assert progress == sorted(progress) and any(0 < value < 1 for value in progress)
    # A late client gets the whole state at once, and then the end of the stream.
    late = shared.get(f"/v1/jobs/{job['id']}/events").body.decode()
    assert late.count("data: ") == 1
    assert json.loads(re.search("data: (.*)", late).group(1)) == shared.job(job["id"])


# -------------------------------------------------------------------------- listing


def test_lists_pages_and_filters(service, song):
    ids = [service.submit(song, options={"stems": ["vocals"], "duration": 0.5 + n / 10})["id"] for n in range(5)]
    for id in ids:
        service.wait(id)
    everything = service.get("/v1/jobs").json()
    assert [job["id"] for job in everything["jobs"]] == ids[::-1] and everything["next_cursor"] is None
    seen, cursor = [], ""
    while True:
        page = service.get(f"/v1/jobs?limit=2{cursor}").json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        assert len(page["jobs"]) == 2
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]

    def listed(query):
        return [job["id"] for job in service.get(f"/v1/jobs?{query}").json()["jobs"]]

    assert listed("status=succeeded") == ids[::-1] and listed("status=queued,running,failed") == []
    assert listed("model=2stems") == ids[::-1] and listed("model=4stems") == []
    middle = service.job(ids[2])["created"]
    assert set(listed(f"created_after={middle}")) | {ids[2]} == set(ids[2:])
    assert set(listed(f"created_before={middle}")) | {ids[2]} == set(ids[:3])
    for query in ("limit=0", "limit=201", "limit=x", "cursor=x", "status=done", "created_after=yesterday"):
        answer = service.get(f"/v1/jobs?{query}")
        assert (answer.status, answer.problem()) == (422, "invalid"), query
        assert answer.json()["field"] == query.split("=")[0]


# ---------------------------------------------------------------- cancel and delete


def test_cancel_stops_a_running_job(service, endless, song):
    job = endless(service)
    service.wait(job["id"], "running")
    answer = service.request("POST", f"/v1/jobs/{job['id']}/cancel")
    assert answer.status == 202, answer
    canceled = service.wait(job["id"])
    assert canceled["status"] == "canceled" and canceled["progress"] < 1
    assert service.separate(song)["status"] == "succeeded", "the worker goes on"
    answer = service.request("POST", f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status, answer.problem()) == (409, "conflict")
    assert service.metric('spleeter_errors_total{code="conflict"}') == 1
    assert not [name for name in service.files("blobs") if job["id"] in name and "input" not in name]


def test_cancel_takes_a_waiting_job_out_of_the_queue(service, busy, song):
    busy(service)
    waiting = service.submit(song)
    assert service.request("POST", f"/v1/jobs/{waiting['id']}/cancel").status == 202
    assert service.job(waiting["id"])["status"] == "canceled"


@pytest.mark.parametrize("when", ["queued", "running", "succeeded"])
def test_delete_leaves_nothing(service, busy, endless, song, when):
    running = busy(service) if when == "queued" else []
    job = endless(service) if when == "running" else service.submit(song)
    service.wait(job["id"], when)
    assert service.delete(f"/v1/jobs/{job['id']}").status == 204
    assert service.get(f"/v1/jobs/{job['id']}").status == 404
    assert service.delete(f"/v1/jobs/{job['id']}").status == 404
    for id in running:
        service.cancel(id)
    assert service.separate(wav_bytes(1))["status"] == "succeeded", "the worker goes on"
    assert not [name for name in service.files("blobs") if job["id"] in name]


# -------------------------------------------------------- idempotency, results reused


def test_the_same_request_twice_is_one_job(service, song):
    first = service.post("/v1/jobs", {"stems": "vocals"}, {"Idempotency-Key": "k-1"}, file=song)
    again = service.post("/v1/jobs", {"stems": "vocals"}, {"Idempotency-Key": "k-1"}, file=song)
    assert (first.status, again.status) == (202, 202), again
    assert again.json()["id"] == first.json()["id"] and again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    other = service.post("/v1/jobs", {"stems": "accompaniment"}, {"Idempotency-Key": "k-1"}, file=song)
    assert (other.status, other.problem()) == (422, "idempotency-key-reused")
    other = service.post("/v1/jobs", {"stems": "vocals"}, {"Idempotency-Key": "k-1"}, file=wav_bytes(1))
    assert (other.status, other.problem()) == (422, "idempotency-key-reused")
    assert len(service.get("/v1/jobs").json()["jobs"]) == 1


def test_the_deepest_metadata_comes_back(service, song):
    """Metadata of 32 levels; the job, its list and a stored response nest it deeper."""
    metadata = json.loads("[" * 32 + "]" * 32)
    created = [service.post("/v1/jobs", {"metadata": metadata}, {"Idempotency-Key": "deep"}, file=song) for _ in range(2)]
    assert [answer.json()["metadata"] for answer in created] == [metadata] * 2 and created[1].headers["Idempotency-Replayed"] == "true"
    id = created[0].json()["id"]
    assert service.wait(id)["metadata"] == metadata == service.get("/v1/jobs").json()["jobs"][0]["metadata"]


@pytest.mark.one_process("the database is a file")
def test_stored_answers_do_not_repeat_the_metadata(service, song):
    """Stored responses outlive the job and count towards no quota."""
    metadata = {"text": "m" * 16000}
    created = [service.post("/v1/jobs", {"metadata": metadata}, {"Idempotency-Key": "large"}, file=song) for _ in range(2)]
    assert [answer.json()["metadata"] for answer in created] == [metadata] * 2
    with contextlib.closing(sqlite3.connect(service.data_folders[0] / "jobs.db")) as database:
        answer, = database.execute("SELECT answer FROM idempotency WHERE key = 'large'").fetchone()
    assert len(answer) < 4000


def test_the_same_key_in_flight_is_refused(shared, song):
    body, type = form({}, song)
    connection = http.client.HTTPConnection("127.0.0.1", shared.port)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in {"Content-Type": type, "Content-Length": len(body), "X-API-KEY": shared.key,
                        "Idempotency-Key": "k-2", "Expect": "100-continue"}.items():
        connection.putheader(name, str(value))
    connection.endheaders()
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 100 ")  # the shared has read its headers
    answer = shared.post("/v1/jobs", {}, {"Idempotency-Key": "k-2"}, file=song)
    assert (answer.status, answer.problem()) == (409, "idempotency-in-flight")
    connection.send(body)
    assert connection.getresponse().status == 202
    connection.close()


def test_a_refused_request_gives_its_key_back(shared, song):
    refused = shared.post("/v1/jobs", {"codec": "none"}, {"Idempotency-Key": "k-3"}, file=song)
    assert refused.status == 422
    assert shared.post("/v1/jobs", {}, {"Idempotency-Key": "k-3"}, file=song).status == 202


def test_many_at_once_with_one_key_make_one_job(service, song):
    answers = []

    def post():
        answers.append(service.post("/v1/jobs", {}, {"Idempotency-Key": "k-4"}, file=song))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status == 202}) == 1
    assert len(service.get("/v1/jobs").json()["jobs"]) == 1


def test_a_result_is_used_again_by_its_owner_alone(service, song):
    first = service.separate(song, options={"stems": ["vocals"]})
    second = service.submit(song, options={"stems": ["vocals"]})
    assert second["status"] == "succeeded" and second["reused"] and not first["reused"]
    assert stems(service, second) == stems(service, first)
    assert not service.submit(song, options={"stems": ["accompaniment"]})["reused"]
    bob = service.add_key("bob")
    assert not bob.submit(song, options={"stems": ["vocals"]})["reused"]
    # The copy remains when the first job is deleted.
    assert service.delete(f"/v1/jobs/{first['id']}").status == 204
    assert service.stem(second["id"], "vocals.wav").status == 200
    assert service.metric("spleeter_cache_hits_total") == 1


# -------------------------------------------------------------------- legacy routes


def zip_of(answer):
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_legacy_answers_with_a_zip(shared, command, song):
    answer = shared.post("/separate", {"stems": "2"}, file=song)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/zip", answer
    files = {name.rsplit("/", 1)[-1]: content for name, content in zip_of(answer).items()}
    expected = command(song)
    assert {name: files[name] for name in expected} == expected


def test_legacy_answers_with_one_stem(shared, command, song):
    answer = shared.post("/separate", {"stem": "vocals", "format": "mp3"}, file=song)
    assert answer.status == 200 and answer.headers["Content-Type"] == "audio/mpeg", answer
    assert answer.body == command(song, "-c", "mp3", "--stems", "vocals")["vocals.mp3"]


def test_legacy_that_takes_long_is_answered_by_its_address(serve, endless):
    service = serve(SYNC_TIMEOUT_S=1)
    answer = service.post("/separate", {}, file=endless.content, name="endless.flac", type="audio/flac")
    assert answer.status == 202, answer
    id = answer.headers["Location"].rsplit("/", 1)[1]
    assert service.job(id)["status"] in ("queued", "running")
    service.request("POST", f"/v1/jobs/{id}/cancel")
    service.wait(id)


def test_legacy_is_canceled_by_a_client_that_leaves(service, endless):
    body, type = form({}, endless.content, name="endless.flac", type="audio/flac")
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    connection.request("POST", "/separate", body, {"Content-Type": type, "X-API-KEY": service.key})
    jobs = wait_until(lambda: service.get("/v1/jobs").json()["jobs"], what="a job")
    service.wait(jobs[0]["id"], "running")
    connection.close()
    assert service.wait(jobs[0]["id"])["status"] == "canceled"


@pytest.mark.parametrize("fields", [{"stems": "3"}, {"stem": "piano"}, {"format": "exe"}], ids=str)
def test_legacy_refuses_unknown_values(shared, song, fields):
    assert shared.post("/separate", fields, file=song).status == 422


# --------------------------------------------------------------------- other routes


def test_models(shared):
    models = shared.get("/v1/models").json()["models"]
    named = [model for model in models if "2stems" in model["name"]]
    assert named and re.fullmatch("[0-9a-f]{64}", named[0]["sha256"]) and named[0]["licence"]


def test_openapi_describes_the_routes(shared):
    answer = shared.get("/openapi.json")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    paths = answer.json()["paths"]
    for path in ("/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/cancel", "/v1/jobs/{id}/events", "/v1/jobs/{id}/stems/{file}",
                 "/v1/jobs/{id}/stems.zip", "/v1/jobs/{id}/manifest.json", "/v1/jobs/{id}/links", "/v1/models",
                 "/v1/webhooks/secret", "/health", "/ready", "/metrics", "/separate"):
        assert path in paths, path


def test_health_and_ready_need_no_key(shared):
    stranger = Client(shared.port, None)
    assert stranger.get("/health").json() == {"status": "ok"}
    assert stranger.get("/ready").status == 200
    for path in ("/metrics", "/v1/jobs", "/v1/models", "/v1/webhooks/secret"):
        assert stranger.get(path).problem() == "unauthorized", path


def test_request_ids_and_traces_come_back(shared):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = shared.get("/v1/jobs", X_Request_Id="mine-1", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert answer.headers["X-Request-Id"] == "mine-1"
    line, = wait_until(lambda: [line for line in shared.log("http.request") if line.get("request_id") == "mine-1"], what="its log line")
    assert line["trace_id"] == trace and line["key"] == "key:default"
    assert re.fullmatch(UUID7, shared.get("/v1/jobs", X_Request_Id="not good").headers["X-Request-Id"])


@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/nothing", 404, "not-found"), ("GET", "/v1", 404, "not-found"), ("GET", "/v1/jobs/x", 404, "not-found"),
    ("PUT", "/v1/jobs", 405, "method-not-allowed"), ("DELETE", "/health", 405, "method-not-allowed"),
    ("GET", "/v1/jobs/../../etc/passwd", 400, "bad-request"),
])
def test_other_addresses(shared, method, path, status, code):
    answer = shared.request(method, path)
    assert (answer.status, answer.problem()) == (status, code)
    if status == 405:
        assert answer.headers["Allow"]
