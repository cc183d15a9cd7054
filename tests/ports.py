# SPDX-License-Identifier: MIT
"""Ports for the servers that tests start."""
import contextlib
import random
import socket

# Below the ports that Linux gives to outgoing connections, any of which could take one before its server listens.
LOWEST, END, RANGE = 10000, 32768, 128


def ports():
    """Each port once, in random order. A range belongs to one process until that ends, so that tests which run side by side never draw the same."""
    claims = []
    for lowest in random.SystemRandom().sample(range(LOWEST, END - RANGE, RANGE), (END - RANGE - LOWEST) // RANGE):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            claim.bind(f"\0spleeterd-test-ports-{lowest}")
            claims.append(claim)
            yield from random.SystemRandom().sample(range(lowest, lowest + RANGE), RANGE)


untried = ports()


def free_port():
    """A port that nothing listens on; never the same one twice, so that several can be drawn before their servers start."""
    for port in untried:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
    raise OSError("no port is free")
