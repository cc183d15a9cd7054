# SPDX-License-Identifier: MIT
"""Access control: keys, roles, tokens, other clients' jobs, rates and quotas."""
import concurrent.futures
import http.client
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

from client import Answer, Client, form
from conftest import KEY, PROGRAM, environment, wait_until, wav_bytes, wav_of

LEEWAY_S = 30  # SPLEETER_JWT_LEEWAY_S
UNKNOWN = "01932e5b-7f1c-7abc-8def-0123456789ab"

# Each route with an id: method, path after the id, body.
ROUTES = [
    ("GET", "", None), ("HEAD", "", None), ("DELETE", "", None), ("POST", "/cancel", None), ("GET", "/events", None),
    ("GET", "/stems/vocals.wav", None), ("HEAD", "/stems/vocals.wav", None), ("GET", "/stems.zip", None),
    ("GET", "/manifest.json", None), ("POST", "/links", '{"file": "vocals.wav"}'),
]


@pytest.fixture(scope="module")
def service(serve_all):
    """One service for the tests that need no settings. Each uses keys of its own and ends its
    jobs."""
    return serve_all()


def call(client, method, id, tail, body):
    headers = {"Content-Type": "application/json", "X-Request-Id": "same"} if body else {"X-Request-Id": "same"}
    return client.request(method, f"/v1/jobs/{id}{tail}", body, headers)


def test_anothers_jobs_do_not_exist(service, song):
    bob = service.add_key("another")
    id = service.separate(song)["id"]
    for method, tail, body in ROUTES:
        foreign, unknown = call(bob, method, id, tail, body), call(bob, method, UNKNOWN, tail, body)
        assert foreign.status == unknown.status == 404, (method, tail, foreign)
        assert foreign.body.replace(id.encode(), b"ID") == unknown.body.replace(UNKNOWN.encode(), b"ID"), (method, tail)
        volatile = ("Date", "RateLimit", "traceparent")
        assert {k: v for k, v in foreign.headers.items() if not k.startswith(volatile)} == \
               {k: v for k, v in unknown.headers.items() if not k.startswith(volatile)}, (method, tail)
    assert bob.get("/v1/jobs").json()["jobs"] == []
    assert service.get(f"/v1/jobs/{id}").json()["status"] == "succeeded", "untouched"
    # An admin's key has no access to them either.
    assert service.get(f"/v1/jobs/{bob.submit(song)['id']}").status == 404


def test_an_idempotency_key_is_its_owners(service, song):
    bob = service.add_key("same")
    first = service.post("/v1/jobs", {}, {"Idempotency-Key": "same"}, file=song)
    second = bob.post("/v1/jobs", {}, {"Idempotency-Key": "same"}, file=song)
    assert first.status == second.status == 202 and first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize("headers", [
    {}, {"X-API-KEY": ""}, {"X-API-KEY": "wrong"}, {"X-API-KEY": KEY[:-1]}, {"X-API-KEY": KEY + "0"}, {"X-API-KEY": KEY.upper()},
    {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}, {"Authorization": "Bearer a.b.c"},
    {"X-API-KEY": KEY, "Authorization": f"Bearer {KEY}"},
], ids=str)
def test_wrong_credentials(service, headers):
    answer = Client(service.port, None).request("GET", "/v1/jobs", headers=headers)
    assert (answer.status, answer.problem()) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"]
    assert KEY not in answer.body.decode()


@pytest.fixture(scope="module")
def proxied(serve_all):
    """A service behind a trusted proxy, whose role the test plays."""
    return serve_all(TRUSTED_PROXIES="127.0.0.1/32")


def test_wrong_keys_keep_no_good_key_out(proxied):
    """However often an address fails, only its failing requests are refused. Good keys from the
    same address and other addresses still get access."""
    stranger = Client(proxied.port, "a-wrong-key-0123456789")
    answers = [stranger.get("/v1/jobs", X_Forwarded_For="203.0.113.1") for _ in range(70 * proxied.replicas)]
    assert answers[0].problem() == "unauthorized" and answers[-1].problem() == "rate-limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert proxied.get("/v1/jobs", X_Forwarded_For="203.0.113.1").status == 200
    assert stranger.get("/v1/jobs", X_Forwarded_For="203.0.113.2").problem() == "unauthorized"


