# SPDX-License-Identifier: MIT
"""The codec helper for arm64 decodes and encodes, and its seccomp filter allows exactly the system
calls that it needs.

The emulator has no seccomp. Instead, load_filter.c makes the helper write out the filter that it
would load, the emulator logs the system calls that the helper makes afterwards, and this test
applies the filter to each of them. The emulator does not support Landlock and memory limits either;
the tests on amd64 cover them with the same code.
"""

import os
import re
import struct
import subprocess
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
SONG = os.path.join(REPOSITORY, "tests/golden/data/mix.flac")
SYSROOT, BUILD = os.environ["SPLEETERD_SYSROOT"], os.environ["SPLEETERD_ARM64"]
TOOL = os.path.join(os.environ["SPLEETERD_BUILD"], "tests/audio/codec_tool")
AMD64_HELPER = os.path.join(os.environ["SPLEETERD_BUILD"], "spleeterd-codec")

AUDIT_ARCH_AARCH64, AUDIT_ARCH_X86_64 = 0xC00000B7, 0xC000003E
ALLOW, KILL, DENY = 0x7FFF0000, 0x80000000, 0x00050000 | 13  # SECCOMP_RET_ERRNO with EACCES
MSG_NOSIGNAL = 0x4000
CHANNEL, FILE = 3, 4  # descriptors, see src/app/audio/codec_protocol.h

