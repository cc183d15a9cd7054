# SPDX-License-Identifier: MIT
"""Ports for the servers that tests start."""
import contextlib
import random
import socket

LOWEST, END = 10000, 32768  # below the ports that Linux gives to outgoing connections, any of which could take one before its server listens

untried = iter(random.SystemRandom().sample(range(LOWEST, END), END - LOWEST))


def free_port():
    """A port that nothing listens on; never the same one twice, so that several can be drawn before their servers start."""
    for port in untried:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
    raise OSError("no port is free")