def test_a_client_does_not_choose_its_address(proxied):
    """Entries of X-Forwarded-For that the client sends precede the proxy's own entry, on one line
    or several."""
    def address(*lines):
        connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=60)
        connection.putrequest("GET", "/health")
        for line in lines:
            connection.putheader("X-Forwarded-For", line)
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        connection.close()
        if response.status != 200:
            return response.status
        id = response.headers["X-Request-Id"]
        return wait_until(lambda: [line for line in proxied.log("http.request") if line["request_id"] == id])[0]["address"]

    own = "203.0.113.9"
    for size in (1000, 1009, 1010, 1011, 1012, 1022, 1023, 1024, 2000):
        assert address(f"{'198.51.100.1,' + ' ' * size}"[:size] + f", {own}") == own, size
    assert address("198.51.100.1", own) == own
    assert address(f"198.51.100.1, {own}", "127.0.0.1") == own
    assert address(own + ", 127.0.0.1" * 100) == 400


def test_a_key_may_come_as_bearer(service):
    assert Client(service.port, None).get("/v1/jobs", Authorization=f"Bearer {KEY}").status == 200


def test_roles(service, song):
    id = service.separate(song)["id"]
    metrics, user = (service.add_key(role, "--role", role) for role in ("metrics", "user"))
    reader = service.add_key("reader", "--role", "reader", "--of", "user")
    assert service.get("/metrics").status == 200 and metrics.get("/metrics").status == 200
    assert reader.get("/v1/jobs").status == 200 and user.get("/v1/jobs").status == 200
    for answer in (user.get("/metrics"), reader.get("/metrics"), metrics.get("/v1/jobs"), metrics.get("/v1/models"),
                   reader.post("/v1/jobs", {}, file=song), reader.delete(f"/v1/jobs/{id}"),
                   metrics.post("/separate", {}, file=song), reader.request("POST", f"/v1/jobs/{id}/cancel")):
        assert (answer.status, answer.problem()) == (403, "forbidden")


def test_a_revoked_key_is_out_at_sighup(service):
    bob = service.add_key("revoked")
    subprocess.run([PROGRAM, "keys", "revoke", "revoked"], env=environment(**service.settings), check=True)
    service.add_key("next")  # sends SIGHUP and waits for the reload
    assert bob.get("/v1/jobs").status == 401


def keys(service, *arguments):
    """Runs `spleeterd keys` and makes the service reload the keys. Returns a client with the new
    key, or None if the command printed none."""
    done = subprocess.run([PROGRAM, "keys", *arguments], env=environment(**service.settings), check=True, capture_output=True, text=True)
    before = len(service.log("service.reloaded"))
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: len(service.log("service.reloaded")) >= before + len(service.processes), what="new keys")
    return service.client(done.stdout.split()[-1]) if done.stdout else None


def test_a_reader_reads_what_its_client_has(service, song):
    bob = service.add_key("read")
    reader = service.add_key("support", "--role", "reader", "--of", "read")
    id = bob.separate(song)["id"]
    service.submit(song)
    assert [job["id"] for job in reader.get("/v1/jobs").json()["jobs"]] == [id]
    assert reader.job(id)["status"] == "succeeded" and reader.stem(id, "vocals.wav").body == bob.stem(id, "vocals.wav").body
    for path in ("", "/events", "/stems.zip", "/manifest.json", "/stems/vocals.wav/peaks?samples_per_peak=256&count=1"):
        assert reader.get(f"/v1/jobs/{id}{path}").status == 200, path
    url = reader.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"}).json()["url"]
    assert Client(service.port, None).get(url).status == 200
    for answer in (reader.cancel(id), reader.delete(f"/v1/jobs/{id}"), reader.post("/v1/jobs", {}, file=song)):
        assert answer.problem() == "forbidden"
    keys(service, "revoke", "read")
    assert reader.get("/v1/jobs").problem() == "unauthorized", "a reader ends with its client"


