# SPDX-License-Identifier: MIT
"""Slow clients: each kind is cut off by its deadline or rate, without effect on others. 60 of each
kind; 500 with SPLEETERD_SOAK=1, which also checks the latency of answers to others."""
import concurrent.futures
import contextlib
import os
import socket
import time

import pytest

from conftest import KEY, wait_until, wav_bytes

SOAK = bool(os.environ.get("SPLEETERD_SOAK"))
CLIENTS = 500 if SOAK else 60
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-KEY: %s\r\nContent-Type: audio/wav\r\n" % KEY.encode()


@pytest.fixture
def strict(serve):
    return serve(HEADER_TIMEOUT_S=6, BODY_TIMEOUT_S=20, MIN_RATE_BYTES_S=4096, CONNECTIONS=2048,
                 CONNECTIONS_PER_ADDRESS=0, CONNECTIONS_PER_KEY=0, RATE_PER_MINUTE=600000)


def connect(port, receive_buffer=None):
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    return client


def health_times(service, seconds):
    """Requests /health on new connections for `seconds`; returns the sorted durations in
    seconds."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        assert service.get("/health").status == 200
        times.append(time.monotonic() - start)
        time.sleep(0.02)
    return sorted(times)


def closed(client):
    """Returns whether the peer has closed the connection."""
    client.setblocking(False)
    try:
        while piece := client.recv(65536):
            del piece
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def judge(times, kind):
    p99 = times[int(len(times) * 0.99) - 1]
    print(f"{CLIENTS} clients, {kind}: {len(times)} answers of /health, p99 {1e3 * p99:.1f} ms, slowest {1e3 * times[-1]:.1f} ms")
    assert p99 < 0.1 or not SOAK


def wait_for_close(clients, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        clients = [client for client in clients if not closed(client)]
        if not clients:
            return
        time.sleep(0.2)
    raise AssertionError(f"{len(clients)} connections are still open")


def trickle(client, piece):
    with contextlib.suppress(OSError):
        client.send(piece)


# What a client sends first, and then repeatedly.
KINDS = {
    "silent": (b"", b""),
    "slow headers": (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
    "slow body": (HEAD + b"Content-Length: 1000000\r\n\r\nRIFF", b"x"),
    "no body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b""),
}


@pytest.mark.parametrize("kinds", [[kind] for kind in KINDS] if SOAK else [list(KINDS)], ids=", ".join)
def test_slow_senders(strict, kinds):
    clients = [(connect(strict.port), *KINDS[kind]) for kind in kinds for _ in range(CLIENTS)]
    for client, first, _ in clients:
        client.sendall(first)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        times = pool.submit(health_times, strict, 4)
        for _ in range(8):
            for client, _, piece in clients:
                trickle(client, piece)
            time.sleep(0.5)
        judge(times.result(), ", ".join(kinds))
    # Headers are due 6 s after the connection; bodies may be below the minimum rate for 10 s.
    wait_for_close([client for client, *_ in clients])
    assert strict.metric("spleeter_connections_cut_total") >= len(clients)


def stem_request(job):
    return f"GET /v1/jobs/{job['id']}/stems/vocals.wav HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nConnection: close\r\n\r\n".encode()


def test_slow_readers(strict):
    job = strict.separate(wav_bytes(40))  # more than the kernel buffers
    clients = [connect(strict.port, receive_buffer=4096) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(stem_request(job))
    judge(health_times(strict, 4), "slow readers")
    wait_until(lambda: strict.metric("spleeter_connections_cut_total") >= CLIENTS, what="an end of them all")


def test_a_steady_reader_is_served(serve):
    service = serve(MIN_RATE_BYTES_S=200000)
    job = service.separate(wav_bytes(45))
    client = connect(service.port, receive_buffer=65536)
    client.sendall(stem_request(job))
    received, start = 0, time.monotonic()
    while piece := client.recv(65536):
        received += len(piece)
        time.sleep(max(0, received / 600000 - (time.monotonic() - start)))
    assert received > 45 * 44100 * 4 and time.monotonic() - start > 12
    assert service.metric("spleeter_connections_cut_total") == 0


def test_a_client_that_waits_is_not_slow(serve, busy, song):
    """Rare events are not the client's fault, because it waits for the service."""
    service = serve(MIN_RATE_BYTES_S=1000000)
    running, waiting = busy(service), service.submit(song)
    connection, response = service.open("GET", f"/v1/jobs/{waiting['id']}/events")
    time.sleep(12)  # rates are measured over 10 s
    for id in running:
        service.cancel(id)
    events = response.read().decode()
    connection.close()
    assert events.rstrip().splitlines()[-1].startswith("data: ") and '"status":"succeeded"' in events
    assert service.metric("spleeter_connections_cut_total") == 0
