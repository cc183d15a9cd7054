# SPDX-License-Identifier: MIT
"""Ports for the servers that tests start."""
import contextlib
import random
import socket

# Below Linux's range of ephemeral ports: an outgoing connection could take a port of that range
# before the server listens on it.
LOWEST, END, RANGE = 10000, 32768, 128


def ports():
    """Yields each port once, in random order. A process owns a range of ports until it ends, so
    parallel tests never get the same port."""
    claims = []
    for lowest in random.SystemRandom().sample(range(LOWEST, END - RANGE, RANGE), (END - RANGE - LOWEST) // RANGE):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            claim.bind(f"\0spleeterd-test-ports-{lowest}")
            claims.append(claim)
            yield from random.SystemRandom().sample(range(lowest, lowest + RANGE), RANGE)


untried = ports()


def free_port():
    """Returns a port that nothing listens on. Each call returns a different one, so several can be
    requested before their servers start."""
    for port in untried:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
    raise OSError("no port is free")
