# SPDX-License-Identifier: MIT
"""Bearer tokens against an issuer's real key set over HTTP: known attacks on JWT, and tokens that
must be accepted.

Tokens are made here with python3-cryptography, byte by byte where no library would make them.
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import socket
import threading
import time
import urllib.parse

import pytest

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils  # noqa: E402

from client import Answer, Client  # noqa: E402
from conftest import Issuer, Server, Service, base64url, free_port, wait_until  # noqa: E402

LEEWAY_S = 300
SECRET = b"a-shared-secret-of-32-characters"
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def at(seconds):
    """Unix time of now plus `seconds`."""
    return int(time.time()) + seconds


def unpadded(value):
    return value if isinstance(value, str) else base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def rs256(key, hash=hashes.SHA256):
    return lambda signed: key.sign(signed, padding.PKCS1v15(), hash())


def ps256(key):
    return lambda signed: key.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def hs256(secret):
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def es256(key, der=False):
    def sign(signed):
        signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(signature)
        return signature if der else r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return sign


def public(key, format):
    """The public key as bytes, as an attacker may use it as the secret of an HMAC."""
    encoding = serialization.Encoding.DER if format == "der" else serialization.Encoding.PEM
    shape = (serialization.PublicFormat.PKCS1 if format == "pkcs1" else serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(encoding, shape)


class KeySet(Issuer):
    """The issuer of conftest.py with additional keys, some of which must not be used."""

    def __init__(self):
        self.more = []
        super().__init__()
        self.add_key("key-2")
        self.keys["weak"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        self.keys["encrypts"] = self.keys["other-algorithm"] = self.keys["signs-only"] = STRANGER
        self.ec = ec.generate_private_key(ec.SECP256R1())
        numbers = self.ec.public_key().public_numbers()
        self.more = [{"kty": "oct", "kid": "shared", "use": "sig", "k": base64url(SECRET)},
                     {"kty": "EC", "kid": "curve", "use": "sig", "crv": "P-256", "x": base64url(numbers.x.to_bytes(32, "big")),
                      "y": base64url(numbers.y.to_bytes(32, "big"))},
                     {"kty": "RSA", "kid": "broken", "n": "AQAB", "e": "AQAB"}, {"kty": "unknown", "kid": "unknown"}]

    def jwk(self, id):
        jwk = super().jwk(id)
        if id == "encrypts":
            jwk["use"] = "enc"
        if id == "other-algorithm":
            jwk["alg"] = "PS256"
        if id == "signs-only":
            jwk["key_ops"] = ["sign"]
        return jwk

    def answer(self, _request):
        return 200, json.dumps({"keys": self.more + [self.jwk(id) for id in self.keys]}).encode()

    def make(self, sign=None, header=None, payload=None, **claims):
        """A token that is valid except for what is given. `header` changes members, or replaces the
        header if it is not a dict; None removes a member."""
        if header is None or isinstance(header, dict):
            header = {"alg": "RS256", "typ": "JWT", "kid": "key-1", **(header or {})}
            header = {name: value for name, value in header.items() if value is not None}
        body = self.claims(**claims) if payload is None else payload
        signed = f"{unpadded(header)}.{unpadded(body)}"
        sign = sign or rs256(self.keys["key-1"])
        return f"{signed}.{base64url(sign(signed.encode()))}"


def rebuilt(issuer, change, **claims):
    """Applies change(header, payload, signature) to a valid token and returns the result."""
    return change(*issuer.make(**claims).split("."))


def flipped(text, index=10):
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1:]


def with_key(key):
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "key-1", "n": base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB"}


# The service's status for GET /v1/jobs with each token. `i` is the issuer, `away` a URL of an
# attacker.
CASES = {
    # Accepted
    "good": (lambda i, away: i.make(), 200),
    "another key of the set": (lambda i, away: i.make(rs256(i.keys["key-2"]), {"kid": "key-2"}), 200),
    "no typ": (lambda i, away: i.make(header={"typ": None}), 200),
    "typ at+jwt": (lambda i, away: i.make(header={"typ": "at+jwt"}), 200),
    "audience list": (lambda i, away: i.make(aud=["other", i.audience]), 200),
    "expired within the leeway": (lambda i, away: i.make(exp=at(-60)), 200),
    "nbf within the leeway": (lambda i, away: i.make(nbf=at(60)), 200),
    "exp with a fraction": (lambda i, away: i.make(exp=at(300.5)), 200),
    "scope list": (lambda i, away: i.make(scope=["jobs:read"]), 200),
    "scp": (lambda i, away: i.make(scope=None, scp="jobs:read"), 200),
    "other claims": (lambda i, away: i.make(roles=["admin"], nested={"a": [None, 1e300]}), 200),
    # Accepted, but not for this request
    "no scope": (lambda i, away: i.make(scope=None), 403),
    "scope of something else": (lambda i, away: i.make(scope="metrics:read"), 403),
    "scope that only begins so": (lambda i, away: i.make(scope="jobs:readable xjobs:read JOBS:READ"), 403),
    "scope that is a number": (lambda i, away: i.make(scope=7), 403),
    # alg
    "alg none, unsigned": (lambda i, away: i.make(lambda _: b"", {"alg": "none"}), 401),
    "alg none, signed": (lambda i, away: i.make(header={"alg": "none"}), 401),
    "alg None": (lambda i, away: i.make(lambda _: b"x", {"alg": "None"}), 401),
    "alg nOnE": (lambda i, away: i.make(lambda _: b"x", {"alg": "nOnE"}), 401),
    "alg empty": (lambda i, away: i.make(header={"alg": ""}), 401),
    "alg missing": (lambda i, away: i.make(header={"alg": None}), 401),
    "alg list": (lambda i, away: i.make(header={"alg": ["RS256"]}), 401),
    "alg lower case": (lambda i, away: i.make(header={"alg": "rs256"}), 401),
    "alg with NUL": (lambda i, away: i.make(header={"alg": "RS256\0"}), 401),
    "alg twice": (lambda i, away: i.make(header=b'{"alg":"none","alg":"RS256","kid":"key-1"}'), 401),
    "HS256 with the public key": (lambda i, away: i.make(hs256(public(i.keys["key-1"], "pem")), {"alg": "HS256"}), 401),
    "HS256 with the public key, PKCS 1": (lambda i, away: i.make(hs256(public(i.keys["key-1"], "pkcs1")), {"alg": "HS256"}), 401),
    "HS256 with the public key, DER": (lambda i, away: i.make(hs256(public(i.keys["key-1"], "der")), {"alg": "HS256"}), 401),
    "HS256 with the modulus": (lambda i, away: i.make(hs256(i.jwk("key-1")["n"].encode()), {"alg": "HS256"}), 401),
    "HMAC that says RS256": (lambda i, away: i.make(hs256(public(i.keys["key-1"], "pem"))), 401),
    "HS256 with a secret of the set": (lambda i, away: i.make(hs256(SECRET), {"alg": "HS256", "kid": "shared"}), 401),
    "RS256 with a secret of the set": (lambda i, away: i.make(hs256(SECRET), {"kid": "shared"}), 401),
    "RS512": (lambda i, away: i.make(rs256(i.keys["key-1"], hashes.SHA512), {"alg": "RS512"}), 401),
    "RS512 that says RS256": (lambda i, away: i.make(rs256(i.keys["key-1"], hashes.SHA512)), 401),
    "PS256": (lambda i, away: i.make(ps256(i.keys["key-1"]), {"alg": "PS256"}), 401),
    "PS256 that says RS256": (lambda i, away: i.make(ps256(i.keys["key-1"])), 401),
    "ES256": (lambda i, away: i.make(es256(i.ec), {"alg": "ES256", "kid": "curve"}), 401),
    # Keys
    "a stranger's key": (lambda i, away: i.make(rs256(STRANGER)), 401),
    "the set's other key": (lambda i, away: i.make(rs256(i.keys["key-2"])), 401),
    "kid unknown": (lambda i, away: i.make(header={"kid": "key-9"}), 401),
    "kid missing": (lambda i, away: i.make(header={"kid": None}), 401),
    "kid empty": (lambda i, away: i.make(header={"kid": ""}), 401),
    "kid number": (lambda i, away: i.make(header={"kid": 1}), 401),
    "kid path": (lambda i, away: i.make(hs256(b""), {"kid": "../../../../dev/null"}), 401),
    "kid SQL": (lambda i, away: i.make(header={"kid": "x' UNION SELECT 'key-1"}), 401),
    "kid long": (lambda i, away: i.make(header={"kid": "k" * 1000}), 401),
    "kid of 1024 bits": (lambda i, away: i.make(rs256(i.keys["weak"]), {"kid": "weak"}), 401),
    "kid for encryption": (lambda i, away: i.make(rs256(STRANGER), {"kid": "encrypts"}), 401),
    "kid for another algorithm": (lambda i, away: i.make(rs256(STRANGER), {"kid": "other-algorithm"}), 401),
    "kid for signing only": (lambda i, away: i.make(rs256(STRANGER), {"kid": "signs-only"}), 401),
    "kid of a broken key": (lambda i, away: i.make(header={"kid": "broken"}), 401),
    "key in the header": (lambda i, away: i.make(rs256(STRANGER), {"jwk": with_key(STRANGER)}), 401),
    "jku": (lambda i, away: i.make(rs256(STRANGER), {"jku": away, "kid": "stranger"}), 401),
    "x5u": (lambda i, away: i.make(rs256(STRANGER), {"x5u": away}), 401),
    "x5c": (lambda i, away: i.make(rs256(STRANGER), {"x5c": [base64.b64encode(public(STRANGER, "der")).decode()]}), 401),
    # Other headers
    "crit": (lambda i, away: i.make(header={"crit": ["exp"], "exp": 1}), 401),
    "crit empty": (lambda i, away: i.make(header={"crit": []}), 401),
    "crit b64": (lambda i, away: i.make(header={"crit": ["b64"], "b64": False}), 401),
    "typ of another token": (lambda i, away: i.make(header={"typ": "logout+jwt"}), 401),
    "typ number": (lambda i, away: i.make(header={"typ": 1}), 401),
    # Claims
    "iss other": (lambda i, away: i.make(iss="https://issuer.example"), 401),
    "iss with a slash more": (lambda i, away: i.make(iss=i.name + "/"), 401),
    "iss upper case": (lambda i, away: i.make(iss=i.name.upper()), 401),
    "iss list": (lambda i, away: i.make(iss=[i.name]), 401),
    "iss missing": (lambda i, away: i.make(iss=None), 401),
    "iss with NUL": (lambda i, away: i.make(iss=i.name + "\0x"), 401),
    "aud other": (lambda i, away: i.make(aud="other"), 401),
    "aud that only begins so": (lambda i, away: i.make(aud=i.audience + "-staging"), 401),
    "aud list without": (lambda i, away: i.make(aud=["a", "b"]), 401),
    "aud list with a number": (lambda i, away: i.make(aud=[i.audience, 1]), 401),
    "aud empty list": (lambda i, away: i.make(aud=[]), 401),
    "aud object": (lambda i, away: i.make(aud={"a": i.audience}), 401),
    "aud missing": (lambda i, away: i.make(aud=None), 401),
    "expired": (lambda i, away: i.make(exp=at(-3600)), 401),
    "exp missing": (lambda i, away: i.make(exp=None), 401),
    "exp text": (lambda i, away: i.make(exp=str(at(300))), 401),
    "exp true": (lambda i, away: i.make(exp=True), 401),
    "exp negative": (lambda i, away: i.make(exp=-1), 401),
    "exp larger than any number": (lambda i, away: i.make(payload=json.dumps(i.claims(exp=7)).replace(" 7,", " 1e999,").encode()), 401),
    "exp twice": (lambda i, away: i.make(payload=json.dumps(i.claims(exp=1)).replace("}", ', "exp": %d}' % at(300)).encode()), 401),
    "nbf in the future": (lambda i, away: i.make(nbf=at(3600)), 401),
    "nbf text": (lambda i, away: i.make(nbf="1"), 401),
    "iat in the future": (lambda i, away: i.make(iat=at(3600)), 401),
    "sub missing": (lambda i, away: i.make(sub=None), 401),
    "sub empty": (lambda i, away: i.make(sub=""), 401),
    "sub number": (lambda i, away: i.make(sub=7), 401),
    "sub with a line break": (lambda i, away: i.make(sub="alice\nadmin"), 401),
    "sub long": (lambda i, away: i.make(sub="a" * 5000), 401),
    # Form
    "claims changed": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{unpadded(i.claims(sub='root'))}.{s}"), 401),
    "header changed": (lambda i, away: rebuilt(i, lambda h, p, s: f"{unpadded({'kid': 'key-1', 'alg': 'RS256'})}.{p}.{s}"), 401),
    "signature changed": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{flipped(s)}"), 401),
    "signature cut": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s[:-8]}"), 401),
    "signature of zeros": (lambda i, away: i.make(lambda _: bytes(256)), 401),
    "signature empty": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}."), 401),
    "signature longer": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s}AAAA"), 401),
    "claims empty": (lambda i, away: i.make(payload=b""), 401),
    "claims no JSON": (lambda i, away: i.make(payload=b"alice"), 401),
    "claims list": (lambda i, away: i.make(payload=[i.name]), 401),
    "claims deep": (lambda i, away: i.make(payload=b"[" * 3000 + b"]" * 3000), 401),
    "claims not UTF-8": (lambda i, away: i.make(payload=b'{"sub": "\xff"}'), 401),
    "header list": (lambda i, away: i.make(header=["RS256"]), 401),
    "header no JSON": (lambda i, away: i.make(header=b"RS256"), 401),
    "header long": (lambda i, away: i.make(header={"x": "x" * 4000}), 401),
    "padded": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s}=="), 401),
    "base64 of the other alphabet": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s[:40]}+/{s[42:]}"), 401),
    "two parts": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}"), 401),
    "four parts": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s}.{s}"), 401),
    "five parts, as of JWE": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}.{p}.{s}.{s}.{s}"), 401),
    "dots": (lambda i, away: "..", 401),
    "a blank within": (lambda i, away: rebuilt(i, lambda h, p, s: f"{h}. {p}.{s}"), 401),
    "as JSON": (lambda i, away: json.dumps(dict(zip(("protected", "payload", "signature"), i.make().split(".")))), 401),
    "longer than all": (lambda i, away: i.make(x="x" * 20000), 401),
}


@contextlib.contextmanager
def service_of(folder, issuer, **settings):
    folder.mkdir(exist_ok=True)
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "MIN_FREE_DISK_MB": 64, "RATE_PER_MINUTE": 100000,
                               "JWT_LEEWAY_S": LEEWAY_S, **issuer.settings(), **settings}).start()
    yield service
    assert service.stop() == 0, service.log_path.read_text()[-4000:]


@pytest.fixture(scope="module")
def issuer():
    issuer = KeySet()
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def service(issuer, tmp_path_factory):
    with service_of(tmp_path_factory.mktemp("jwt"), issuer) as running:
        yield running


@pytest.fixture(scope="module")
def away():
    """An attacker's server, which must receive no request."""
    server = Server()
    yield server
    server.close()