SYMBOLS = {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "MAP_PRIVATE": 2, "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20}


def call_numbers():
    with open(os.path.join(SYSROOT, "usr/include/asm-generic/unistd.h"), encoding="ascii") as file:
        return {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", file.read())}


NUMBERS = call_numbers()


def verdict(program, name, *arguments, arch=AUDIT_ARCH_AARCH64):
    """Returns the result of a filter in classic BPF for a system call."""
    data = struct.pack("<iIQ6Q", NUMBERS[name], arch, 0, *(a & 0xFFFFFFFFFFFFFFFF for a in arguments),
                       *[0] * (6 - len(arguments)))
    accumulator = at = 0
    while True:
        code, if_true, if_false, k = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x06:  # return
            return k
        if code == 0x20:  # load
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif code == 0x54:  # and
            accumulator &= k
        elif code == 0x05:  # jump
            at += k
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k, 0x45: accumulator & k != 0}[code]
            at += if_true if holds else if_false


def number(text):
    """Parses an argument from the emulator's log: a number, flags, or something that no rule
    checks."""
    if re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", text):
        return int(text, 0)
    return sum(SYMBOLS.get(flag, 0) for flag in text.split("|"))


def calls(log):
    """Returns (name, arguments) of the calls after the filter was written, from lines such as `12
    close(3) = 0`."""
    lines = [re.match(r"\d+ (\w+)\(([^)]*)\)", line) for line in log.splitlines()]
    listed = [(line[1], [number(a) for a in line[2].split(",")][:6]) for line in lines if line]
    last = max(index for index, (name, arguments) in enumerate(listed) if name == "write" and arguments[0] == 1)
    return listed[last + 1:]


@pytest.fixture(scope="module")
def filter_file(tmp_path_factory):
    """Builds load_filter.c and returns its path."""
    library = str(tmp_path_factory.mktemp("library") / "load_filter.so")
    subprocess.run(["aarch64-linux-gnu-gcc", f"--sysroot={SYSROOT}", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
                    "-o", library, os.path.join(HERE, "load_filter.c"), "-lseccomp"], check=True)
    return library


@pytest.fixture
def helper(tmp_path, filter_file):
    """Returns a function that runs codec_tool with the helper for arm64 and returns its output, its
    filter, and the calls that it made under the filter."""
    def run(*arguments, **options):
        pipes = {name: str(tmp_path / name) for name in ("filter", "log")}
        read = {}
        for pipe in pipes.values():
            os.mkfifo(pipe)

        def drain(name):
            with open(pipes[name], "rb") as file:
                read[name] = file.read()

        readers = [threading.Thread(target=drain, args=[name], daemon=True) for name in pipes]
        for reader in readers:
            reader.start()
        script = tmp_path / "helper"
        script.write_text(f"#!/bin/sh\nexec qemu-aarch64 -strace -L {SYSROOT} -E LD_PRELOAD={filter_file}"
                          f" {BUILD}/spleeterd-codec \"$@\" >{pipes['filter']} 2>{pipes['log']}\n")
        script.chmod(0o755)
        output = tool(script, *arguments, **options)
        for name, reader in zip(pipes, readers):
            reader.join(20)
            os.unlink(pipes[name])
        return output, read["filter"], calls(read["log"].decode(errors="replace"))
    return run


def tool(codec, *arguments, **options):
    return subprocess.run([TOOL, *map(str, arguments)], env={**os.environ, "SPLEETER_CODEC": str(codec)}, check=True,
                          stdout=subprocess.PIPE, timeout=120, **options).stdout


def check_calls(program, made):
    assert len(made) >= 5
    print("arm64: calls in the sandbox:", ", ".join(sorted({name for name, _ in made})))
    for name, arguments in made:
        assert verdict(program, name, *arguments) in (ALLOW, DENY), f"{name}{tuple(arguments)} ends the helper"


def check_filter(program):
    """Checks the rules that decoding and encoding share."""
    anonymous, shared = SYMBOLS["MAP_ANONYMOUS"] | 2, 1
    for call in [("brk",), ("munmap",), ("futex",), ("exit_group",),
                 ("sendto", CHANNEL, 0, 0, MSG_NOSIGNAL), ("recvfrom", CHANNEL),
                 ("mmap", 0, 4096, 3, anonymous, -1), ("mprotect", 0, 4096, 3), ("getrandom",), ("sysinfo",)]:
        assert verdict(program, *call) == ALLOW, call
        assert verdict(program, *call, arch=AUDIT_ARCH_X86_64) == KILL, call
    assert verdict(program, "openat") == verdict(program, "write", 1) == DENY
    for call in [("sendto", CHANNEL + 2, 0, 0, MSG_NOSIGNAL), ("sendto", CHANNEL), ("sendto", CHANNEL, 0, 0, MSG_NOSIGNAL, 4096), ("recvfrom", FILE), ("read", FILE),
                 ("mmap", 0, 4096, 5, anonymous, -1), ("mmap", 0, 4096, 3, shared, FILE), ("mprotect", 0, 4096, 4), ("mprotect", 0, 4096, 1),
                 ("pwrite64", FILE), ("dup",), ("socket",), ("connect",), ("clone",), ("clone3",), ("execve",),
                 ("openat2",), ("unlinkat",), ("ptrace",), ("kill",), ("ioctl",), ("prctl",), ("seccomp",), ("io_uring_setup",),
                 ("process_vm_readv",), ("memfd_create",), ("bpf",), ("sendmsg", CHANNEL)]:
        assert verdict(program, *call) == KILL, call


def test_decode(helper):
    samples, program, made = helper("decode", SONG, "duration=3")
    assert samples == tool(AMD64_HELPER, "decode", SONG, "duration=3")
    assert len(samples) == 3 * 44100 * 2 * 4
    check_calls(program, made)
    check_filter(program)
    assert verdict(program, "pread64", FILE) == ALLOW
    for call in [("pread64", FILE + 1), ("lseek", FILE)]:
        assert verdict(program, *call) == KILL, call
    assert verdict(program, "write", FILE) == DENY


@pytest.mark.parametrize("codec", ["flac", "mp3", "m4a", "opus"])
def test_encode(helper, tmp_path, codec):
    samples = tool(AMD64_HELPER, "decode", SONG, "duration=3")
    song = tmp_path / f"song.{codec}"
    _, program, made = helper("encode", song, f"codec={codec}", input=samples)
    decoded = tool(AMD64_HELPER, "decode", song)
    assert decoded == samples if codec == "flac" else abs(len(decoded) - len(samples)) < 8 * 4096
    check_calls(program, made)
    check_filter(program)
    assert verdict(program, "write", FILE) == ALLOW and verdict(program, "lseek", FILE) == ALLOW
    assert verdict(program, "pread64", FILE) == KILL
    assert verdict(program, "write", FILE + 1) == DENY
