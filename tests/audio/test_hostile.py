# SPDX-License-Identifier: MIT
"""Invalid and malicious files, and helpers that fail: each ends soon with one clear message, and
nothing is opened or connected to."""
import contextlib
import ctypes
import errno
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from audio_tool import ARGUMENT, BUDGET, EXHAUSTED, FORMAT, HELPER, LIMIT, RATE, SAMPLE, TOOL, UNSUPPORTED, ffmpeg, make, music, tool
from processes import helpers_of, processor_time_of_children


def wav(fmt, data):
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(fmt) + 8 + len(data)) + b"WAVEfmt " + struct.pack("<I", len(fmt)) + \
        fmt + b"data" + struct.pack("<I", len(data)) + data


def pcm(channels, rate, bits=16, tag=1):
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * frame % 2**32, frame % 2**16, bits)


def refused(path, status, *texts):
    """Asserts that decoding fails with one line that contains the texts, and gives no samples.
    Returns the line."""
    done = tool("decode", path, "channels=downmix")
    message = done.stderr.decode()
    assert done.returncode == status, message
    assert done.stdout == b""
    assert message.count("\n") == 1 and message.startswith(f"{path}: ") or message.startswith(f"{path} is ")
    for text in texts:
        assert text in message
    return message


CONTENTS = {
    "empty": (b"", FORMAT, "is empty"),
    "zero byte": (b"\0", UNSUPPORTED, "not a known audio format; convert it"),
    "text": (b"Dear reader,\nthis is no song.\n" * 50, UNSUPPORTED, "not a known audio format; convert it"),
    "random": (np.random.default_rng(3).bytes(50000), UNSUPPORTED, "not a known audio format"),
    "0 Hz": (wav(pcm(2, 0), bytes(4000)), FORMAT, "damaged"),
    "1 Hz": (wav(pcm(2, 1), bytes(4000)), UNSUPPORTED, "its sample rate is 1 Hz; 1000 to 768000 Hz"),
    "4 GHz": (wav(pcm(2, 2**32 - 1), bytes(4000)), FORMAT, "damaged"),
    "0 channels": (wav(pcm(0, 44100), bytes(4000)), UNSUPPORTED, "it has 0 channels; files of 1 to 64"),
    "65535 channels": (wav(pcm(65535, 44100), bytes(1 << 18)), UNSUPPORTED, "channels; files of 1 to 64"),
    "no samples": (wav(pcm(2, 44100), b""), FORMAT, "nothing could be decoded"),
    "unknown codec": (wav(pcm(2, 44100, tag=0x7777), bytes(4000)), UNSUPPORTED, "is not supported; convert it"),
    "header without format": (b"RIFF\xff\xff\xff\x7fWAVEdata" + bytes(400), FORMAT, "damaged"),
    "web page": (b"<!DOCTYPE html><html><body>not found</body></html>", UNSUPPORTED, "not a known audio format"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content(tmp_path, name):
    content, status, text = CONTENTS[name]
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    refused(path, status, text)


@pytest.mark.parametrize("value, rate, at", ((np.nan, 44100, 1000), (np.inf, 44100, 0), (-np.inf, 44100, 4000),
                                             (np.nan, 48000, 1000)))
def test_samples_that_are_no_numbers(tmp_path, value, rate, at):
    signal = music(0.1)
    signal[at, 1] = value
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pcm(2, rate, 32, 3), signal.tobytes()))
    text = f"sample {at} (at {at / RATE:.3f} s) is not a finite number" if rate == RATE else "is not a finite number"
    refused(path, SAMPLE, text)


@pytest.mark.parametrize("offset, at", ((0, 1.5), (1, 0.5)))
def test_samples_that_are_too_large(tmp_path, offset, at):
    """The error gives the time in the file. Samples up to the size of a 32-bit integer are
    accepted."""
    signal = music(3)
    signal[1000] = 2.0**32, -(2.0**32)
    signal[int((offset + at) * RATE), 1] = -1e30
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pcm(2, RATE, 32, 3), signal.tobytes()))
    done = tool("decode", path, f"offset={offset}")
    assert done.returncode == SAMPLE and b"sample 66150 (at 1.500 s) is -1e+30, where up to 4.29497e+09" in done.stderr
    assert tool("decode", path, "duration=1").returncode == 0


