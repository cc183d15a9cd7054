# SPDX-License-Identifier: MIT
"""Webhooks are delivered, signed, retried, and never sent to private addresses unless allowed."""
import base64
import hashlib
import hmac
import json
import subprocess
import threading

import pytest

from conftest import PROGRAM, Server, environment, wait_until


@pytest.fixture(scope="module")
def shared(serve_all):
    """A service that sends no webhook to a private address."""
    return serve_all()


@pytest.fixture
def hooked(serve):
    return serve(WEBHOOK_ALLOW="127.0.0.0/8")


def verified(secret, request):
    """Checks the signature of a delivery by the specification and returns its payload."""
    headers = request["headers"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request["body"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert expected in headers["webhook-signature"].split()
    return json.loads(request["body"])


def test_the_end_of_a_job_is_delivered(hooked, receiver, song):
    job = hooked.submit(song, webhook_url=f"{receiver.url}/hook?x=1", metadata={"mine": 7})
    hooked.wait(job["id"])
    wait_until(lambda: receiver.requests, what="a webhook")
    request, = receiver.requests
    assert (request["method"], request["path"]) == ("POST", "/hook?x=1")
    secret = hooked.get("/v1/webhooks/secret").json()["secret"]
    payload = verified(secret, request)
    assert payload["type"] == "job.succeeded"
    now = hooked.job(job["id"])
    assert payload["data"]["id"] == job["id"] and payload["data"]["status"] == "succeeded"
    assert payload["data"]["metadata"] == {"mine": 7} and payload["data"]["outputs"] == now["outputs"]
    assert hooked.metric('spleeter_webhooks_total{outcome="delivered"}') == 1


def test_the_helper_verifies(hooked, receiver, song):
    hooked.wait(hooked.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: receiver.requests, what="a webhook")
    headers = receiver.requests[0]["headers"]
    secret = hooked.get("/v1/webhooks/secret").json()["secret"]

    def verify(body):
        return subprocess.run(
            [PROGRAM, "webhooks", "verify", "--id", headers["webhook-id"], "--timestamp", headers["webhook-timestamp"],
             "--signature", headers["webhook-signature"]], input=body, capture_output=True,
            env={**environment(), "SPLEETER_WEBHOOK_SECRET": secret}).returncode

    assert verify(receiver.requests[0]["body"]) == 0
    assert verify(receiver.requests[0]["body"] + b" ") != 0


def test_each_key_has_a_secret_of_its_own(hooked, receiver, song):
    bob = hooked.add_key("bob")
    secrets = {client.get("/v1/webhooks/secret").json()["secret"] for client in (hooked, bob)}
    assert len(secrets) == 2
    bob.wait(bob.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: receiver.requests, what="a webhook")
    verified(bob.get("/v1/webhooks/secret").json()["secret"], receiver.requests[0])


def test_failures_are_tried_again_with_the_same_id(hooked, receiver, song):
    receiver.answer = lambda _: (500 if len(receiver.requests) < 3 else 200, b"")
    hooked.wait(hooked.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: len(receiver.requests) >= 3, timeout=120, what="a third try")
    assert len({request["headers"]["webhook-id"] for request in receiver.requests}) == 1
    wait_until(lambda: hooked.metric('spleeter_webhooks_total{outcome="delivered"}') == 1, what="the delivery")


def test_a_receiver_that_stays_away_is_given_up(serve, receiver, song):
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8", WEBHOOK_ATTEMPTS=1)
    receiver.answer = lambda _: (503, b"")
    service.wait(service.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="dead"}') == 1, what="giving up")
    assert len(receiver.requests) == 1


def test_deliveries_survive_a_restart(serve, receiver, song, tmp_path):
    receiver.answer = lambda _: (500, b"")
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8")
    service.wait(service.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: receiver.requests, what="a first try")
    service.kill()
    receiver.answer = lambda _: (200, b"")
    service.start()
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="delivered"}') == 1, timeout=120, what="the delivery")


def test_redirects_are_not_followed(serve, receiver, song):
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8", WEBHOOK_ATTEMPTS=1)
    receiver.answer = lambda _: (302, b"")
    service.wait(service.submit(song, webhook_url=receiver.url)["id"])
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="dead"}') == 1, what="giving up")