hosts = itertools.count(2)


def ask(service, token):
    """Requests GET /v1/jobs from a new address each time, because an address that fails often is
    rate-limited."""
    number = next(hosts)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60,
                                            source_address=(f"127.9.{number >> 8}.{number & 255}", 0))
    connection.request("GET", "/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize("name", CASES)
def test_tokens(service, issuer, away, name):
    make, status = CASES[name]
    answer = ask(service, make(issuer, f"{away.url}/jwks.json"))
    if name == "longer than all":
        assert answer.status in (401, 431), answer
        return
    assert answer.status == status, answer
    if status == 401:
        assert answer.problem() == "unauthorized" and answer.headers["WWW-Authenticate"].startswith("Bearer")
    if status == 403:
        assert answer.problem() == "forbidden"


def test_after_all_that(service, issuer, away):
    assert ask(service, issuer.make()).status == 200
    assert away.requests == [], "nobody else's keys were asked for"
    assert len(issuer.requests) == service.replicas, "unknown keys are no reason to ask again and again"


def test_no_service_without_its_keys_but_for_api_keys(tmp_path):
    issuer = KeySet()
    issuer.answer = lambda _: (500, b"")
    with service_of(tmp_path / "service", issuer, API_KEY="a-key-for-tests-0123456789") as service:
        answer = ask(service, issuer.make())
        assert (answer.status, answer.problem()) == (503, "unavailable") and int(answer.headers["Retry-After"]) > 0
        assert service.get("/v1/jobs").status == 200
    issuer.close()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 1}', b"{" * 9999, b'{"keys": []}', b'{"keys": [1, "a", null, {}]}', bytes(300000)],
                         ids=["empty", "list", "number", "deep", "no keys", "no objects", "large"])
