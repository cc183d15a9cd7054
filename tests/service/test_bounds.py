# SPDX-License-Identifier: MIT
"""What one file can cost the service: no decoder or encoder holds a job longer than its cancel, its time limit or the drain allow."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import wait_until, wav_bytes

SOON_S = 10  # generous: it takes about a second


def helpers_of(pid):
    """The codec helpers of a process."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, fields = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            if name == "spleeterd-codec" and int(fields.split()[1]) == pid:
                found.append(int(folder.name))
    return found


def hang(service, id, count):
    """Stops the helpers of the one job that runs, as if they hung, once there are as many."""
    service.wait(id, "running")
    stopped = wait_until(lambda: (lambda found: len(found) == count and found)(helpers_of(service.process.pid)), what="helpers")
    for helper in stopped:
        os.kill(helper, signal.SIGSTOP)
    return stopped


@pytest.fixture(scope="module")
def song():
    return wav_bytes(60)


@pytest.mark.one_process("helpers are those of one process")
def test_helpers_that_hang_end_with_the_job(serve, song):
    """One service, a job after the other; the decoder alone, or with two encoders."""
    service = serve(JOB_TIMEOUT_S=3)

    def ends(options, count, act, status, **fields):
        id = service.submit(song, options=options)["id"]
        stopped = hang(service, id, count)
        start_s = time.monotonic()
        act(id)
        job = service.wait(id)
        assert job["status"] == status, job
        assert time.monotonic() - start_s < SOON_S
        assert not any(pathlib.Path(f"/proc/{helper}").exists() for helper in stopped)
        return job

    ends({"codec": "wav"}, 1, service.cancel, "canceled")
    ends({"codec": "flac"}, 3, service.cancel, "canceled")
    assert ends({"codec": "flac"}, 3, lambda id: None, "failed")["error"]["code"] == "job-timeout"


@pytest.mark.one_process("helpers are those of one process")
def test_helpers_that_hang_do_not_hold_up_the_end(serve, song):
    service = serve()
    hang(service, service.submit(song)["id"], 1)
    start_s = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - start_s < SOON_S


def test_cancel_in_silence(service, tmp_path):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "7000", tmp_path / "a.flac"],
                   check=True)
    id = service.submit((tmp_path / "a.flac").read_bytes(), name="a.flac", type="audio/flac")["id"]
    service.wait(id, "running")
    start_s = time.monotonic()
    service.cancel(id)
    assert service.wait(id)["status"] == "canceled"
    assert time.monotonic() - start_s < SOON_S