def test_a_cancel_is_delivered(hooked, receiver, endless):
    job = endless(hooked, webhook_url=receiver.url)
    hooked.wait(job["id"], "running")
    hooked.cancel(job["id"])
    wait_until(lambda: receiver.requests, what="a webhook")
    assert json.loads(receiver.requests[0]["body"])["type"] == "job.canceled"


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:1/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://10.0.0.1/",
    "https://169.254.169.254/", "https://[::ffff:127.0.0.1]/", "https://0.0.0.0/", "https://192.168.1.1/", "http://example.org/",
    "https://user:password@example.org/", "ftp://example.org/", "https://2130706433/", "https://0x7f.1/",
])
def test_private_receivers_are_refused(shared, song, url):
    def failures():
        return shared.metric('spleeter_webhooks_total{outcome="retried"}') + shared.metric('spleeter_webhooks_total{outcome="dead"}')

    before = failures()
    answer = shared.post("/v1/jobs", {"webhook_url": url}, file=song)
    if answer.status == 202:  # names are checked when the socket is opened
        job = shared.wait(answer.json()["id"])
        wait_until(lambda: failures() > before, what="a denied try")
        assert job["status"] == "succeeded" and shared.metric('spleeter_webhooks_total{outcome="delivered"}') == 0
    else:
        assert (answer.status, answer.problem(), answer.json()["field"]) == (422, "invalid", "webhook_url")


def test_the_receivers_url_is_not_logged_with_its_query(hooked, receiver, song):
    hooked.wait(hooked.submit(song, webhook_url=f"{receiver.url}/?token=very-secret")["id"])
    wait_until(lambda: receiver.requests, what="a webhook")
    assert "very-secret" not in hooked.log_path.read_text()


def test_the_end_of_a_job_from_the_cache_is_delivered(hooked, receiver, song):
    hooked.separate(song)
    hooked.submit(song, webhook_url=receiver.url)
    wait_until(lambda: receiver.requests, what="a webhook")


class Hanging(Server):
    """A receiver that accepts webhooks and does not answer until it is released."""

    def __init__(self):
        self.released = threading.Event()
        super().__init__()

    def answer(self, _request):
        self.released.wait()
        return 200, b""


@pytest.fixture
def hanging():
    server = Hanging()
    yield server
    server.released.set()
    server.close()


@pytest.fixture
def elsewhere():
    """A receiver on another host."""
    server = Server("127.0.0.2")
    yield server
    server.close()


def wait_for_webhooks(receiver, count):
    wait_until(lambda: len(receiver.requests) >= count, what="webhooks")


def test_hanging_receivers_of_one_key_do_not_hold_up_another(serve, hanging, receiver, song):
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8", WEBHOOK_TIMEOUT_S=300)
    bob = service.add_key("bob")
    service.separate(song)
    for _ in range(10):  # served from the cache
        service.submit(song, webhook_url=hanging.url)
    wait_for_webhooks(hanging, 2)
    bob.submit(song, webhook_url=receiver.url)
    wait_for_webhooks(receiver, 1)
    assert len(hanging.requests) <= 2 * service.replicas
    hanging.released.set()
    wait_for_webhooks(hanging, 10)


def test_a_hanging_host_does_not_hold_up_another(serve, hanging, elsewhere, song):
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8", WEBHOOK_TIMEOUT_S=300)
    clients = [service] + [service.add_key(name) for name in ("bob", "carol", "dave", "erin")]
    for client in clients:
        client.separate(song)
    for client in clients[:4]:
        for _ in range(3):
            client.submit(song, webhook_url=hanging.url)
    wait_for_webhooks(hanging, 4)
    clients[4].submit(song, webhook_url=elsewhere.url)
    wait_for_webhooks(elsewhere, 1)
    assert len(hanging.requests) <= 4 * service.replicas
    hanging.released.set()
    wait_for_webhooks(hanging, 12)
