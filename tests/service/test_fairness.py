# SPDX-License-Identifier: MIT
"""Clients share resources fairly: a client that uses all of its share does not delay others."""
import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import socket
import threading
import time

import pytest

from conftest import KEY, Server, wait_until, wav_bytes

HELPER = r"""#!/bin/sh
# The codec helper, which also stops or uses CPU time on request.
cd FOLDER || exit 1
if [ "$1" = decode ] && [ -e costly ]; then
    exec python3 -c 'import os, sys, time
while time.process_time() < 4.2: pass
os.execv("HELPER", sys.argv[1:])' HELPER "$@"
fi
if [ "$1" = decode ] && [ -e hold ]; then
    while [ ! -e release ]; do sleep 0.05; done
fi
[ "$1" = decode ] && echo >> decoded
exec HELPER "$@"
"""


class Helper:
    """A codec helper that can be made to block."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.path = folder / "helper"
        self.path.write_text(HELPER.replace("FOLDER", str(folder)).replace("HELPER", os.environ["SPLEETER_CODEC"]))
        self.path.chmod(0o755)

    def hold(self):
        """Makes helpers that start from now on block."""
        (self.folder / "hold").touch()

    def let_pass(self):
        """Lets helpers that start from now on run; blocked ones stay blocked."""
        (self.folder / "hold").unlink()

    def cost_much(self):
        """Makes helpers that start from now on exceed the CPU time of a probe."""
        (self.folder / "costly").touch()

    def release(self):
        with contextlib.suppress(FileNotFoundError):
            self.let_pass()
        (self.folder / "release").touch()

    def running(self):
        """The process ids of the blocked helpers."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
                if str(self.path).encode() in arguments and b"decode" in arguments:
                    found.append(folder.name)
        return found

    @property
    def held(self):
        return len(self.running())

    @property
    def decoded(self):
        return len((self.folder / "decoded").read_text())


@pytest.fixture
def helper(tmp_path):
    helper = Helper(tmp_path / "helper")
    yield helper
    helper.release()


@pytest.fixture
def shared(serve, helper):
    """A service with that helper, and a second client."""
    service = serve(CODEC=helper.path)
    service.bob = service.add_key("bob")
    return service


@contextlib.contextmanager
def in_background(function, arguments):
    """Calls function(argument) for all arguments concurrently; yields the futures."""
    with concurrent.futures.ThreadPoolExecutor(len(arguments)) as pool:
        yield [pool.submit(function, argument) for argument in arguments]


def test_one_clients_probes_do_not_keep_another_waiting(shared, helper, song):
    helper.hold()
    try:
        with in_background(lambda n: shared.post("/v1/jobs", {"metadata": n}, file=song), range(12)) as answers:
            wait_until(lambda: helper.held >= 4, what="probes that stand still")
            blocked = set(helper.running())
            assert len(blocked) == 4
            helper.let_pass()
            assert shared.bob.submit(song)["status"] in ("queued", "running", "succeeded")
            assert blocked <= set(helper.running()) and not any(answer.done() for answer in answers)
            helper.release()
            assert [answer.result().status for answer in answers] == [202] * 12
    finally:
        helper.release()


def test_one_clients_peaks_do_not_keep_another_waiting(shared, helper, song):
    mine, other = (client.separate(song, options={"codec": "mp3"}) for client in (shared, shared.bob))

    def peaks(samples_per_peak, client=shared, job=mine):
        return client.get(f"/v1/jobs/{job['id']}/stems/vocals.mp3/peaks?samples_per_peak={samples_per_peak}")

    helper.hold()
    try:
        # None is a multiple of the cached resolution, so each needs a helper.
        with in_background(peaks, range(65, 73)) as answers:
            wait_until(lambda: helper.held >= 2, what="helpers that stand still")
            blocked = set(helper.running())
            assert len(blocked) == 2
            helper.let_pass()
            assert peaks(1024, shared.bob, other).status == 200
            assert blocked <= set(helper.running()) and not any(answer.done() for answer in answers)
            helper.release()
            assert [answer.result().status for answer in answers] == [200] * 8
    finally:
        helper.release()


def test_peaks_are_computed_once(shared, helper, song):
    job = shared.separate(song, options={"codec": "mp3"})
    url = f"/v1/jobs/{job['id']}/stems/vocals.mp3/peaks"
    before = helper.decoded
    helper.hold()
    try:
        with in_background(lambda n: shared.get(f"{url}?samples_per_peak={64 * n}"), range(1, 9)) as answers:
            wait_until(lambda: helper.held == 1, what="a helper")
            helper.release()
            assert [answer.result().status for answer in answers] == [200] * 8
    finally:
        helper.release()
    assert shared.get(f"{url}?samples_per_peak=64&first=100&count=20").status == 200
    assert helper.decoded == before + 1