def test_a_link_ends_with_the_reader_that_made_it(service, song):
    """A reader with the same name, added later, does not bring it back. Links of the client itself
    and of its other readers go on."""
    bob = service.add_key("linker")
    reader, other = (service.add_key(name, "--role", "reader", "--of", "linker") for name in ("link-reader", "other-reader"))
    id = bob.separate(song)["id"]
    urls = [client.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"}).json()["url"] for client in (reader, other, bob)]
    stranger = Client(service.port, None)
    assert [stranger.get(url).status for url in urls] == [200, 200, 200]
    keys(service, "rotate", "link-reader")
    assert stranger.get(urls[0]).status == 200, "the same reader with another key"
    keys(service, "revoke", "link-reader")
    assert [stranger.get(url).status for url in urls] == [401, 200, 200]
    keys(service, "add", "link-reader", "--role", "reader", "--of", "linker")
    assert stranger.get(urls[0]).problem() == "unauthorized"
    forged = urls[0].replace(urls[0].split("by=")[1].split("&")[0], urls[1].split("by=")[1].split("&")[0])
    assert stranger.get(forged).status == 401


def read_to_the_end(stream):
    """The rest of a response, even if the connection broke off."""
    try:
        return stream.read()
    except http.client.IncompleteRead as error:
        return error.partial


def open_streams(client, *paths):
    """Opens streamed responses and reads their first bytes."""
    opened = [client.open("GET", path) for path in paths]
    assert all(stream.status == 200 and stream.read1(1 << 16) for _, stream in opened)
    return opened


def end_early(opened):
    for connection, stream in opened:
        assert b"succeeded" not in read_to_the_end(stream), "the answer ends, not the job"
        connection.close()


@pytest.mark.parametrize("change", ["revoke", "rotate"])
def test_events_end_with_their_key(serve, endless, change):
    service = serve()
    bob = service.add_key("bob")
    id = endless(bob)["id"]
    bob.wait(id, "running")
    opened = open_streams(bob, f"/v1/jobs/{id}/events")
    heir = keys(service, change, "bob")
    end_early(opened)
    if change == "rotate":
        assert heir.job(id)["status"] == "running"


@pytest.mark.one_process("what another machine writes comes when it is complete")
@pytest.mark.parametrize("change", ["revoke", "rotate"])
def test_growing_stems_end_with_their_key(serve, endless, change):
    """Responses opened by link end when the client's key is revoked. Links belong to the client, so
    they outlive a replaced key."""
    service = serve()
    bob = service.add_key("bob")
    id = endless(bob)["id"]
    wait_until(lambda: bob.job(id)["outputs"], what="a stem that grows")
    link = bob.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"}).json()["url"]
    opened = open_streams(bob, f"/v1/jobs/{id}/stems/vocals.wav")
    if change == "revoke":
        opened += open_streams(Client(service.port, None), link)
    heir = keys(service, change, "bob")
    end_early(opened)
    if change == "rotate":
        assert heir.job(id)["status"] == "running"


@pytest.mark.parametrize("change", ["revoke", "rotate", "sign out"])
def test_downloads_end_with_their_credential(serve, change):
    """Also those of complete files, which the kernel sends. Links outlive a replaced key."""
    service = serve(MIN_RATE_BYTES_S=0)
    bob = service.add_key("bob")
    id = bob.separate(wav_of(np.zeros((8000 * 60, 1)), 8000), options={"bit_depth": "float"})["id"]
    path = f"/v1/jobs/{id}/stems/vocals.wav"
    link = bob.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"}).json()["url"]
    cookie = bob.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0]
    stranger = Client(service.port, None)
    streams = {"key": bob.stall(path), "session": stranger.stall(path, Cookie=cookie), "link": stranger.stall(link)}
    ids = {name: id for name, (_, _, id) in streams.items()}
    ended = {"revoke": ["key", "session", "link"], "rotate": ["key", "session"], "sign out": ["session"]}[change]
    if change == "sign out":
        assert stranger.request("DELETE", "/v1/session", headers={"Cookie": cookie, "X-Spleeterd-Page": "1"}).status == 204
    else:
        keys(service, change, "bob")
    wait_until(lambda: service.cut_answers(set(ids.values())) == {ids[name] for name in ended}, what="the end of the answers")
    for client, _, _ in streams.values():
        client.close()