def test_key_sets_that_are_none(tmp_path, body):
    issuer = KeySet()
    issuer.answer = lambda _: (200, body)
    with service_of(tmp_path / "service", issuer) as service:
        assert ask(service, issuer.make()).status == 503
        assert service.get("/health").status == 200
    issuer.close()


def test_elliptic_curves(tmp_path, issuer):
    with service_of(tmp_path / "service", issuer, JWT_ALGORITHM="ES256") as service:
        header = {"alg": "ES256", "kid": "curve"}
        stranger = ec.generate_private_key(ec.SECP256R1())
        assert ask(service, issuer.make(es256(issuer.ec), header)).status == 200
        order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
        for wrong in (es256(issuer.ec, der=True), es256(stranger), lambda _: bytes(64), lambda _: bytes(63) + b"\1",
                      lambda _: order.to_bytes(32, "big") * 2, lambda _: bytes(32)):
            assert ask(service, issuer.make(wrong, header)).status == 401
        assert ask(service, issuer.make()).status == 401, "RS256 is not this service's"


def test_one_algorithm_of_several(tmp_path, issuer):
    with service_of(tmp_path / "service", issuer, JWT_ALGORITHM="PS256") as service:
        assert ask(service, issuer.make(ps256(STRANGER), {"alg": "PS256", "kid": "other-algorithm"})).status == 200
        assert ask(service, issuer.make()).status == 401