def test_video_without_sound(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.2", path)
    refused(path, UNSUPPORTED, "has no audio track")


def test_picture(tmp_path):
    path = tmp_path / "a.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc", "-frames:v", 1, path)
    refused(path, UNSUPPORTED, "png", "is not accepted; convert it")


def test_mp4_that_breaks_off(tmp_path):
    path = make(tmp_path / "a.m4a", music(1))
    path.write_bytes(path.read_bytes()[:5000])
    refused(path, FORMAT, "damaged or incomplete", "moov atom not found")


def test_folder(tmp_path):
    done = tool("decode", tmp_path)
    assert done.returncode == ARGUMENT and b"not a regular file" in done.stderr


def test_long_file_in_few_bytes(tmp_path):
    """Four hours of silence are refused because of the header's length, or by counting if the
    header has no length."""
    path = tmp_path / "a.flac"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", 4 * 3600, "-c:a", "flac", path)
    content = bytearray(path.read_bytes())
    assert len(content) < 3 << 20
    start_s = processor_time_of_children()
    done = tool("decode", path, "limit=600")
    assert done.returncode == LIMIT and b"the file says that it is longer than the allowed 600 seconds" in done.stderr
    # Clears the number of samples in STREAMINFO, 36 bits.
    content[8 + 13] &= 0xf0
    content[8 + 14:8 + 18] = bytes(4)
    path.write_bytes(content)
    done = tool("decode", path, "limit=600")
    assert done.returncode == LIMIT and b"the file is longer than the allowed 600 seconds" in done.stderr
    assert processor_time_of_children() - start_s < 10


class Traps:
    """A server that must not get a connection, and a pipe that must not be opened."""

    def __init__(self, folder):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(0.2)
        self.port = self.server.getsockname()[1]
        self.fifo = folder / "secret.wav"
        os.mkfifo(self.fifo)
        self.opened = threading.Event()
        self.thread = threading.Thread(target=self.wait_for_reader, daemon=True)
        self.thread.start()

    def wait_for_reader(self):
        # Blocks until a process opens the pipe for reading.
        os.close(os.open(self.fifo, os.O_WRONLY))
        self.opened.set()

    def check_untouched(self):
        with pytest.raises(TimeoutError):
            self.server.accept()
        assert not self.opened.is_set()

    def close(self):
        os.close(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK))
        self.thread.join(5)
        self.server.close()


@pytest.fixture
def traps(tmp_path):
    made = Traps(tmp_path)
    yield made
    made.check_untouched()
    made.close()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "hls master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "m3u": "#EXTM3U\n#EXTINF:10,Song\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\na=control:{target}\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT10S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
            '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL>'
            '</Representation></AdaptationSet></Period></MPD>\n',
    "imf": '<?xml version="1.0"?>\n<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
           "<Id>urn:uuid:0</Id>{target}</CompositionPlaylist>\n",
    "smil": '<smil><body><audio src="{target}"/></body></smil>\n',
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>\n',
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\nVersion=2\n",
    "rtsp": "rtsptext\n{target}\n",
    "ffmetadata": ";FFMETADATA1\ntitle={target}\n",
    "vobsub": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n{target}\n",
}


@pytest.mark.parametrize("where", ("file", "absolute", "http", "tcp"))
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_open_nothing(tmp_path, traps, kind, where):
    target = {"file": "secret.wav", "absolute": str(traps.fifo), "http": f"http://127.0.0.1:{traps.port}/a.mp3",
              "tcp": f"tcp://127.0.0.1:{traps.port}"}[where]
    path = tmp_path / "song.mp3"
    path.write_text(PLAYLISTS[kind].format(target=target, port=traps.port))
    refused(path, UNSUPPORTED)


def replace_atom(content, path, made):
    """Replaces the QuickTime atom at `path` by the result of `made`, and corrects the sizes of the
    atoms around it."""
    at = 0
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at:at + 8])
        if name == path[0]:
            inner = content[at:at + size]
            if len(path) == 1:
                changed = made(inner)
            else:
                changed = replace_atom(inner[8:], path[1:], made)
                changed = struct.pack(">I4s", len(changed) + 8, name) + changed
            return content[:at] + changed + content[at + size:]
        at += size
    raise AssertionError(path)


