# SPDX-License-Identifier: MIT
"""The cost of one file is bounded. No decoder or encoder holds a job longer than its cancel, its
time limit or the drain allows, and running out of memory ends the helper, not the service."""
import concurrent.futures
import contextlib
import ctypes
import os
import pathlib
import signal
import struct
import subprocess
import time

import pytest

from conftest import KEY, PROGRAM, environment, free_port, music, wait_until, wav, wav_bytes
from processes import helpers_of

SOON_S = 10  # generous: it takes about a second


def hang(service, id, count):
    """Waits for `count` helpers of the one running job and stops them, as if they hung."""
    service.wait(id, "running")
    stopped = wait_until(lambda: (lambda found: len(found) == count and found)(helpers_of(service.process.pid)), what="helpers")
    for helper in stopped:
        os.kill(helper, signal.SIGSTOP)
    return stopped


@pytest.fixture
def submit(endless):
    """submit(service, codec) submits a job that outlives the test and returns its id."""
    def start(service, codec):
        return service.submit(endless.content, name="endless.flac", type="audio/flac", options={"codec": codec, "duration": 6000})["id"]

    return start


@pytest.mark.one_process("helpers are those of one process")
def test_helpers_that_hang_end_with_the_job(serve, submit):
    """With the decoder alone or with two encoders."""
    timeout_s = 8  # the helpers must start before

    def ends(service, codec, count, act, status, limit_s=SOON_S):
        id = submit(service, codec)
        stopped = hang(service, id, count)
        start_s = time.monotonic()
        act(id)
        job = service.wait(id)
        assert job["status"] == status, job
        assert time.monotonic() - start_s < limit_s
        assert not any(pathlib.Path(f"/proc/{helper}").exists() for helper in stopped)
        return job

    service, impatient = serve(), serve(JOB_TIMEOUT_S=timeout_s)
    ends(service, "wav", 1, service.cancel, "canceled")
    ends(service, "flac", 3, service.cancel, "canceled")
    assert ends(impatient, "flac", 3, lambda id: None, "failed", timeout_s + SOON_S)["error"]["code"] == "job-timeout"


@pytest.mark.one_process("helpers are those of one process")
def test_helpers_that_hang_do_not_hold_up_the_end(serve, submit):
    service = serve()
    hang(service, submit(service, "wav"), 1)
    start_s = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - start_s < SOON_S


def make_audio(path, source, seconds):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-t", str(seconds), path], check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def tedious(tmp_path_factory):
    """(name, content, type) of files that keep the service busy. One is silence. In the middle of
    the other, the decoder searches long for the next Ogg page."""
    folder = tmp_path_factory.mktemp("tedious")
    silence = make_audio(folder / "silence.flac", "anullsrc=r=8000:cl=mono", 7000)
    song = make_audio(folder / "song.ogg", "aevalsrc=0.25:s=44100", 20)
    return [("silence.flac", silence, "audio/flac"),
            ("spin.ogg", song[:len(song) // 2] + b"OggS" * (8 << 20) + song[len(song) // 2:], "audio/ogg")]


def test_a_tedious_file_holds_up_neither_cancel_nor_end(serve, tedious):
    service = serve()

    def start(name, content, type, **options):
        id = service.submit(content, name=name, type=type, options=options)["id"]
        service.wait(id, "running")
        return id

    for file in tedious:
        id = start(*file)
        start_s = time.monotonic()
        service.cancel(id)
        assert service.wait(id)["status"] == "canceled"
        assert time.monotonic() - start_s < SOON_S
    for file in tedious:
        start(*file, offset=0.5)
        start_s = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - start_s < SOON_S
        service.start()
        service.cancel(service.get("/v1/jobs").json()["jobs"][0]["id"])


# --------------------------------------------------------------------------- memory


@pytest.mark.one_process("helpers are those of one process")
@pytest.mark.parametrize("codec, count", [("wav", 1), ("flac", 3)])
def test_killed_helper_fails_the_job(serve, submit, codec, count):
    """Simulates the kernel's out-of-memory killer. The job reports it and counts as retryable."""
    service = serve(ATTEMPTS=1)
    id = submit(service, codec)
    for helper in hang(service, id, count)[-1:]:
        os.kill(helper, signal.SIGKILL)
    job = service.wait(id)
    assert (job["status"], job["error"]["code"]) == ("failed", "codec-failed") and "memory" in job["error"]["detail"], job
    assert service.separate(wav_bytes(1))["status"] == "succeeded", "the worker goes on"


@contextlib.contextmanager
def memory_cgroup(name, limit_bytes):
    """Makes a cgroup with a memory limit and yields its cgroup.procs file."""
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
    folder = pathlib.Path("/sys/fs/cgroup", *([] if v2 else ["memory"]), name)
    try:
        folder.mkdir()
        try:
            (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit_bytes))
            yield folder / "cgroup.procs"
        finally:
            wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="an empty cgroup")
            folder.rmdir()
    except OSError as error:
        pytest.skip(f"no cgroup of memory can be made here: {error}")


def claiming_samples(count):
    """4 kB of m4a whose index takes the decoder 24 bytes for each of `count` samples."""
    def box(name, *parts):
        content = b"".join(parts)
        return struct.pack(">I4s", 8 + len(content), name) + content

    stsd = box(b"stsd", struct.pack(">II", 0, 1), box(b"mp4a", bytes(6) + struct.pack(">H8xHHIHHxx", 1, 2, 16, 0, 44100, 0)[:28]))
    stbl = box(b"stbl", stsd, box(b"stts", struct.pack(">IIII", 0, 1, count, 1024)), box(b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1)),
               box(b"stsz", struct.pack(">III", 0, 1, count)), box(b"stco", struct.pack(">III", 0, 1, 32)))
    minf = box(b"minf", box(b"smhd", bytes(8)), stbl)
    mdhd = box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 44100, 44100, 0x55C4, 0))
    hdlr = box(b"hdlr", bytes(8), b"soun", bytes(13))
    trak = box(b"trak", box(b"tkhd", struct.pack(">IIII", 7, 0, 0, 1) + bytes(68)), box(b"mdia", mdhd, hdlr, minf))
    mvhd = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 1000) + bytes(80))
    return box(b"ftyp", b"M4A \0\0\0\0M4A ") + box(b"moov", mvhd, trak) + box(b"mdat", bytes(3000))