def test_a_new_key_of_the_issuer(tmp_path):
    """New keys of the issuer are accepted without a restart, one minute after the last fetch of the
    set (only waited for with SPLEETERD_SOAK)."""
    issuer = KeySet()
    with service_of(tmp_path / "service", issuer) as service:
        for _ in range(service.replicas):
            assert ask(service, issuer.make()).status == 200
        issuer.add_key("key-3")
        token = issuer.make(rs256(issuer.keys["key-3"]), {"kid": "key-3"})
        assert [ask(service, token).status for _ in range(20)] == [401] * 20
        assert len(issuer.requests) == service.replicas
        if os.environ.get("SPLEETERD_SOAK"):
            wait_until(lambda: ask(service, token).status == 200, timeout=120, what="the new key")
            assert len(issuer.requests) <= 2 * service.replicas
        else:
            service.stop()
            service.start()
        assert ask(service, token).status == 200 and ask(service, issuer.make()).status == 200
        del issuer.keys["key-1"], issuer.keys["key-2"]
        service.stop()
        service.start()
        assert ask(service, token).status == 200, "a key of the new set"
    issuer.close()


def test_a_silent_issuer_does_not_hold_up_the_end(serve):
    """Neither the fetch of its keys nor a sign-in that waits for a token delays the shutdown. The
    latter has a timeout of 15 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://127.0.0.1:%d/" % silent.getsockname()[1]
        service = serve(JWT_ISSUER=url, JWT_AUDIENCE="spleeterd", JWT_JWKS_URL=url, OAUTH_CLIENT_ID="page", OAUTH_AUTHORIZE_URL=url,
                        OAUTH_TOKEN_URL=url, PUBLIC_URL="http://127.0.0.1")
        browser = Client(service.port, None)
        begun = browser.get("/v1/session/oauth").headers
        state = urllib.parse.parse_qs(urllib.parse.urlsplit(begun["Location"]).query)["state"][0]
        token = ".".join(unpadded(part) for part in ({"alg": "RS256", "kid": "a"}, {"iss": url}, "AAAA"))
        waiting = [threading.Thread(target=leave_out_errors, args=[browser.get, path], kwargs=headers) for path, headers in (
            (f"/v1/session/callback?code=a&state={state}", {"Cookie": begun["Set-Cookie"].split(";")[0]}),
            ("/v1/jobs", {"Authorization": f"Bearer {token}"}))]
        asked = []
        for thread in waiting:
            thread.start()
            asked.append(silent.accept()[0])
        started = time.monotonic()
        assert service.stop() == 0 and time.monotonic() - started < 10
        for thread in waiting:
            thread.join()
        for connection in asked:
            connection.close()


def leave_out_errors(call, *arguments, **keywords):
    with contextlib.suppress(OSError, http.client.HTTPException):
        call(*arguments, **keywords)