class Source(Server):
    """Serves songs; those below /slow only at the end."""

    def __init__(self, song):
        self.song, self.ended = song, threading.Event()
        super().__init__()

    def answer(self, request):
        if request["path"].startswith("/slow"):
            self.ended.wait()
        return 200, self.song

    def close(self):
        self.ended.set()
        super().close()


@pytest.fixture
def source(song):
    server = Source(song)
    yield server
    server.close()


def test_one_clients_sources_do_not_keep_another_waiting(serve, source):
    """Slow fetches are ended by the minimum rate."""
    service = serve(SOURCE_ALLOW="127.0.0.0/8")
    bob = service.add_key("bob")

    def fetch(path, client=service):
        return client.post_json("/v1/jobs", {"source_url": f"{source.url}/{path}.wav"})

    with in_background(lambda n: fetch(f"slow{n}"), range(8)) as answers:
        wait_until(lambda: len(source.requests) >= 4, what="fetches")
        assert fetch("quick", bob).status == 202
        assert len(source.requests) == 5 and not any(answer.done() for answer in answers)
        answer = next(concurrent.futures.as_completed(answers)).result()
        assert (answer.status, answer.problem()) == (422, "source-refused")
        source.ended.set()


# --------------------------------------------------------- disconnects and shutdown

SOON_S = 60  # generous: it takes about a second


def send_song(service, song):
    """A connection on which a job was submitted and the response is pending."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=SOON_S)
    connection.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Type: audio/wav\r\n"
                       f"Content-Length: {len(song)}\r\n\r\n".encode() + song)
    return connection


def test_work_ends_when_its_client_disconnects(shared, helper, song):
    """Blocked helpers are killed when their clients disconnect and when the service stops."""
    job = shared.separate(song, options={"codec": "mp3"})
    stem = f"/v1/jobs/{job['id']}/stems/vocals.mp3/peaks"
    helper.hold()

    def ask(path):
        connection = socket.create_connection(("127.0.0.1", shared.port), timeout=SOON_S)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\n\r\n".encode())
        return connection

    with send_song(shared, song), ask(stem), ask(f"{stem}?samples_per_peak=100"):
        wait_until(lambda: len(helper.running()) == 3, what="helpers that stand still")
    wait_until(lambda: not helper.running(), timeout=SOON_S, what="an end of the helpers")

    with send_song(shared, song), ask(stem):
        wait_until(lambda: len(helper.running()) == 2, what="helpers that stand still")
        started = time.monotonic()
        assert shared.stop() == 0
        assert time.monotonic() - started < SOON_S
    assert not helper.running()


def test_a_probe_ends_in_time(shared, helper, song):
    helper.hold()
    answer = shared.post("/v1/jobs", {}, file=song)
    assert answer.status == 503 and answer.problem() == "unavailable" and answer.headers["Retry-After"]
    assert not helper.running()


def test_a_file_that_costs_too_much_is_refused_for_good(shared, helper, song):
    """On a machine too busy to give the helper its CPU time, the answer is 503, and a client sends it again."""
    helper.cost_much()
    for _ in range(6):
        answer = shared.post("/v1/jobs", {}, file=song)
        if answer.status != 503:
            break
        assert answer.headers["Retry-After"]
    assert (answer.status, answer.problem()) == (422, "unreadable-audio") and "CPU time" in answer.json()["detail"]
    assert "Retry-After" not in answer.headers


# --------------------------------------------------------------------- connections


@contextlib.contextmanager
def streams(client, job, count, **headers):
    """The open responses to `count` requests for the events of a job."""
    with contextlib.ExitStack() as opened:
        answers = []
        for _ in range(count):
            connection, response = client.open("GET", f"/v1/jobs/{job['id']}/events", headers=headers)
            opened.callback(connection.close)
            opened.callback(response.close)
            answers.append(response)
        yield answers


def test_a_clients_streams_leave_it_other_connections(serve, endless):
    service = serve(CONNECTIONS_PER_KEY=8)
    bob = service.add_key("bob")
    mine, other = endless(service), endless(bob)
    with streams(service, mine, 5) as answers:
        assert [answer.status for answer in answers] == [200] * 4 + [429]
        assert answers[4].headers["Retry-After"] and b"quota-exceeded" in answers[4].read()
        assert service.job(mine["id"])["status"] in ("queued", "running")
        with streams(bob, other, 1) as others:
            assert others[0].status == 200
    wait_until(lambda: stream_status(service, mine) == 200, what="an end of the streams")


def stream_status(client, job):
    with streams(client, job, 1) as answers:
        return answers[0].status


def unfinished(port, key, length=1000, status=100):
    """A request, accepted by default, whose body never arrives."""
    framing = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-KEY: {key}\r\nContent-Type: audio/wav\r\n"
                       f"{framing}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())
    return connection


def test_health_is_answered_when_all_connections_are_taken(serve):
    service = serve(CONNECTIONS=16)
    bob = service.add_key("bob")
    with contextlib.ExitStack() as opened:
        for key in (service.key, bob.key):
            for _ in range(8):
                opened.enter_context(unfinished(service.port, key))
        answer = service.get("/v1/jobs")
        assert answer.status == 503 and answer.problem() == "unavailable" and answer.headers["Retry-After"]
        assert service.get("/health").status == 200
        assert service.get("/metrics").status == 200
        # More silent connections than the reserve has.
        for _ in range(60):
            with contextlib.suppress(OSError):
                opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))

        def healthy():
            with contextlib.suppress(OSError):
                return service.get("/health").status == 200

        wait_until(healthy, timeout=10, what="an answer of /health")
    wait_until(lambda: service.get("/v1/jobs").status == 200, what="an end of the connections")


def half_sent(port, source, key=None):
    """A connection from the address `source` with an incomplete request."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
    credential = f"X-API-KEY: {key}\r\n" if key else ""
    connection.sendall(f"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n{credential}".encode())
    return connection


