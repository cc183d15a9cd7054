# SPDX-License-Identifier: MIT
"""`spleeterd keys` and `spleeterd webhooks verify`, and the sample receiver of webhooks."""
import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time

import pytest

from conftest import REPOSITORY

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"type": "job.succeeded", "timestamp": "2026-01-01T00:00:00.000Z", "data": {"id": "0190"}}'


@pytest.fixture
def keys(spleeterd, tmp_path):
    def run(*arguments, **keywords):
        return spleeterd("keys", *arguments, env={"SPLEETER_DATA_DIR": str(tmp_path / "data")}, **keywords)

    return run


def test_a_key_is_shown_once_and_kept_as_hash(keys, tmp_path):
    key = keys("add", "app").out.strip()
    assert re.fullmatch(r"spl_[\w-]{43}", key)
    stored = tmp_path / "data" / "keys.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    (entry,) = json.loads(stored.read_text())["keys"]
    assert entry["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert key[4:] not in stored.read_text() and key[4:] not in keys("list").out


def test_keys_have_roles_and_quotas(keys):
    keys("add", "app", "--role", "reader", "--of", "default", "--rate-per-minute", "10", "--jobs-per-key", "2",
         "--storage-per-key-mb", "100", "--priority", "-3")
    keys("add", "prometheus", "--role", "metrics")
    app, prometheus = keys("list").out.splitlines()
    assert re.match(r"app +reader +\d{4}-", app)
    assert "of default" in app and "10 requests a minute" in app and "2 jobs" in app and "104857600 bytes" in app and "priority -3" in app
    assert re.match(r"prometheus +metrics +\d{4}-", prometheus)
    as_json = json.loads(keys("list", "--json").out)
    assert as_json[0].pop("created") in app and as_json[0] == {
        "name": "app", "role": "reader", "of": "default", "of_revoked": False, "rate_per_minute": 10, "jobs": 2, "storage_bytes": 104857600, "priority": -3}
    assert as_json[1]["name"] == "prometheus" and as_json[1]["jobs"] is None and "of" not in as_json[1]
    keys("add", "one", "--rate-per-minute", "1", "--jobs-per-key", "1")
    assert "  1 request a minute  1 job" in keys("list").out


def test_a_rotated_key_is_the_same_client(keys, tmp_path):
    first = keys("add", "app", "--priority", "2").out
    before = keys("list").out.split()
    second = keys("rotate", "app").out
    (entry,) = json.loads((tmp_path / "data/keys.json").read_text())["keys"]
    assert first != second and entry["sha256"] == hashlib.sha256(second.strip().encode()).hexdigest()
    assert keys("list").out.split()[0:2] == before[0:2] and "priority 2" in keys("list").out
    assert "no key named other" in keys("rotate", "other", code=3).err


def test_a_revoked_key_is_invalid(keys):
    keys("add", "one"), keys("add", "two"), keys("revoke", "one")
    assert keys("list").out.split()[0] == "two"
    assert "no key named one" in keys("revoke", "one", code=3).err


@pytest.mark.parametrize("arguments", [
    ("add",), ("add", "a", "b"), ("add", "a/b"), ("add", ""), ("add", "default"), ("add", "x" * 49), ("add", "a", "--role", "root"),
    ("add", "a", "--role", "reader"), ("add", "a", "--of", "default"), ("rotate",), ("add", "a", "--priority", "11"), ("add", "a", "--jobs-per-key", "0"), ("add", "a", "--rate-per-minute", "ten"),
    ("add", "a", "--storage-per-key-mb", "-1"), ("revoke",), ("list", "a"), ("remove", "a"), (),
])
def test_wrong_arguments_change_nothing(keys, tmp_path, arguments):
    keys(*arguments, code=2)
    assert not (tmp_path / "data" / "keys.json").exists()


def test_a_name_is_taken_once(keys):
    keys("add", "app")
    assert "already a key named app" in keys("add", "app", code=2).err
    assert len(keys("list").out.splitlines()) == 1


def test_a_damaged_file_is_left_alone(keys, tmp_path):
    (tmp_path / "data").mkdir()
    stored = tmp_path / "data" / "keys.json"
    stored.write_text('{"version": 1, "keys": [{}]}')
    assert "keys.json: key 1" in keys("add", "app", code=3).err
    assert stored.read_text() == '{"version": 1, "keys": [{}]}'


def sign(body=BODY, identifier="0190-1", when=None, secret=SECRET):
    """Returns the three headers, computed by Python."""
    timestamp = str(int(time.time() if when is None else when))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": identifier, "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(mac).decode()}


@pytest.fixture
def verify(spleeterd):
    def run(headers, body=BODY, secret=SECRET, **keywords):
        arguments = [part for name, value in headers.items() for part in ("--" + name.removeprefix("webhook-"), value)]
        return spleeterd("webhooks", "verify", *arguments, stdin=body, env={"SPLEETER_WEBHOOK_SECRET": secret}, **keywords)

    return run


def test_webhooks_are_verified(verify):
    verify(sign())
    verify(sign(b""), b"")
    several = sign()
    several["webhook-signature"] = "v1,AAAA " + several["webhook-signature"]
    verify(several)


def test_forged_webhooks_are_refused(verify):
    assert "signature is wrong" in verify(sign(), BODY + b" ", code=4).err
    assert "signature is wrong" in verify(sign(), secret="whsec_" + "A" * 32, code=4).err
    assert "signature is wrong" in verify({**sign(), "webhook-id": "0190-2"}, code=4).err
    assert "away from this clock" in verify(sign(when=time.time() - 400), code=4).err
    verify({"webhook-id": "1"}, code=2)
    verify(sign(), secret="guess", code=2)


def test_the_secret_may_be_in_a_file(spleeterd, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    headers = sign()
    spleeterd("webhooks", "verify", "--id", headers["webhook-id"], "--timestamp", headers["webhook-timestamp"],
              "--signature", headers["webhook-signature"], "--secret-file", "secret", stdin=BODY)


@pytest.fixture
def receiver():
    """Runs the sample receiver on a free port. Yields a function that returns the status of a
    request."""
    sys.path.insert(0, str(REPOSITORY / "examples"))
    import webhook_receiver
    import http.server
    import threading

    webhook_receiver.Receiver.secret = SECRET
    webhook_receiver.Receiver.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), webhook_receiver.Receiver)
    threading.Thread(target=server.serve_forever).start()

    def post(headers, body=BODY):
        connection = http.client.HTTPConnection(*server.server_address, timeout=20)
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status

    yield post
    server.shutdown()
    server.server_close()
    sys.path.pop(0)


def test_the_sample_receiver_verifies(receiver, capsys):
    headers = sign()
    assert receiver(headers) == 204
    assert receiver(headers) == 204
    # The second delivery is ignored.
    assert capsys.readouterr().out == "job.succeeded 0190\n"
    assert receiver({}) == 401
    assert receiver(headers, BODY + b" ") == 401
    assert receiver(sign(when=time.time() - 400)) == 401
    assert receiver({**headers, "webhook-timestamp": "soon"}) == 401
    assert receiver({**headers, "Content-Length": str(2 << 20)}, b"") == 413


def test_the_sample_receiver_needs_a_secret():
    done = subprocess.run([sys.executable, REPOSITORY / "examples/webhook_receiver.py", "9000"], capture_output=True,
                          text=True, env={k: v for k, v in os.environ.items() if k != "SPLEETER_WEBHOOK_SECRET"})
    assert done.returncode != 0 and "usage" in done.stderr
