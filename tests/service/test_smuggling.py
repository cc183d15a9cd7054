# SPDX-License-Identifier: MIT
"""Requests that two HTTP implementations could delimit differently. A proxy in front may forward
one as a single request; here it must never become two. Each is followed by bytes that are a request
of their own, which must never be answered.

The grammar of requests is RFC 9112; the cases are those known from research on request smuggling
(CL.TE, TE.CL, TE.TE, CL.0, obs-fold, bare LF, NUL, chunk extensions and sizes, HTTP/1.0 ...).
"""
import contextlib
import errno
import re
import socket
import time

import pytest

HIDDEN = b"GET /health?hidden HTTP/1.1\r\nHost: x\r\n\r\n"
KEY = b"X-API-KEY: a-key-for-tests-0123456789\r\n"


def post(*headers, body=b"", path=b"/v1/jobs", version=b"HTTP/1.1", host=b"Host: x\r\n"):
    return b"POST %b %b\r\n%b%b%b\r\n%b" % (path, version, host, KEY, b"".join(header + b"\r\n" for header in headers), body)


def get(*headers, path=b"/health", version=b"HTTP/1.1", host=b"Host: x\r\n"):
    return b"GET %b %b\r\n%b%b\r\n" % (path, version, host, b"".join(header + b"\r\n" for header in headers))


JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
FIVE = b"5\r\n{\"a\":\r\n3\r\n1 }\r\n" + END
LENGTH_OF_HIDDEN = b"Content-Length: %d" % len(HIDDEN)