def test_quicktime_reference_opens_nothing(tmp_path, traps):
    """A data reference of the type "alis" with the path of another file."""
    path = make(tmp_path / "a.mov", music(0.5), "-c:a", "pcm_s16le")
    name = str(traps.fifo).encode()

    def made(_):
        record = bytes(2 + 2 + 2) + bytes(28) + bytes(12) + bytes([1]) + b"x" + bytes(62) + bytes(16)
        record += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">HH", 0xffff, 0)
        entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
        return struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry

    content = path.read_bytes()
    path.write_bytes(replace_atom(content, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), made))
    done = tool("decode", path)
    assert done.returncode in (0, FORMAT), done.stderr


def filter_calls(number, action, flags=0):
    """Loads a seccomp filter for the program and its helper that returns `action` for the call
    `number`; with `flags`, only if the first argument has one of them."""
    program = [(0x20, 0, 0, 0), (0x15, 0, 3 if flags else 1, number)] + ([(0x20, 0, 0, 16), (0x45, 0, 1, flags)] if flags else [])
    program += [(0x06, 0, 0, action), (0x06, 0, 0, 0x7FFF0000)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(filters))
    prctl = ctypes.CDLL(None).prctl
    assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, header) == 0


def deny_namespaces():
    """Denies new namespaces, as the profiles of container engines and systemd's RestrictNamespaces
    do."""
    filter_calls({"x86_64": 56, "aarch64": 220}[platform.machine()], 0x50000 | errno.EPERM, 0x7E020000)


HELPERS = {
    "exits": ("exit 3", "exit status 3"),
    "exits at once": ("exit 0", "ended without a result"),
    "crashes": ("kill -SEGV $$", "crashed: Segmentation fault"),
    "does what is forbidden": ("kill -SYS $$", "stopped by its sandbox"),
    "is killed": ("kill -KILL $$", "was killed"),
    "reads at 0": (f"exec {sys.executable} -c 'import ctypes; ctypes.string_at(0)'", "crashed: Segmentation fault"),
    "aborts": (f"exec {sys.executable} -c 'import os; os.abort()'", "crashed: "),
    "talks nonsense": ("echo 'once upon a time there was a helper' >&3; exec sleep 100", "sent invalid data"),
}


@pytest.mark.parametrize("mode", ("decode", "encode"))
@pytest.mark.parametrize("kind", HELPERS)
def test_helper_that(tmp_path, kind, mode):
    script, text = HELPERS[kind]
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    song = make(tmp_path / "a.wav", music(0.1))
    environment = {**os.environ, "SPLEETER_CODEC": str(helper)}
    arguments = ["decode", song] if mode == "decode" else ["encode", tmp_path / "b.flac", "codec=flac"]
    # The first process of a PID namespace ignores signals that it sends to itself.
    done = tool(*arguments, env=environment, input=music(0.1).tobytes(), preexec_fn=deny_namespaces if "$$" in script else None)
    assert done.returncode == HELPER
    assert text in done.stderr.decode()


@pytest.mark.parametrize("script", ["kill -XCPU $$", "exit 75"])
def test_helper_that_takes_too_long_in_cpu(tmp_path, script):
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o700)
    done = tool("decode", make(tmp_path / "a.wav", music(0.1)), env={**os.environ, "SPLEETER_CODEC": str(helper)},
                preexec_fn=deny_namespaces)
    assert done.returncode == BUDGET and b"CPU time" in done.stderr


