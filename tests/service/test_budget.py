# SPDX-License-Identifier: MIT
"""What a running job writes is counted where it is written: a file that holds more than it announces
takes no more of the disk than its owner may store."""
import contextlib
import os
import pathlib
import sqlite3
import time

import pytest

from conftest import music, wait_until, wav, wav_bytes

MIB = 1 << 20


def held(service):
    """The bytes of all files that the service has open in its data folders, also unnamed ones, but
    for its database."""
    files = {}
    for process in service.processes:
        with contextlib.suppress(OSError):
            for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    path = os.readlink(link)
                    if "/jobs.db" not in path and any(path.startswith(f"{data}/") for data in service.data_folders):
                        state = link.stat()
                        files[state.st_dev, state.st_ino] = state.st_size
    return sum(files.values())


def end_of(service, id):
    """Waits for the end of the job. Returns (job, the most bytes held meanwhile)."""
    most = 0
    deadline = time.monotonic() + 300
    while (job := service.job(id))["status"] not in ("succeeded", "failed", "canceled"):
        most = max(most, held(service))
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job, most


@pytest.mark.parametrize("channels, mixes, options", [
    (1, 20, {"bit_depth": "float"}), (1, 8, {"codec": "mp3", "bitrate": "320k"}), (8, 20, {"keep_format": True}),
], ids=["stems", "helpers", "spools"])
def test_a_file_that_holds_more_than_it_announces(serve, understated, channels, mixes, options):
    """The quota ends the job while it runs, once: a retry would write as much again."""
    service = serve(STORAGE_PER_KEY_MB=16)
    file = {"content": understated(8000, channels), "name": "song.flac", "type": "audio/flac"}
    stems = ["vocals", "accompaniment"]
    mixes = {f"mix{n}": stems[:1 + n % 2] for n in range(mixes)}
    job, most = end_of(service, service.submit(**file, options={**options, "mixes": mixes, "duration": 70})["id"])
    assert job["status"] == "failed" and job["error"]["code"] == "quota-exceeded", job
    assert "delete jobs" in job["error"]["detail"]
    assert most < 17 * MIB
    assert not service.log("job.retried")
    wait_until(lambda: service.files("blobs") == [], what="cleaning up")
    assert service.separate(**file, options={"duration": 2}), "the storage is free again"


def test_a_file_that_is_longer_than_it_announces(serve, understated):
    service = serve(MAX_DURATION_S=60)
    job, most = end_of(service, service.submit(understated(8000, 1), name="song.flac", type="audio/flac")["id"])
    assert job["status"] == "failed" and job["error"]["code"] == "too-long", job
    assert most < 2 * 61 * 44100 * 4 + MIB


@pytest.mark.one_process("the disk of one process")
def test_a_job_that_does_not_fit_on_the_disk_lets_others_run(serve, small_disk, understated):
    """It waits without writing anything, however often it was claimed. Its header may be wrong."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=1)
    content = bytearray(understated(8000, 1))
    at = len(b"fLaC") + 4 + 13
    content[at:at + 5] = (content[at] << 32 | 8000 * 1000).to_bytes(5, "big")
    job = service.submit(bytes(content), name="song.flac", type="audio/flac")["id"]
    wait_until(lambda: service.log("job.retried"), what="an attempt")
    assert service.log("job.retried")[0]["error"] == "storage-full"
    assert service.separate(wav_bytes(1))
    service.stop()
    with contextlib.closing(sqlite3.connect(service.data / "jobs.db")) as database:
        database.execute("UPDATE jobs SET fence = 1000, attempts = 2, available_ms = 0 WHERE id = ?", (job,))
        database.commit()
    service.start()
    wait_until(lambda: any(line["attempt"] == 3 for line in service.log("job.retried")), what="another attempt")
    assert service.job(job)["status"] == "queued"
    assert service.cancel(job).status == 202


def test_temporary_files_count(serve):
    """64 channels at 1,000 Hz are small, but are separated at 44,100 Hz."""
    service = serve(STORAGE_PER_KEY_MB=64)
    samples = music(8, rate=1000, channels=64)
    content = wav.header(samples.nbytes, 1000, 64, 32, wav.FLOAT) + samples.tobytes()
    answer = service.post("/v1/jobs", {"options": {"keep_format": True}}, file=content)
    assert (answer.status, answer.problem()) == (429, "quota-exceeded")
    assert answer.json()["setting"] == "SPLEETER_STORAGE_PER_KEY_MB"
    assert service.post("/v1/jobs", {"options": {"keep_format": True, "duration": 0.5}}, file=content).status == 202


@pytest.mark.one_process("a database in a file")
def test_rows_of_the_database_count(serve):
    """A job with as much text as can be takes no more of the database than it counts, also when it has expired."""
    service = serve()
    mixes = {f"mix{n:02}" + "x" * 43: ["vocals", "accompaniment"] for n in range(64)}
    fields = {"options": {"mixes": mixes, "duration": 0.1}, "metadata": {"text": "x" * 16000},
              "webhook_url": f"https://example.com/{'x' * 2000}"}
    headers = {"Idempotency-Key": "x" * 255}
    content = wav_bytes(0.5)
    job = service.submit(content, headers=headers, **fields)
    again = service.post("/v1/jobs", fields, headers=headers, file=content)
    assert again.headers["Idempotency-Replayed"] and (again.json()["options"], again.json()["metadata"]) == (job["options"], job["metadata"])

    def check(status, row_bytes):
        wait_until(lambda: service.job(job["id"])["status"] == status, timeout=120, what=status)
        with contextlib.closing(sqlite3.connect(service.data / "jobs.db")) as database:
            texts = {table: [sum(len(str(value)) for value in row) for row in database.execute(f"SELECT * FROM {table}")]
                     for table in ("jobs", "outputs", "idempotency")}
            counted, = database.execute("SELECT sum(stored_bytes) - (SELECT coalesce(sum(bytes), 0) FROM outputs) FROM jobs").fetchone()
        assert sum(texts["jobs"] + texts["outputs"]) < row_bytes * len(texts["jobs"]) + counted < 400_000, texts
        assert max(texts["idempotency"]) < 4096

    check("succeeded", 24576)
    headers = {"Idempotency-Key": "y" * 255}
    job = service.submit(content, headers=headers, **fields)
    assert job["reused"] and service.post("/v1/jobs", fields, headers=headers, file=content).json() == job
    check("succeeded", 24576)
    with contextlib.closing(sqlite3.connect(service.data / "jobs.db", timeout=60)) as database, database:
        database.execute("UPDATE jobs SET expires_ms = ?", [int(time.time() * 1000)])
    check("expired", 8192)