# The statuses that the only answer may have. CLOSED: the connection may also end without an answer.
# Releases of libmicrohttpd differ in that, but each refuses, and none reads a second request.
CLOSED = 0
ERROR = (CLOSED, *range(400, 600))
CORPUS = {
    # Content-Length and Transfer-Encoding together
    "CL.TE": (post(JSON, b"Content-Length: 6", CHUNKED, body=END), (400, CLOSED)),
    "TE.CL": (post(JSON, CHUNKED, b"Content-Length: 4", body=FIVE), (400, CLOSED)),
    "CL.TE on GET": (get(b"Content-Length: 5", CHUNKED) + END, (400, CLOSED)),
    "CL 0 and TE": (post(JSON, b"Content-Length: 0", CHUNKED, body=END), (400, CLOSED)),
    # Content-Length
    "two lengths": (post(JSON, b"Content-Length: 0", LENGTH_OF_HIDDEN), (400,)),
    "two equal lengths": (post(JSON, b"Content-Length: 2", b"Content-Length: 2", body=b"{}"), (400,)),
    "length list": (post(JSON, b"Content-Length: 2, 2", body=b"{}"), ERROR),
    "length +": (post(JSON, b"Content-Length: +2", body=b"{}"), ERROR),
    "length -": (post(JSON, b"Content-Length: -1"), ERROR),
    "length hex": (post(JSON, b"Content-Length: 0x2", body=b"{}"), ERROR),
    "length empty": (post(JSON, b"Content-Length:"), ERROR),
    "length with text": (post(JSON, b"Content-Length: 2 x", body=b"{}"), ERROR),
    "length with space behind": (post(JSON, b"Content-Length: 2 ", body=b"{}"), ERROR),
    "length too large": (post(JSON, b"Content-Length: 99999999999999999999", body=b"{}"), ERROR),
    "length larger than 18 digits": (post(JSON, b"Content-Length: 1000000000000000000", body=b"{}"), (400,)),
    "length underscore": (post(JSON, b"Content_Length: %d" % len(HIDDEN)), (400,)),
    "length on GET": (get(LENGTH_OF_HIDDEN), (400,)),
    "CL.0": (post(LENGTH_OF_HIDDEN, path=b"/health"), (405,)),
    "body to a route without one": (post(LENGTH_OF_HIDDEN, path=b"/v1/jobs/01a20f13-3097-7000-815a-90e3a868afd0/cancel"), (400,)),
    "body to OPTIONS": (b"OPTIONS /v1/jobs HTTP/1.1\r\nHost: x\r\n" + LENGTH_OF_HIDDEN + b"\r\n\r\n", (400,)),
    "chunks to OPTIONS": (b"OPTIONS /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + FIVE, (400,)),
    "body to nothing": (post(LENGTH_OF_HIDDEN, path=b"/nothing"), (404,)),
    # Transfer-Encoding
    "two codings": (post(JSON, CHUNKED, b"Transfer-Encoding: identity", body=END), (400,)),
    "two chunked": (post(JSON, CHUNKED, CHUNKED, body=END), (400,)),
    "identity": (post(JSON, b"Transfer-Encoding: identity"), (400,)),
    "gzip, chunked": (post(JSON, b"Transfer-Encoding: gzip, chunked", body=END), (400,)),
    "chunked, identity": (post(JSON, b"Transfer-Encoding: chunked, identity", body=END), (400,)),
    "xchunked": (post(JSON, b"Transfer-Encoding: xchunked", body=END), (400,)),
    "quoted chunked": (post(JSON, b'Transfer-Encoding: "chunked"', body=END), (400,)),
    "chunked with tab": (post(JSON, b"Transfer-Encoding: chunked\t", body=END), (400,)),
    "chunked with vertical tab": (post(JSON, b"Transfer-Encoding: \x0bchunked", body=END), (400,)),
    "chunked in HTTP/1.0": (post(JSON, CHUNKED, body=END, version=b"HTTP/1.0"), (400,)),
    "empty coding": (post(JSON, b"Transfer-Encoding:", body=END), (400,)),
    # Names and lines
    "space before colon": (post(JSON, b"Transfer-Encoding : chunked", body=END), (400,)),
    "tab before colon": (post(JSON, b"Content-Length\t: %d" % len(HIDDEN)), (400,)),
    "space before name": (get(b" X-A: 1"), (400,)),
    "no colon": (get(b"X-A"), (400,)),
    "empty name": (get(b": 1"), (400,)),
    "folded value": (get(b"X-A: 1\r\n LENGTH: 2"), (400,)),
    "folded length": (post(JSON, b"Content-Length: 1\r\n 0", body=b"{}"), (400,)),
    "folded coding": (post(JSON, b"Transfer-Encoding:\r\n chunked", body=END), (400,)),
    "fold hides a length": (get(b"X-A: 1\r\n " + LENGTH_OF_HIDDEN), (400,)),
    "fold behind the request line": (get(host=b" X-A: 1\r\nHost: x\r\n"), (400,)),
    "tab folds": (get(b"X-A: 1\r\n\tContent-Length: 5"), (400,)),
    "NUL in a value": (get(b"X-A: 1\0Content-Length: 5"), (400,)),
    "NUL in the last value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: 1\0b\r\n\r\n", (400,)),
    "NUL in a name": (get(b"X\0-A: 1"), (400,)),
    "bare LF": (b"GET /health HTTP/1.1\nHost: x\n\n", (400,)),
    "bare LF in headers": (b"GET /health HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", (400,)),
    "bare LF hides a length": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: 1\n" + LENGTH_OF_HIDDEN + b"\r\n\r\n", (400,)),
    "bare LF at the end": (b"GET /health HTTP/1.1\r\nHost: x\r\n\n", (400,)),
    "bare CR": (get(b"X-A: 1\rContent-Length: 5"), (400,)),
    "control character": (get(b"X-A: \x01"), (400,)),
    # More than the memory of a connection
    "long cookie": (get(b"Cookie: a=" + b"b" * 40000), ERROR),
    "many cookies": (get(b"Cookie: " + b"a=b;" * 12000), ERROR),
    "many headers": (get(*[b"X-A: 1"] * 1000), (431,)),
    "long header": (get(b"X-A: " + b"b" * 70000), (431,)),
    # Host
    "two hosts": (get(b"Host: y"), (400,)),
    "no host": (get(host=b""), (400,)),
    "empty host": (get(host=b"Host:\r\n"), (400,)),
    "host with path": (get(host=b"Host: x/y\r\n"), (400,)),
    "host list": (get(host=b"Host: x, y\r\n"), (400,)),
    # The request line
    "absolute target with a user": (get(path=b"http://u@x/health"), (400,)),
    "absolute target of another scheme": (get(path=b"file://x/health"), (400,)),
    "absolute target and a body": (post(LENGTH_OF_HIDDEN, path=b"http://x/v1/jobs/01a20f13-3097-7000-815a-90e3a868afd0/cancel"), (400,)),
    "authority target": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", ERROR),
    "space in target": (get(path=b"/health /x"), ERROR),
    "NUL in target": (get(path=b"/health\0"), ERROR),
    "encoded NUL in target": (get(path=b"/health%00"), (400,)),
    "HTTP/0.9": (b"GET /health\r\n\r\n", ERROR),
    "HTTP/2 line": (get(version=b"HTTP/2.0"), ERROR),
    "HTTP/1.2": (get(version=b"HTTP/1.2"), ERROR),
    "lower case version": (get(version=b"http/1.1"), ERROR),
    "space behind version": (get(version=b"HTTP/1.1 "), ERROR),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERROR),
    # Chunks
    "chunk size with sign": (post(JSON, CHUNKED, body=b"+2\r\n{}\r\n" + END), ERROR),
    "chunk size with 0x": (post(JSON, CHUNKED, body=b"0x2\r\n{}\r\n" + END), ERROR),
    "chunk size too large": (post(JSON, CHUNKED, body=b"ffffffffffffffffff\r\n{}\r\n" + END), ERROR),
    "chunk size negative": (post(JSON, CHUNKED, body=b"-2\r\n{}\r\n" + END), ERROR),
    "chunk without size": (post(JSON, CHUNKED, body=b"\r\n{}\r\n" + END), ERROR),
    "chunk extension": (post(JSON, CHUNKED, body=b"2;a=b\r\n{}\r\n" + END), (422, 400)),
    "chunk extension with LF": (post(JSON, CHUNKED, body=b"2;\nxx\r\n{}\r\n" + END), ERROR),
    "chunk ends in LF": (post(JSON, CHUNKED, body=b"2\n{}\n0\n\n"), ERROR),
    "chunk longer than its size": (post(JSON, CHUNKED, body=b"2\r\n{}xx\r\n" + END), ERROR),
    "trailer with a length": (post(JSON, CHUNKED, body=b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"), (422,)),
    "trailer with a coding": (post(JSON, CHUNKED, body=b"2\r\n{}\r\n0\r\nTransfer-Encoding: x\r\n\r\n"), (422,)),
    # Well-formed bodies, after which the connection is closed all the same.
    "body with length": (post(JSON, b"Content-Length: 2", body=b"{}"), (422,)),
    "body in chunks": (post(JSON, CHUNKED, body=b"2\r\n{}\r\n" + END), (422,)),
    "expected body": (post(JSON, b"Content-Length: 2", b"Expect: 100-continue", body=b"{}"), (422,)),
    "upgrade to HTTP/2": (post(JSON, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__",
                               b"Content-Length: 2", body=b"{}"), (422,)),
}


@contextlib.contextmanager
def closed_early():
    """Suppresses the errors of a peer that has closed the connection."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
            raise


def talk(port, *parts):
    """Sends the parts as packets of their own, and returns all that is received until the peer
    closes, which it may do before it has read all."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closed_early():
            for number, part in enumerate(parts):
                time.sleep(0.0005 * (number > 0))  # so that the peer can read what came before
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
        with closed_early():
            while piece := connection.recv(65536):
                received += piece
    return received


def statuses(received):
    found = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
    return [status for status in found if status != 100]


@pytest.fixture(scope="module")
def port(request, tmp_path_factory):
    from conftest import KEY as key, Service, free_port

    folder = tmp_path_factory.mktemp("smuggling")
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": key, "MIN_FREE_DISK_MB": 64,
                               "RATE_PER_MINUTE": 60000}).start()
    yield service.port
    assert service.stop() == 0


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_is_smuggled(port, name):
    request, allowed = CORPUS[name]
    received = talk(port, request + HIDDEN)
    answers = statuses(received) or [CLOSED]
    assert len(answers) == 1 and answers[0] in allowed, received
    assert b"hidden" not in received


def test_plain_requests_share_a_connection(port):
    """The corpus would also pass with a server that closes after every request. This one does
    not."""
    received = talk(port, get() + get(b"X-A: 1", b"X-B:  2 ") + get(path=b"/ready") + get(b"Connection: close") + HIDDEN)
    assert statuses(received) == [200, 200, 200, 200], received


def test_other_forms_of_plain_requests(port):
    """A target with a host (RFC 9112, section 3.2.2), and values with white space at their end."""
    received = talk(port, get(KEY[:-2] + b" \t", path=b"/v1/jobs") + get(path=b"http://x:80/health") + get(b"Connection: close ") + HIDDEN)
    assert statuses(received) == [200, 200, 200], received


def test_bytes_that_come_one_by_one(port):
    """The division of a request into packets has no effect."""
    for request, allowed in ((get(b"X-A: 1"), [200]), (get(b"X-A: 1\r\n " + LENGTH_OF_HIDDEN), [400]),
                             (post(JSON, CHUNKED, body=b"2\r\n{}\r\n" + END), [422])):
        received = talk(port, *(request[i:i + 1] for i in range(len(request))))
        assert statuses(received) == allowed, received
