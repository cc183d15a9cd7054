# SPDX-License-Identifier: MIT
"""A network namespace in which every address is local: connections to any address, public or
private, arrive at a listener here. With a name server whose answers the test sets. Needs root on
Linux."""
import contextlib
import ctypes
import functools
import os
import pathlib
import socket
import struct
import subprocess
import threading

import pytest

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000


def unshare(flags):
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def enter(folder):
    """Moves this thread, and the programs that it starts, into a new network namespace."""
    resolv = pathlib.Path(folder) / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    unshare(CLONE_NEWNET | CLONE_NEWNS)
    for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", resolv, os.path.realpath("/etc/resolv.conf")],
                    ["ip", "link", "set", "lo", "up"], ["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"],
                    ["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"]):
        subprocess.run(command, check=True, capture_output=True)


def in_a_network_of_its_own(test):
    """Runs the test in a separate thread, because pytest must stay in its own network namespace.
    Skips the test where this is not allowed."""
    @pytest.mark.one_process("the database and S3 are not in that network")
    @functools.wraps(test)
    def run(*arguments, tmp_path, **keywords):
        outcome = []

        def body():
            try:
                enter(tmp_path)
            except (OSError, subprocess.CalledProcessError) as error:
                outcome.append(pytest.skip.Exception(f"a network of its own needs root: {error}"))
                return
            try:
                test(*arguments, tmp_path=tmp_path, **keywords)
            except BaseException as error:  # pytest's failures are not derived from Exception
                outcome.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if outcome:
            raise outcome[0]
    return run


class Sink:
    """Accepts connections to these ports of any address and records the addresses. On port 80 it
    answers plain HTTP with `answer(host)`, by default a 200."""

    def __init__(self, *ports):
        self.reached, self.answer = [], lambda host: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.listeners = []
        for port in ports:
            listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            self.listeners.append(listener)
            threading.Thread(target=self.take, args=[listener], daemon=True).start()

    def take(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    host = connection.getsockname()[0].removeprefix("::ffff:")
                    self.reached.append(host)
                    connection.settimeout(5)
                    if listener.getsockname()[1] == 80:
                        connection.recv(65536)
                        connection.sendall(self.answer(host))

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


class Names:
    """A name server on port 53 of loopback. `names` maps each name to a list of answers, each a
    list of addresses. They are used in order; the last one repeats."""

    def __init__(self):
        self.names, self.asked = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, address = self.socket.recvfrom(512)
                self.socket.sendto(self.reply(query), address)

    def reply(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, = struct.unpack_from(">H", query, at + 1)
        question, name = query[12:at + 5], ".".join(labels).lower()
        answers = self.names.get(name, [])
        addresses = answers[0] if answers else []
        if kind == 1 and answers:
            self.asked.append(name)
        # A lookup consists of two queries, A before AAAA. The answer changes between lookups.
        if kind == 28 and len(answers) > 1:
            answers.pop(0)
        family, size = {1: (socket.AF_INET, 4), 28: (socket.AF_INET6, 16)}.get(kind, (None, 0))
        records = [socket.inet_pton(family, text) for text in addresses if family and (":" in text) == (size == 16)]
        return (query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + question
                + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, size) + record for record in records))

    def close(self):
        self.socket.close()
