# SPDX-License-Identifier: MIT
"""Browser sessions: a cookie that is valid as long as its key, and that other sites cannot use."""
import signal
import subprocess
import time

import pytest

from client import Client, form
from service_fixtures import KEY, PROGRAM, environment, wait_until

PAGE = {"X-Spleeterd-Page": "1"}


class Browser(Client):
    """A client with a cookie and without a key."""

    def __init__(self, port, cookie=None):
        super().__init__(port, None)
        self.cookie = cookie

    def request(self, method, path, body=None, headers=None, timeout=300):
        headers = {**({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        return super().request(method, path, body, headers, timeout)


def sign_in(client):
    """Signs in with the client's key. Returns (browser, answer)."""
    answer = client.request("POST", "/v1/session")
    assert answer.status == 201, answer
    return Browser(client.port, answer.headers["Set-Cookie"].split(";")[0]), answer


def test_sign_in_look_around_sign_out(service, song):
    browser, answer = sign_in(service)
    attributes = set(answer.headers["Set-Cookie"].split("; ")[1:])
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= attributes and "Secure" not in attributes
    assert KEY not in answer.headers["Set-Cookie"]
    assert answer.json()["name"] == "default" and set(answer.json()["scopes"]) >= {"jobs:read", "jobs:write"}

    job = service.submit(song)
    assert [each["id"] for each in browser.get("/v1/jobs").json()["jobs"]] == [job["id"]]
    assert browser.get("/v1/session").json()["name"] == "default"
    service.wait(job["id"])
    assert browser.get(f"/v1/jobs/{job['id']}/stems/vocals.wav").status == 200

    gone = browser.request("DELETE", "/v1/session")
    assert gone.status == 204 and "Max-Age=0" in gone.headers["Set-Cookie"]
    assert browser.get("/v1/jobs").problem() == "unauthorized", "a cookie that was kept is worth nothing"


def test_nobody_signs_in_without_a_key(service):
    browser = Browser(service.port)
    assert browser.request("POST", "/v1/session").problem() == "unauthorized"
    assert browser.get("/v1/session").problem() == "unauthorized"
    assert Client(service.port, "not-a-key-0123456789").request("POST", "/v1/session").problem() == "unauthorized"


def test_changes_need_the_header_of_the_page(service, song):
    browser, _ = sign_in(service)
    job = service.submit(song)
    body, type = form({}, file=song)
    assert browser.request("POST", "/v1/jobs", body, {"Content-Type": type}).problem() == "unauthorized"
    assert browser.request("DELETE", f"/v1/jobs/{job['id']}").problem() == "unauthorized"
    assert browser.request("POST", f"/v1/jobs/{job['id']}/cancel").problem() == "unauthorized"
    assert service.get(f"/v1/jobs/{job['id']}").status == 200
    body, type = form({}, file=song)
    assert browser.request("POST", "/v1/jobs", body, {"Content-Type": type, **PAGE}).status == 202
    assert browser.request("DELETE", f"/v1/jobs/{job['id']}", headers=PAGE).status == 204


def test_other_sites_are_allowed_nothing(service):
    """A page of another site must send a CORS preflight before it may send the header, and the
    preflight is not allowed."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE",
             "Access-Control-Request-Headers": "x-spleeterd-page"}
    for path in "/v1/jobs", "/v1/session":
        answer = service.request("OPTIONS", path, headers=asked)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("change", [
    lambda cookie: cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),  # the signature
    lambda cookie: cookie.replace("=1", "=2", 1),  # the expiry time
    lambda cookie: cookie.replace("key:default", "key:another"),
    lambda cookie: cookie.rsplit(".", 1)[0],
    lambda cookie: cookie.split("=")[0] + "=",
    lambda cookie: cookie.split("=")[0] + "=....",
    lambda cookie: cookie + "." + cookie.rsplit(".", 1)[1],
])
def test_changed_cookies_are_refused(service, change):
    browser, _ = sign_in(service)
    assert browser.get("/v1/session").status == 200
    browser.cookie = change(browser.cookie)
    assert browser.get("/v1/session").problem() == "unauthorized"


def test_a_session_ends_with_its_key(service):
    other = service.add_key("guest")
    browser, _ = sign_in(other)
    assert browser.get("/v1/jobs").status == 200

    def keys(*arguments):
        subprocess.run([PROGRAM, "keys", *arguments], env=environment(**service.settings), check=True, capture_output=True)
        service.process.send_signal(signal.SIGHUP)

    keys("revoke", "guest")
    wait_until(lambda: browser.get("/v1/jobs").status == 401, what="the end of the session")
    # Another key with the same name.
    keys("add", "guest")
    wait_until(lambda: any(line["event"] == "service.reloaded" for line in service.log()[-3:]), what="the new key")
    assert browser.get("/v1/jobs").problem() == "unauthorized"


def test_a_session_may_do_what_its_key_may(service, song):
    browser, answer = sign_in(service.add_key("reader", "--role", "reader", "--of", "default"))
    assert answer.json()["scopes"] == ["jobs:read"]
    body, type = form({}, file=song)
    assert browser.request("POST", "/v1/jobs", body, {"Content-Type": type, **PAGE}).problem() == "forbidden"
    assert service.add_key("watcher", "--role", "metrics").request("POST", "/v1/session").problem() == "forbidden"


def test_a_session_by_a_token_ends_with_the_token(serve, jwks):
    service = serve(API_KEY=None, **jwks.settings(), JWT_LEEWAY_S=0)
    for lifetime_s in (4, 30, 120):  # a slow machine needs more
        end_s = int(time.time()) + lifetime_s
        answer = Client(service.port, None).request("POST", "/v1/session", headers={"Authorization": f"Bearer {jwks.token(exp=end_s)}"})
        browser = Browser(service.port, answer.headers.get("Set-Cookie", "").split(";")[0])
        seen = answer.status, browser.get("/v1/jobs").status
        if time.time() < end_s:
            break
    assert seen == (201, 200)
    wait_until(lambda: browser.get("/v1/jobs").status == 401, what="the end of the session")


def test_sessions_survive_a_restart(service):
    browser, _ = sign_in(service)
    assert service.stop() == 0
    service.start()
    assert browser.get("/v1/session").status == 200


def test_the_cookie_is_for_tls_alone_where_the_service_is(serve):
    service = serve(PUBLIC_URL="https://stems.example")
    browser, answer = sign_in(service)
    assert "Secure" in answer.headers["Set-Cookie"].split("; ") and browser.cookie.startswith("__Host-spleeterd_session=")
    assert browser.get("/v1/session").status == 200
    browser.cookie = browser.cookie.removeprefix("__Host-")
    assert browser.get("/v1/session").problem() == "unauthorized"


def test_what_anybody_may_read(service):
    answer = Client(service.port, None).get("/v1/config")
    assert answer.status == 200
    config = answer.json()
    assert config["max_file_size_bytes"] == 512 << 20 and config["default_model"] == "2stems" and "mp3" in config["formats"]
    assert config["oauth"] is False
    assert KEY not in answer.body.decode() and str(service.data) not in answer.body.decode()