@pytest.mark.one_process("its memory is that of one process")
def test_memory_that_runs_out_ends_the_helper(serve):
    """Several concurrent probes, in a cgroup with memory for one of them."""
    with memory_cgroup(f"spleeterd-test-{os.getpid()}", 200 << 20) as procs:
        service = serve()
        procs.write_text(str(service.process.pid))
        content = claiming_samples(8_000_000)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: service.post("/v1/jobs", {}, file=content, name="a.m4a", type="audio/mp4"), range(8)))
        assert all((answer.status, answer.problem()) == (422, "unreadable-audio") for answer in answers), answers
        assert service.separate(wav_bytes(1))["status"] == "succeeded"
        assert service.stop() == 0


# -------------------------------------------------------------------------- samples


def float_wav(seconds, at_s, value):
    samples = music(seconds).astype("<f4")
    samples[int(at_s * 44100), 0] = value
    return wav.header(samples.nbytes, 44100, 2, 32, wav.FLOAT) + samples.tobytes()


@pytest.mark.parametrize("value", [3e38, float("nan")])
def test_sample_out_of_range(service, value):
    """An invalid sample at the beginning is refused at submission. A later one fails the job
    without a retry."""
    answer = service.post("/v1/jobs", {}, file=float_wav(1, 0.01, value))
    assert (answer.status, answer.problem()) == (422, "unreadable-audio") and "(at 0.010 s)" in answer.json()["detail"]
    job = service.wait(service.submit(float_wav(30, 20, value))["id"])
    assert (job["status"], job["error"]["code"], job["attempts"]) == ("failed", "sample-out-of-range", 1)
    assert "sample 882000 (at 20.000 s)" in job["error"]["detail"]


# -------------------------------------------------------------------------- sandbox


def deny_landlock():
    """Simulates a kernel without Landlock by a seccomp filter."""
    program = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7FFF0000)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    prctl = ctypes.CDLL(None).prctl
    assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, struct.pack("HxxxxxxP", len(program), ctypes.addressof(filters))) == 0


@pytest.mark.parametrize("how", [{"REQUIRE_LANDLOCK": 1}, {}], ids=["variable", "flag"])
def test_required_landlock(tmp_path, how):
    done = subprocess.run([PROGRAM, "serve", *([] if how else ["--require-landlock", "1"])], capture_output=True, timeout=60, text=True,
                          preexec_fn=deny_landlock, env=environment(DATA_DIR=tmp_path / "data", PORT=free_port(), API_KEY=KEY, **how))
    assert done.returncode != 0 and "no Landlock (or it is off), which SPLEETER_REQUIRE_LANDLOCK requires" in done.stderr
