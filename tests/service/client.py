# SPDX-License-Identifier: MIT
"""A minimal HTTP client that exposes the raw answers."""
import http.client
import json
import secrets
import socket
import time


class Answer:
    """A complete answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """Returns the code of the problem. The answer must be a well-formed problem+json."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status and problem["title"] and problem["type"].endswith(problem["code"])
        assert problem["request_id"] == self.headers["X-Request-Id"]
        return problem["code"]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


def form(fields, file=None, name="song.wav", type="audio/wav"):
    """Returns (body, content type) of a multipart form; `file` is the content of its part
    "file"."""
    boundary = secrets.token_hex(16)
    parts = []
    for field, value in fields.items():
        if not isinstance(value, str):
            value = json.dumps(value)
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode())
    if file is not None:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                     f"Content-Type: {type}\r\n\r\n".encode() + file + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


class Client:
    """Sends requests to a service on loopback with one key, each on its own connection."""

    def __init__(self, port, key):
        self.port, self.key = port, key

    def open(self, method, path, body=None, headers=None, timeout=300):
        """Returns (connection, response); the body has not been read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if self.key and "X-API-KEY" not in headers and "Authorization" not in headers:
            headers["X-API-KEY"] = self.key
        connection.request(method, path, body=body, headers=headers)
        return connection, connection.getresponse()

    def request(self, method, path, body=None, headers=None, timeout=300):
        connection, response = self.open(method, path, body, headers, timeout)
        try:
            return Answer(response)
        finally:
            connection.close()

    def stall(self, path, **headers):
        """Requests a file, and reads no more of the answer than its status and what comes with it.
        Returns (socket, bytes read, the request's id)."""
        id = secrets.token_hex(16)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(300)
        client.connect(("127.0.0.1", self.port))
        headers = {"X-API-KEY": self.key, "X-Request-Id": id, "X-Spleeterd-Page": "1", "Connection": "close",
                   **{name.replace("_", "-"): value for name, value in headers.items()}}
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items() if value)]
        client.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        start = client.recv(1000)
        assert start.startswith(b"HTTP/1.1 20"), start
        return client, start, id

    def get(self, path, **headers):
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def delete(self, path):
        return self.request("DELETE", path)

    def post(self, path, fields, headers=None, **file):
        body, type = form(fields, **file)
        return self.request("POST", path, body, {"Content-Type": type, **(headers or {})})

    def post_json(self, path, value, headers=None):
        return self.request("POST", path, json.dumps(value), {"Content-Type": "application/json", **(headers or {})})

    def submit(self, content, headers=None, name="song.wav", type="audio/wav", **fields):
        """Creates a job, which must succeed, and returns its JSON."""
        answer = self.post("/v1/jobs", fields, headers=headers, file=content, name=name, type=type)
        assert answer.status == 202, answer
        return answer.json()

    def job(self, id):
        answer = self.get(f"/v1/jobs/{id}")
        assert answer.status == 200, answer
        return answer.json()

    def wait(self, id, *states, timeout=300):
        """Waits until the job reaches one of `states` (default: any end) and returns it."""
        states = states or ("succeeded", "failed", "canceled", "expired")
        deadline = time.monotonic() + timeout
        while True:
            job = self.job(id)
            if job["status"] in states:
                return job
            assert time.monotonic() < deadline, job
            assert job["status"] not in ("succeeded", "failed", "canceled", "expired"), job
            time.sleep(0.05)

    def cancel(self, id):
        return self.request("POST", f"/v1/jobs/{id}/cancel")

    def separate(self, content, **fields):
        """Creates a job, waits until it has succeeded, and returns it."""
        job = self.wait(self.submit(content, **fields)["id"])
        assert job["status"] == "succeeded", job
        return job

    def stem(self, id, file, **headers):
        return self.get(f"/v1/jobs/{id}/stems/{file}", **headers)