def refused(port, source):
    """A connection that stays open after a request without a valid key."""
    connection = half_sent(port, source, "wrong")
    connection.sendall(b"\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    return connection


def test_connections_without_a_client_do_not_shut_out_clients(serve):
    """They are closed regardless of age, first those of the address with the most connections."""
    service = serve(CONNECTIONS=16)
    bob = service.add_key("bob")
    with contextlib.ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(unfinished(service.port, service.key))
        early = opened.enter_context(half_sent(service.port, "127.0.0.1", bob.key))
        for number in range(10):
            for kind in (half_sent, refused):
                for _ in range(5):
                    with contextlib.suppress(OSError):
                        opened.enter_context(kind(service.port, "127.0.0.2"))
            assert bob.get("/v1/jobs").status == 200, number
        early.sendall(b"\r\n")
        assert early.recv(100).startswith(b"HTTP/1.1 200 ")
        assert service.get("/v1/jobs").problem() == "quota-exceeded"  # its uploads continue


def test_uploads_that_come_in_share_the_quota(serve, song):
    service = serve(STORAGE_PER_KEY_MB=10)
    bob = service.add_key("bob")
    with unfinished(service.port, service.key, 10_000_000):
        answer = service.post("/v1/jobs", {}, file=wav_bytes(6))
        assert (answer.status, answer.problem(), answer.json()["setting"]) == (429, "quota-exceeded", "SPLEETER_STORAGE_PER_KEY_MB")
        bob.submit(song)
    wait_until(lambda: service.post("/v1/jobs", {}, file=song).status == 202, what="an end of the upload")


@pytest.mark.parametrize("framing", ["announced", "chunked"])
def test_slow_uploads_keep_no_space(serve, small_disk, song, framing):
    """Of uploads, only bytes that have arrived take space from others. What exceeds the disk is
    refused before it is sent."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=8)
    bob = service.add_key("bob")
    with contextlib.ExitStack() as opened:
        for _ in range(40):
            upload = opened.enter_context(unfinished(service.port, service.key, 10 << 20 if framing == "announced" else None))
            upload.sendall(b"RIFF" if framing == "announced" else b"4\r\nRIFF\r\n")
        wait_until(lambda: len(service.files("incoming")) == 40, what="uploads that have begun")
        assert bob.separate(song)["status"] == "succeeded"
        unfinished(service.port, bob.key, 25 << 20, status=507).close()


def test_one_key_does_not_take_all_connections(serve):
    service = serve(CONNECTIONS=16)
    bob = service.add_key("bob")
    with contextlib.ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(unfinished(service.port, service.key))
        answer = service.get("/v1/jobs")
        assert answer.status == 429 and answer.problem() == "quota-exceeded" and answer.json()["setting"] == "SPLEETER_CONNECTIONS_PER_KEY"
        assert bob.get("/v1/jobs").status == 200


def test_clients_behind_a_proxy_are_counted_one_by_one(serve, endless):
    service = serve(TRUSTED_PROXIES="127.0.0.0/8", CONNECTIONS_PER_ADDRESS=3)
    job = endless(service)
    headers = {"X-Forwarded-For": "198.51.100.1"}
    with streams(service, job, 4, **headers) as answers:
        assert [answer.status for answer in answers] == [200] * 3 + [429]
        assert b"rate-limited" in answers[3].read()
        assert service.get("/v1/jobs", X_Forwarded_For="198.51.100.2").status == 200
        assert service.get("/health", **{"X_Forwarded_For": "198.51.100.1"}).status == 200
    wait_until(lambda: service.get("/v1/jobs", X_Forwarded_For="198.51.100.1").status == 200, what="an end of the streams")


class KeptAlive:
    """A connection from the address `source` that stays open between its requests."""

    def __init__(self, port, source, path="/v1/jobs", key=None):
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{f'X-API-KEY: {key}' if key else 'X-A: b'}\r\n\r\n".encode()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        self.answer = self.send()

    def send(self):
        """Returns (status, headers) of the answer, or None if the connection was closed before."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(self.request)
            response = http.client.HTTPResponse(self.socket)
            with contextlib.suppress(http.client.BadStatusLine):
                response.begin()
                response.read()
                return response.status, response.headers
        return None

    def status(self):
        answer = self.send()
        return answer and answer[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def hosts(count):
    return [f"127.0.{n // 250}.{n % 250 + 2}" for n in range(count)]


def test_idle_connections_make_room(serve):
    """When all places are taken, an idle connection of the key with the most connections is closed,
    however recent its last request is."""
    service = serve(CONNECTIONS=16)
    bob, many = service.add_key("bob"), service.add_key("many")
    with contextlib.ExitStack() as opened:
        kept = opened.enter_context(KeptAlive(service.port, "127.0.0.1", key=bob.key))
        for _ in range(4):
            for source in hosts(10):
                for key in (service.key, many.key):
                    assert opened.enter_context(KeptAlive(service.port, source, key=key)).answer[0] == 200
            assert bob.get("/v1/jobs").status == 200
            assert kept.status() == 200


def test_a_key_keeps_a_limited_number_of_connections(serve):
    """Requests beyond it are answered, and their connections closed."""
    service = serve(CONNECTIONS=64, CONNECTIONS_PER_KEY=4)
    with contextlib.ExitStack() as opened:
        opened_by_key = [opened.enter_context(KeptAlive(service.port, "127.0.0.1", key=service.key)) for _ in range(8)]
        assert [(c.answer[0], c.answer[1]["Connection"]) for c in opened_by_key] == [(200, None)] * 4 + [(200, "close")] * 4
        assert [c.status() for c in opened_by_key] == [200] * 4 + [None] * 4


def test_refused_requests_do_not_keep_a_place(serve):
    service = serve(CONNECTIONS=16)
    bob = service.add_key("bob")
    hasty = service.add_key("hasty", "--rate-per-minute", "1")
    with contextlib.ExitStack() as opened:
        answers = [opened.enter_context(KeptAlive(service.port, source, key=hasty.key)).answer[0] for source in hosts(32)]
        assert answers == [429] * 32
        assert bob.get("/v1/jobs").status == 200


def test_new_connections_have_time_for_a_request(serve):
    """Idle connections are closed before those that have not sent a request yet."""
    service = serve(CONNECTIONS=16)
    bob = service.add_key("bob")
    with contextlib.ExitStack() as opened:
        for source in hosts(12):
            opened.enter_context(KeptAlive(service.port, source, key=service.key))
        for source in hosts(20)[12:]:
            early = opened.enter_context(half_sent(service.port, source, bob.key))
            for other in hosts(23)[20:]:
                opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30, source_address=(other, 0)))
            early.sendall(b"\r\n")
            assert early.recv(100).startswith(b"HTTP/1.1 200 ")