@pytest.mark.parametrize("mode", ("decode", "encode"))
def test_without_a_descriptor_left(tmp_path, mode):
    """Each number of descriptors gives the result or names the limit, also when the helper's own
    start fails."""
    song = make(tmp_path / "a.wav", music(0.1))
    arguments = ["decode", song] if mode == "decode" else ["encode", tmp_path / "b.flac", "codec=flac"]
    results = []
    for limit in range(4, 12):
        done = tool(*arguments, input=music(0.1).tobytes(),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        results.append(done.returncode)
        if done.returncode == EXHAUSTED:
            assert b"Too many open files; raise the limit of open files (ulimit -n" in done.stderr, done.stderr
            assert b"Bad file" not in done.stderr
    assert EXHAUSTED in results and results[-1] == 0 and set(results) <= {0, 2, 3, 4, EXHAUSTED}, results


def helper_of(pid):
    """Waits until a program has a codec helper that has entered its sandbox, and returns the
    helper's PID."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for helper in helpers_of(pid):
            with contextlib.suppress(OSError):
                if "Seccomp:\t2" in pathlib.Path(f"/proc/{helper}/status").read_text():
                    return helper
        time.sleep(0.005)
    raise AssertionError("no helper")


@pytest.fixture
def decoding(tmp_path):
    """A decoder that blocks because its output is not read. Yields (program, helper's PID)."""
    with subprocess.Popen([TOOL, "decode", make(tmp_path / "a.flac", music(30))], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        yield program, helper_of(program.pid)
        program.kill()


def test_real_helper_ends_for_cpu_time(decoding):
    program, helper = decoding
    os.kill(helper, signal.SIGXCPU)
    _, message = program.communicate(timeout=60)
    assert program.returncode == BUDGET and b"CPU time" in message


def test_helper_that_the_kernel_kills(decoding):
    """As when memory runs out."""
    program, helper = decoding
    os.kill(helper, signal.SIGKILL)
    _, message = program.communicate(timeout=60)
    assert program.returncode == HELPER and b"was killed, most likely because memory ran out" in message


def test_helper_ends_with_its_program(decoding):
    """The kernel ends the helper, even one that hangs."""
    program, helper = decoding
    os.kill(helper, signal.SIGSTOP)
    program.kill()
    deadline = time.monotonic() + 20
    while pathlib.Path(f"/proc/{helper}").exists() and " Z " not in pathlib.Path(f"/proc/{helper}/stat").read_text():
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.01)


def status_of(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


SYS_ADMIN = 1 << 21


def test_identity_of_a_real_helper(decoding):
    _, helper = decoding
    status = status_of(helper)
    assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")) and status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4 and status["Groups"].split() == []
    if int(status_of("self")["CapEff"], 16) & SYS_ADMIN:
        for name in ("pid", "net", "ipc"):
            assert os.stat(f"/proc/{helper}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino, name
        assert status["NSpid"].split()[1:] == ["1"]


def deny_landlock():
    """Simulates a kernel without Landlock."""
    filter_calls(444, 0x50000 | errno.ENOSYS)


def be_nobody():
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def be_a_service():
    """Runs like a systemd service with the filters of our unit: as another user, with EPERM for
    privileged calls."""
    be_nobody()
    # The numbers of capset.
    filter_calls({"x86_64": 126, "aarch64": 91}[platform.machine()], 0x50000 | errno.EPERM)
    deny_namespaces()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="for root")


@pytest.mark.parametrize("prepare, command", [
    (deny_namespaces, []), pytest.param(be_nobody, [], marks=needs_root), pytest.param(be_a_service, [], marks=needs_root),
    pytest.param(None, ["setpriv", "--bounding-set=-all", "--inh-caps=-all"], marks=needs_root),
    pytest.param(None, ["unshare", "--user", "--map-root-user"], marks=needs_root)],
    ids=["without namespaces", "another user", "service", "root without capabilities", "root of a user namespace"])
def test_where_less_is_allowed(tmp_path, prepare, command):
    """Decoding and encoding give the same result with fewer rights."""
    if command and (not shutil.which(command[0]) or subprocess.run([*command, "true"], check=False).returncode != 0):
        pytest.skip(f"{command[0]} does not work here")
    signal_ = music(0.5)
    song = make(tmp_path / "a.flac", signal_)
    with open(song, "rb") as file, open(tmp_path / "b.flac", "wb") as output:
        for arguments, expected in (
                (["decode", f"/proc/self/fd/{file.fileno()}"], tool("decode", song)),
                (["encode", "-", "codec=flac"], tool("encode", "-", "codec=flac", input=signal_.tobytes()))):
            done = subprocess.run([*command, TOOL, *map(str, arguments)], input=signal_.tobytes(), capture_output=True,
                                  preexec_fn=prepare, pass_fds=[file.fileno(), output.fileno()], check=False)
            assert (done.returncode, done.stdout) == (0, expected.stdout), done.stderr


def test_kernel_without_landlock(tmp_path):
    """The sandbox works without Landlock and prints a warning, unless Landlock is required."""
    song = make(tmp_path / "a.wav", music(0.1))
    done = tool("decode", song, preexec_fn=deny_landlock)
    assert done.returncode == 0 and b"warning: this kernel has no Landlock" in done.stderr
    for value, status, text in (("1", HELPER, b"no Landlock (or it is off), which SPLEETER_REQUIRE_LANDLOCK requires"), ("0", 0, b"warning"),
                                ("", 0, b"warning"), ("yes", HELPER, b"SPLEETER_REQUIRE_LANDLOCK is yes: give 0 or 1")):
        done = tool("decode", song, preexec_fn=deny_landlock, env={**os.environ, "SPLEETER_REQUIRE_LANDLOCK": value})
        assert done.returncode == status and text in done.stderr, value


def test_limits_of_a_real_helper(decoding):
    helper = pathlib.Path("/proc") / str(decoding[1])
    assert (helper / "oom_score_adj").read_text() == "1000\n", "it is not the first to be ended when memory runs out"
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (helper / "limits").read_text().splitlines()}
    assert limits["Max data size"] == [str(512 << 20)] * 2 and limits["Max stack size"] == [str(8 << 20)] * 2
    assert limits["Max open files"] == limits["Max processes"] == limits["Max core file size"] == ["0", "0"]
    assert int(limits["Max cpu time"][1]) == int(limits["Max cpu time"][0]) + 1, "SIGKILL comes before SIGXCPU"


def with_samples(content, count):
    """Returns an m4a file whose sample tables claim `count` samples of one byte."""
    tables = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    for name, data in ((b"stsz", struct.pack(">III", 0, 1, count)), (b"stts", struct.pack(">IIII", 0, 1, count, 1024)),
                       (b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1))):
        content = replace_atom(content, (*tables, name), lambda _: struct.pack(">I4s", 8 + len(data), name) + data)
    return content


@pytest.mark.parametrize("count, probe", ((20_000_000, 1), (40_000_000, 0), (2**31 - 1, 1)))
def test_index_larger_than_memory(tmp_path, count, probe):
    """A file of 4 KB whose index needs hundreds of megabytes."""
    path = make(tmp_path / "a.m4a", music(0.2), "-movflags", "+faststart")
    path.write_bytes(with_samples(path.read_bytes(), count))
    with subprocess.Popen([TOOL, "decode", path, f"probe={probe}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        message = program.stderr.read()
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode in (BUDGET, FORMAT) and message.startswith(str(path).encode())
    assert usage.ru_maxrss < (300 if probe else 560) << 10 and usage.ru_utime + usage.ru_stime < 5


def test_missing_helper(tmp_path):
    song = make(tmp_path / "a.wav", music(0.1))
    done = tool("decode", song, env={**os.environ, "SPLEETER_CODEC": "/nowhere/codec"})
    assert done.returncode == HELPER and b"/nowhere/codec, set by SPLEETER_CODEC" in done.stderr
    environment = {name: value for name, value in os.environ.items() if name != "SPLEETER_CODEC"}
    alone = tmp_path / "bin" / "tool"
    alone.parent.mkdir()
    os.link(TOOL, alone) if os.stat(TOOL).st_dev == os.stat(tmp_path).st_dev else alone.write_bytes(
        open(TOOL, "rb").read())
    alone.chmod(0o755)
    done = subprocess.run([alone, "decode", song], env=environment, capture_output=True, check=False)
    # 0 if a helper is installed on this machine.
    assert done.returncode in (0, HELPER)
    # The helper is found beside the program, and in ../libexec/spleeterd.
    for folder in (alone.parent, tmp_path / "libexec" / "spleeterd"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spleeterd-codec").symlink_to(os.environ["SPLEETER_CODEC"])
        done = subprocess.run([alone, "decode", song], env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "spleeterd-codec").unlink()


def test_helper_gets_two_descriptors_and_no_environment(tmp_path):
    """3 is the socket, 4 the file, 0 to 2 are /dev/null. The shell opens its own from 10 on."""
    report = tmp_path / "report"
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n/bin/ls -l /proc/$$/fd > {report}\n/usr/bin/env >> {report}.env\n")
    helper.chmod(0o700)
    song = make(tmp_path / "a.wav", music(0.1))
    # Without namespaces, $$ in the script is the PID in the outer /proc.
    tool("decode", song, env={**os.environ, "SPLEETER_CODEC": str(helper), "SECRET": "x"}, preexec_fn=deny_namespaces)
    open_files = dict(line.split()[-3::2] for line in report.read_text().splitlines() if "->" in line)
    assert {number for number in open_files if int(number) < 10} == {"0", "1", "2", "3", "4"}
    assert open_files["3"].startswith("socket:") and open_files["4"] == str(song)
    names = {line.partition("=")[0] for line in (tmp_path / "report.env").read_text().splitlines()}
    # Variables that shells set themselves.
    assert names <= {"PWD", "_", "OLDPWD", "SHLVL"}
