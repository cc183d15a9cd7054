# SPDX-License-Identifier: MIT
"""Sign-in at an OAuth 2.0 server: the authorization code flow with PKCE, with a server that
verifies it."""
import base64
import hashlib
import html
import json
import urllib.parse

import pytest

from client import Client
from conftest import free_port, service_fixtures


class AuthorizationServer(service_fixtures.Issuer):
    """An issuer that also signs people in, immediately. A code is valid once, for the challenge
    that it was issued for."""

    client = "spleeterd-page"

    def __init__(self):
        self.codes = {}
        self.token_answer = None
        super().__init__()

    def settings(self, **changes):
        return {**super().settings(), "OAUTH_CLIENT_ID": self.client, "OAUTH_AUTHORIZE_URL": f"{self.url}/authorize",
                "OAUTH_TOKEN_URL": f"{self.url}/token", **changes}

    def authorize(self, url):
        """Returns the (code, state) that the redirect to the service carries."""
        query = {name: value for name, (value,) in urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).items()}
        assert query["response_type"] == "code" and query["client_id"] == self.client and query["code_challenge_method"] == "S256"
        assert query["scope"] == "jobs:read jobs:write" and len(query["state"]) >= 20
        code = f"code/{len(self.codes)} +%"
        self.codes[code] = query
        return code, query["state"]

    def answer(self, request):
        if request["path"].startswith("/authorize?"):
            code, state = self.authorize(self.url + request["path"])
            back = f"{self.codes[code]['redirect_uri']}?{urllib.parse.urlencode({'code': code, 'state': state})}"
            return 200, f'<html><meta http-equiv="refresh" content="0;url={html.escape(back)}">'.encode()
        if request["path"] != "/token":
            return super().answer(request)
        if self.token_answer:
            return self.token_answer
        assert request["method"] == "POST" and request["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
        form = {name: value for name, (value,) in urllib.parse.parse_qs(request["body"].decode(), strict_parsing=True).items()}
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (not asked or form["grant_type"] != "authorization_code" or form["client_id"] != self.client or form["redirect_uri"] != asked["redirect_uri"]
                or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]):
            return 400, b'{"error": "invalid_grant"}'
        return 200, json.dumps({"access_token": self.token(), "token_type": "Bearer"}).encode()


@pytest.fixture
def server():
    pytest.importorskip("cryptography")
    server = AuthorizationServer()
    yield server
    server.close()


@pytest.fixture
def entrance(serve, server):
    """A service whose users sign in at `server`."""
    port = free_port()
    return serve(PORT=port, API_KEY=None, PUBLIC_URL=f"http://127.0.0.1:{port}", **server.settings())


def begin(entrance):
    """Starts a sign-in. Returns (URL at the server, cookie)."""
    answer = Client(entrance.port, None).get("/v1/session/oauth")
    assert answer.status == 302
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    return answer.headers["Location"], cookie


def come_back(entrance, cookie, **query):
    headers = {"Cookie": cookie} if cookie else {}
    answer = Client(entrance.port, None).request("GET", "/v1/session/callback?" + urllib.parse.urlencode(query), headers=headers)
    assert answer.status == 303
    return answer


def session_of(answer):
    return [value.split(";")[0] for value in answer.headers.get_all("Set-Cookie") if value.startswith("spleeterd_session=")]


def test_signing_in(entrance, server):
    assert Client(entrance.port, None).get("/v1/config").json()["oauth"] is True
    url, cookie = begin(entrance)
    assert url.startswith(f"{server.url}/authorize?")
    code, state = server.authorize(url)
    assert server.codes[code]["redirect_uri"] == f"http://127.0.0.1:{entrance.port}/v1/session/callback"
    answer = come_back(entrance, cookie, code=code, state=state)
    assert answer.headers["Location"] == "/"
    session, = session_of(answer)
    who = Client(entrance.port, None).request("GET", "/v1/session", headers={"Cookie": session})
    assert who.status == 200 and who.json()["scopes"] == ["jobs:read", "jobs:write"]
    # A code is valid once.
    assert session_of(come_back(entrance, cookie, code=code, state=state)) == []


@pytest.mark.parametrize("change", ["state", "no state", "cookie", "no cookie", "verifier", "code", "refusal"])
def test_who_did_not_begin_does_not_get_in(entrance, server, change):
    url, cookie = begin(entrance)
    code, state = server.authorize(url)
    _, other = begin(entrance)
    query = {"code": code, "state": state}
    if change == "state":
        query["state"] = state[:-1] + ("A" if state[-1] != "A" else "B")
    elif change == "no state":
        del query["state"]
    elif change == "cookie":  # another browser, with a link from somebody else
        cookie = other
    elif change == "no cookie":
        cookie = None
    elif change == "verifier":
        cookie = ".".join([*cookie.split(".")[:2], *other.split(".")[2:]])
    elif change == "code":
        query["code"] = "another"
    else:
        query = {"error": "access_denied", "state": state}
    answer = come_back(entrance, cookie, **query)
    assert answer.headers["Location"] == "/#/sign-in/unauthorized" and session_of(answer) == []


def test_invented_cookies_cause_no_requests(entrance, server):
    """The service only calls the token endpoint for a sign-in that it began."""
    for secret in ("s.v", "9999999999.s.v", "9999999999.s.v." + "A" * 43, "9999999999.s.v." + "A" * 42, ".", "", "1.2.3.4"):
        answer = come_back(entrance, f"spleeterd_oauth={secret}", code="code", state="s")
        assert answer.headers["Location"] == "/#/sign-in/unauthorized"
    assert not [request for request in server.requests if request["path"] == "/token"]
    assert entrance.log("oauth.refused")


def test_sign_ins_have_a_rate(entrance, server):
    """An address with one state cannot make the service flood the token server."""
    url, cookie = begin(entrance)
    _, state = server.authorize(url)
    answers = [come_back(entrance, cookie, code="wrong", state=state) for _ in range(130)]
    assert answers[0].headers["Location"] == "/#/sign-in/unauthorized"
    assert answers[-1].headers["Location"] == "/#/sign-in/rate-limited"
    assert len([request for request in server.requests if request["path"] == "/token"]) <= 120


@pytest.mark.parametrize("token_answer, code", [((500, b"oops"), "unavailable"), ((200, b"{}"), "unavailable"), ((200, b"x" * 100000), "unavailable"),
                                                ((200, b'{"access_token": "a.b.c"}'), "unauthorized")])
def test_a_server_that_fails(entrance, server, token_answer, code):
    url, cookie = begin(entrance)
    grant, state = server.authorize(url)
    server.token_answer = token_answer
    answer = come_back(entrance, cookie, code=grant, state=state)
    assert answer.headers["Location"] == f"/#/sign-in/{code}" and session_of(answer) == []


def test_without_a_server(shared):
    for path in "/v1/session/oauth", "/v1/session/callback?code=a&state=b":
        assert shared.get(path).problem() == "not-found"


def test_in_the_page(entrance, server, visit):
    """The whole sign-in in a browser."""
    page = visit(entrance, key=None)
    page.allowed = [server.url]
    page.get_by_role("link", name="Sign in with your account").click()
    page.wait_for_selector(".drop")
    assert "code" not in page.url