def test_links_have_limits_of_their_own(serve, endless, song):
    """Neither connections nor requests by links keep the owner, or anybody else, from the service."""
    service = serve(CONNECTIONS=16, RATE_PER_MINUTE=1)
    owner = service.add_key("owner", "--rate-per-minute", "100000")
    bob = service.add_key("bob", "--rate-per-minute", "100000")
    stranger = service.client(None)

    def link(job, file):
        return owner.post_json(f"/v1/jobs/{job['id']}/links", {"file": file}).json()["url"]

    running = endless(owner)
    wait_until(lambda: owner.job(running["id"])["outputs"], what="a stem that grows")
    growing = link(running, "vocals.wav")
    with contextlib.ExitStack() as opened:
        for expected in [200] * 4 + [429]:
            connection, response = stranger.open("GET", growing)
            opened.callback(connection.close)
            opened.callback(response.close)
            assert response.status == expected
        assert b"quota-exceeded" in response.read() and response.headers["Retry-After"]
        assert owner.job(running["id"])["status"] == "running"
    owner.cancel(running["id"])
    manifest = link(owner.separate(song), "manifest.json")
    with contextlib.ExitStack() as opened:
        kept = [opened.enter_context(KeptAlive(service.port, source, manifest)) for source in hosts(40)]
        answers = [c.answer for c in kept]
        assert [status for status, _ in answers[:5]] == [200] * 5  # 10 a minute, 5 of them above
        assert any(status == 429 and headers["Retry-After"] for status, headers in answers)
        assert owner.get("/v1/jobs").status == bob.get("/v1/jobs").status == 200