def begin(client, path, body, headers):
    """Sends a request except for the last bytes of its body. Returns the connection, and a function
    that sends them and returns the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=300)
    connection.putrequest("POST", path)
    for name, value in {"X-API-KEY": client.key, "Content-Length": len(body), **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[:-10])

    def finish():
        connection.send(body[-10:])
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    return finish


@pytest.mark.parametrize("change", ["revoke", "rotate"])
def test_uploads_end_with_their_key(serve, song, change):
    """A request whose body began before a revocation creates nothing after it."""
    service = serve()
    bob = service.add_key("bob")
    id = bob.separate(song)["id"]
    body, type = form({}, song)
    requests = [begin(bob, "/v1/jobs", body, {"Content-Type": type}), begin(bob, "/separate", body, {"Content-Type": type}),
                begin(bob, "/v1/jobs?filename=a.wav", song, {"Content-Type": "audio/wav"}),
                begin(bob, f"/v1/jobs/{id}/links", b'{"file": "vocals.wav"}', {"Content-Type": "application/json"})]
    heir = keys(service, change, "bob")
    for finish in requests:
        answer = finish()
        assert (answer.status, answer.problem()) == (401, "unauthorized")
    assert service.files("incoming") == []
    if change == "rotate":
        assert [job["id"] for job in heir.get("/v1/jobs").json()["jobs"]] == [id]


def test_a_separation_that_waits_ends_with_its_key(serve, endless):
    service = serve()
    bob = service.add_key("bob")
    body, type = form({}, endless.content, "endless.flac", "audio/flac")
    finish = begin(bob, "/separate", body, {"Content-Type": type})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(finish)
        wait_until(lambda: any(job["status"] == "running" for job in bob.get("/v1/jobs").json()["jobs"]), what="a job that runs")
        keys(service, "revoke", "bob")
        assert answer.result().problem() == "unauthorized"
    wait_until(lambda: service.metric('spleeter_files_processed_total{outcome="canceled"}'), what="the end of the job")


def test_fetches_end_with_their_key(serve, receiver, song):
    asked, ended = threading.Event(), threading.Event()

    def answer(_request):
        asked.set()
        ended.wait()
        return 200, song

    receiver.answer = answer
    service = serve(SOURCE_ALLOW="127.0.0.0/8", MIN_RATE_BYTES_S=0)
    bob = service.add_key("bob")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        fetch = pool.submit(bob.post_json, "/v1/jobs", {"source_url": f"{receiver.url}/a.wav"})
        assert asked.wait(60)
        keys(service, "revoke", "bob")
        assert fetch.result().problem() == "unauthorized"
        ended.set()


def test_events_end_with_their_session(service, endless):
    id = endless(service)["id"]
    cookie = service.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0]
    browser = Client(service.port, None)
    connection, stream = browser.open("GET", f"/v1/jobs/{id}/events", headers={"Cookie": cookie})
    assert b"data:" in stream.read1(1 << 16)
    assert browser.request("DELETE", "/v1/session", headers={"Cookie": cookie, "X-Spleeterd-Page": "1"}).status == 204
    assert b"succeeded" not in stream.read()
    connection.close()
    service.cancel(id)


def test_what_a_revoked_key_gave_out_ends_with_it(serve, receiver, song):
    """Links stop working and pending webhooks are given up. A new client with the same name
    inherits neither these nor the jobs."""
    service = serve(WEBHOOK_ALLOW="127.0.0.1/32")
    receiver.answer = lambda _request: (503, b"")
    bob = service.add_key("bob")
    id = bob.separate(song, webhook_url=f"{receiver.url}/hook")["id"]
    url = bob.post_json(f"/v1/jobs/{id}/links", {"file": "vocals.wav"}).json()["url"]
    stranger = Client(service.port, None)
    assert stranger.get(url).status == 200
    wait_until(lambda: receiver.requests, what="a first try")
    bob = keys(service, "rotate", "bob")
    assert stranger.get(url).status == 200 and bob.job(id)["status"] == "succeeded", "the same client with another key"
    keys(service, "revoke", "bob")
    assert stranger.get(url).problem() == "unauthorized"
    tries = len(receiver.requests)
    bob = keys(service, "add", "bob")
    assert bob.get("/v1/jobs").json()["jobs"] == [] and bob.get(f"/v1/jobs/{id}").status == 404
    assert stranger.get(url).problem() == "unauthorized"
    given_up = wait_until(lambda: service.log("webhook.given_up"), what="the end of its webhook")
    assert "revoked" in given_up[0]["error"] and len(receiver.requests) == tries


def test_jobs_of_a_revoked_key_are_canceled(service, endless, song):
    """The jobs that run and those that wait. Jobs of other clients stay, and are next."""
    bob = service.add_key("bob-of-the-queue")
    ids = [endless(bob, number)["id"] for number in range(service.at_once + 2)]
    for id in ids[:service.at_once]:
        bob.wait(id, "running")
    other = service.submit(song)["id"]
    keys(service, "rotate", "bob-of-the-queue")
    assert not service.log("job.revoked")
    keys(service, "revoke", "bob-of-the-queue")
    assert service.wait(other)["status"] == "succeeded"
    wait_until(lambda: {line["id"] for line in service.log("job.revoked")} == set(ids), what="the end of all jobs")
    assert service.metric("spleeter_queue_depth") == 0


def test_an_upload_of_a_revoked_key_becomes_no_job(service, song):
    bob = service.add_key("bob-of-the-upload")
    body, type = form({}, file=song)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in (("X-API-KEY", bob.key), ("Content-Type", type), ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.endheaders(body[:-100])
    wait_until(lambda: service.files("incoming"), what="the upload")
    keys(service, "revoke", "bob-of-the-upload")
    connection.send(body[-100:])
    assert connection.getresponse().status == 401
    connection.close()


# --------------------------------------------------------------------------- tokens


@pytest.fixture(scope="module")
def federated(serve_all, jwks):
    return serve_all(**jwks.settings())


def bearer(service, token):
    return Client(service.port, None).get("/v1/jobs", Authorization=f"Bearer {token}")


def test_tokens(federated, jwks, song):
    assert bearer(federated, jwks.token()).status == 200
    assert bearer(federated, jwks.token(aud=["other", jwks.audience])).status == 200
    for wrong in (jwks.token(exp=1), jwks.token(exp=None), jwks.token(aud="other"), jwks.token(aud=None), jwks.token(sub=None),
                  jwks.token(iss=jwks.name + "/"), jwks.token(nbf=2**33), jwks.token()[:-4] + "AAAA"):
        assert bearer(federated, wrong).status == 401
    assert bearer(federated, jwks.token(scope="metrics:read")).status == 403
    assert federated.get("/v1/jobs").status == 200, "keys go on beside tokens"


def test_a_token_may_expire_during_an_upload(federated, jwks, song):
    token = jwks.token(exp=int(time.time()) + 5 - LEEWAY_S)
    body, type = form({}, song)
    finish = begin(Client(federated.port, None), "/v1/jobs", body, {"Content-Type": type, "Authorization": f"Bearer {token}"})
    wait_until(lambda: bearer(federated, token).status == 401, what="the end of the token")
    answer = finish()
    assert answer.status == 202, answer


def test_each_subject_has_jobs_of_its_own(federated, jwks, song):
    class TokenClient(Client):
        def open(self, method, path, body=None, headers=None, timeout=120):
            return super().open(method, path, body, {"Authorization": f"Bearer {self.token}", **(headers or {})}, timeout)

    alice, bob = TokenClient(federated.port, None), TokenClient(federated.port, None)
    alice.token, bob.token = jwks.token(), jwks.token(sub="bob")
    id = alice.submit(song)["id"]
    assert alice.wait(id)["status"] == "succeeded"
    for method, tail, body in ROUTES:
        assert call(bob, method, id, tail, body).status == 404, (method, tail)
        assert call(federated, method, id, tail, body).status == 404, (method, tail)


def test_keys_of_the_issuer_may_change(federated, jwks):
    for _ in range(federated.replicas):
        assert bearer(federated, jwks.token()).status == 200
    fetches = len(jwks.requests)
    for _ in range(5):
        assert bearer(federated, jwks.token()).status == 200
    assert len(jwks.requests) == fetches, "keys are kept"


# ------------------------------------------------------------------------- sessions


def test_signing_out_ends_a_session_everywhere(service):
    """Each process refuses the cookie, even after a restart. Another session of the same key
    continues."""
    def sign_in():
        return service.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0]

    def status(cookie, port=service.port):
        return Client(port, None).get("/v1/session", Cookie=cookie).status

    first, second = sign_in(), sign_in()
    assert first != second and status(first) == status(second) == 200
    for _ in range(2):
        assert Client(service.port, None).request("DELETE", "/v1/session", headers={"Cookie": first}).status == 204
    assert Client(service.port, None).request("DELETE", "/v1/session", headers={"Cookie": first[:-1]}).status == 204
    ports = service.ports[:service.replicas]
    assert {(status(first, port), status(second, port)) for port in ports} == {(401, 200)}
    service.stop()
    service.start()
    assert {(status(first, port), status(second, port)) for port in ports} == {(401, 200)}


def test_a_session_opens_no_other(service):
    """Otherwise a copied cookie could be exchanged for one that outlives the sign-out."""
    cookie = service.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0]
    answer = Client(service.port, None).request("POST", "/v1/session", headers={"Cookie": cookie, "X-Spleeterd-Page": "1"})
    assert answer.problem() == "forbidden" and "Set-Cookie" not in answer.headers


def test_copies_of_an_ended_cookie_keep_nobody_signed_in(proxied):
    """They count as failures of their address and use up nothing of their owner."""
    ended, current = (proxied.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0] for _ in range(2))

    def sign_out(cookie, address):
        return Client(proxied.port, None).request("DELETE", "/v1/session", headers={"Cookie": cookie, "X-Forwarded-For": address})

    assert sign_out(ended, "203.0.113.70").status == 204
    answers = [sign_out(ended, "203.0.113.71") for _ in range(70 * proxied.replicas)]
    assert answers[0].status == 204 and answers[-1].problem() == "rate-limited"
    assert sign_out(current, "203.0.113.70").status == 204
    assert Client(proxied.port, None).get("/v1/session", Cookie=current).status == 401


def test_sessions_have_rates(proxied):
    """A key opens and ends a limited number of sessions a minute, and so fills a limited number of
    rows. Another key at the same address goes on."""
    def sign_in(client):
        return client.request("POST", "/v1/session", headers={"X-Forwarded-For": "203.0.113.50"})

    def sign_out(cookie):
        return Client(proxied.port, None).request("DELETE", "/v1/session", headers={"Cookie": cookie, "X-Forwarded-For": "203.0.113.50"})

    busy, calm = proxied.add_key("busy-browser"), proxied.add_key("calm-browser")
    answers = [sign_in(busy) for _ in range(70 * proxied.replicas)]
    assert answers[0].status == 201 and answers[-1].problem() == "rate-limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    answer = sign_in(calm)
    assert answer.status == 201 and sign_out(answer.headers["Set-Cookie"].split(";")[0]).status == 204


def test_wrong_cookies_are_failures(proxied):
    """They count for the address, whether they come with a request or to be ended. A valid session
    and a valid key of that address go on."""
    good = proxied.request("POST", "/v1/session").headers["Set-Cookie"].split(";")[0]
    for number, method in enumerate(("GET", "DELETE")):
        address = f"203.0.113.{60 + number}"
        headers = {"Cookie": good[:-3], "X-Forwarded-For": address}
        answers = [Client(proxied.port, None).request(method, "/v1/session", headers=headers) for _ in range(70 * proxied.replicas)]
        assert answers[0].status in (401, 204) and answers[-1].problem() == "rate-limited", answers[-1]
        assert Client(proxied.port, None).get("/v1/session", Cookie=good, X_Forwarded_For=address).status == 200
        assert proxied.get("/v1/jobs", X_Forwarded_For=address).status == 200


def test_behind_a_proxy_with_tls(proxied):
    """The proxy reports which clients use TLS. Those get cookies that no other host can set, and
    HSTS."""
    for proto, secure in (("https", True), ("http, https", True), ("https, http", False), ("http", False), ("", False)):
        answer = proxied.request("POST", "/v1/session", headers={"X-Forwarded-Proto": proto})
        name, *attributes = answer.headers["Set-Cookie"].split("; ")
        assert name.startswith("__Host-spleeterd_session=" if secure else "spleeterd_session=") and ("Secure" in attributes) == secure
        assert "Path=/" in attributes and not [each for each in attributes if each.startswith("Domain")]
        assert ("Strict-Transport-Security" in answer.headers) == secure
        assert Client(proxied.port, None).get("/v1/session", Cookie=name, X_Forwarded_Proto=proto).status == 200


def test_only_a_trusted_proxy_reports_its_clients(service):
    answer = service.request("POST", "/v1/session", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" not in answer.headers["Set-Cookie"] and "Strict-Transport-Security" not in answer.headers


# ----------------------------------------------------------------- rates and quotas


def test_rates(service):
    slow = service.add_key("slow", "--rate-per-minute", "5")
    answers = [slow.get("/v1/jobs") for _ in range(8)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 3 and refused[0].problem() == "rate-limited"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    for answer in answers:
        names = {name.lower() for name in answer.headers.keys()}
        assert "ratelimit" in names or "ratelimit-limit" in names, answer
    assert service.get("/v1/jobs").status == 200, "others are not slowed down"
    before = len(service.log("http.request"))
    for _ in range(200):
        assert slow.get("/v1/jobs").status == 429
    assert len(service.log("http.request")) - before <= 130 * service.replicas, "nor does the log grow with what is refused"


def test_jobs_per_key(serve, endless, song):
    service = serve(JOBS_PER_KEY=2)
    for n in range(2):
        endless(service, n)
    answer = service.post("/v1/jobs", {}, file=song)
    assert (answer.status, answer.problem()) == (429, "quota-exceeded")
    assert answer.json()["setting"] == "SPLEETER_JOBS_PER_KEY" and int(answer.headers["Retry-After"]) > 0
    bob = service.add_key("bob")
    assert bob.post("/v1/jobs", {}, file=wav_bytes(1)).status == 202, "others have quotas of their own"


def test_storage_per_key(serve):
    service = serve(STORAGE_PER_KEY_MB=6)
    content = wav_bytes(10)  # 1.7 MiB, and twice that for the stems
    service.wait(service.submit(content)["id"])
    answer = service.post("/v1/jobs", {"stems": "vocals"}, file=content)
    assert (answer.status, answer.problem()) == (429, "quota-exceeded")
    assert answer.json()["setting"] == "SPLEETER_STORAGE_PER_KEY_MB"
    service.delete(f"/v1/jobs/{service.get('/v1/jobs').json()['jobs'][0]['id']}")
    assert service.post("/v1/jobs", {"stems": "vocals"}, file=content).status == 202


def test_storage_of_jobs_that_wait(serve):
    """Queued jobs count with their expected output size until the actual size is known."""
    service = serve(STORAGE_PER_KEY_MB=20)
    flac = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc", "-t", "60", "-f", "flac", "-"], check=True,
                          capture_output=True).stdout  # no length in its header; its stems take 20.2 MiB
    job = service.wait(service.submit(flac, name="silence.flac", type="audio/flac")["id"])
    assert job["status"] == "failed" and job["error"]["code"] == "quota-exceeded", job
    wait_until(lambda: service.files("blobs") == [], what="cleaning up")
    content = wav_bytes(30)  # 5 MiB, and twice that for the stems
    service.submit(content)
    answer = service.post("/v1/jobs", {"options": {"duration": 29}}, file=content)
    assert (answer.status, answer.problem()) == (429, "quota-exceeded")
    assert answer.json()["setting"] == "SPLEETER_STORAGE_PER_KEY_MB"


def test_a_full_queue(serve, busy, endless):
    service = serve(QUEUE=2)
    busy(service)
    for n in range(2):
        endless(service, n)
    answer = service.post("/v1/jobs", {}, file=wav_bytes(1))
    assert (answer.status, answer.problem()) == (429, "queue-full")
    assert answer.json()["setting"] == "SPLEETER_QUEUE" and int(answer.headers["Retry-After"]) > 0


def cancel_all(service, ids):
    for id in ids:
        service.cancel(id)
    for id in ids:
        service.wait(id)


def test_fair_share(service, busy, song):
    """Bob's first job does not wait for all of Alice's."""
    alice, bob = service.add_key("alice"), service.add_key("bob")
    running = busy(service)
    ids = [alice.submit(song, options={"duration": 1 + n / 10})["id"] for n in range(5)]
    bobs = bob.submit(song)["id"]
    service.cancel(running.pop())  # one worker, so the jobs run one after the other
    started = bob.wait(bobs)["started"]
    assert sum(alice.wait(id)["started"] < started for id in ids) <= 2
    cancel_all(service, running)


def test_priority(service, busy, song):
    first, last = service.add_key("first", "--priority", "5"), service.add_key("last", "--priority", "-5")
    running = busy(service)
    late = last.submit(song)["id"]
    early = first.submit(song)["id"]
    service.cancel(running.pop())  # one worker, so the jobs run one after the other
    first.wait(early)
    assert last.wait(late)["started"] >= first.job(early)["started"]
    cancel_all(service, running)
