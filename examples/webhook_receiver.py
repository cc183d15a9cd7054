#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A receiver of spleeterd's webhooks that uses only Python's standard library.

    export SPLEETER_WEBHOOK_SECRET=$(curl -s -H "X-API-KEY: $KEY" $SERVICE/v1/webhooks/secret | jq -r .secret)
    python3 examples/webhook_receiver.py 9000

It verifies each webhook according to the Standard Webhooks specification
(https://www.standardwebhooks.com) and prints the event and its job. A production receiver runs
behind TLS, responds at once, does its work later, and stores the ids it has received, because a
webhook may arrive more than once.
"""
import base64
import binascii
import collections
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

TOLERANCE_S = 300
BODY_MAX_BYTES = 1 << 20


def is_genuine(secret, headers, body, now):
    """Returns whether `body` (raw bytes) was recently signed with `secret` ("whsec_...")."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        identifier, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split(" ")
        recent = abs(now - int(timestamp)) <= TOLERANCE_S
    except (AttributeError, TypeError, ValueError, binascii.Error):
        return False  # a header is missing or malformed
    signed = f"{identifier}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return recent and any(hmac.compare_digest(expected.encode(), given.encode()) for given in signatures)


class Receiver(http.server.BaseHTTPRequestHandler):
    secret = ""
    seen = collections.deque(maxlen=10_000)

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.secret, self.headers, body, time.time()):
            return self.answer(401)
        if self.headers["webhook-id"] not in self.seen:
            self.seen.append(self.headers["webhook-id"])
            event = json.loads(body)
            print(event["type"], event["data"]["id"], flush=True)
        return self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Suppresses the request log; only job events are printed."""


def main():
    Receiver.secret = os.environ.get("SPLEETER_WEBHOOK_SECRET", "")
    if len(sys.argv) != 2 or not Receiver.secret:
        sys.exit("usage: SPLEETER_WEBHOOK_SECRET=whsec_... webhook_receiver.py PORT")
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()


if __name__ == "__main__":
    main()
