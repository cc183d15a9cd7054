# SPDX-License-Identifier: MIT
"""Operation of the service: start, drain, reload, kill, a full disk, TLS."""
import contextlib
import http.client
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import time

import pytest

from client import Client
from conftest import KEY, PROGRAM, REPOSITORY, environment, free_port, wait_until, wav_bytes


def refuses_to_start(folder, *flags, **settings):
    done = subprocess.run([PROGRAM, "serve", *flags], capture_output=True, text=True, timeout=60,
                          env=environment(DATA_DIR=folder / "data", PORT=free_port(), **settings))
    assert done.returncode not in (0, -signal.SIGSEGV), done
    return done.stderr


# ---------------------------------------------------------------------------- start


def test_no_start_without_authentication(tmp_path):
    assert "SPLEETER_API_KEY" in refuses_to_start(tmp_path)
    assert "loopback" in refuses_to_start(tmp_path, ENV="development", BIND="0.0.0.0")


def test_development_goes_without(serve, song):
    service = serve(ENV="development", API_KEY=None)
    assert Client(service.port, None).get("/v1/jobs").status == 200
    assert service.separate(song)["status"] == "succeeded"


def test_plain_http_on_a_network_is_reported(serve):
    """The warning appears neither on loopback nor where a proxy terminates TLS."""
    def warned(**settings):
        service = serve(**settings)
        found = bool(service.log("service.plain_http"))
        service.stop()
        return found

    assert warned(BIND="0.0.0.0")
    assert not warned() and not warned(BIND="0.0.0.0", TRUSTED_PROXIES="10.0.0.0/8") and not warned(BIND="0.0.0.0", PUBLIC_URL="https://stems.example")


@contextlib.contextmanager
def activated(folder, listening, **settings):
    """Starts the service on `listening` as systemd does. Yields the process, whose standard error is
    a pipe."""
    listening.listen()
    number = listening.fileno()
    process = subprocess.Popen(["bash", "-c", f'exec 3<&{number}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve', PROGRAM], pass_fds=(number,),
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(DATA_DIR=folder, **settings))
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=120)


def test_a_socket_of_systemd_on_a_network(tmp_path):
    """Its address counts, not SPLEETER_BIND: development refuses it, and production reports it and
    warns of plain HTTP."""
    with socket.create_server(("0.0.0.0", 0)) as listening, activated(tmp_path, listening, ENV="development") as process:
        assert "socket listens on 0.0.0.0" in process.communicate(timeout=60)[1] and process.returncode == 2
    with socket.create_server(("0.0.0.0", 0)) as listening, activated(tmp_path, listening, API_KEY=KEY) as process:
        started = json.loads(next(line for line in process.stderr if "service.started" in line))
        assert started["url"] == f"http://0.0.0.0:{listening.getsockname()[1]}"
        assert any("service.plain_http" in line for line in iter(process.stderr.readline, ""))


@pytest.mark.parametrize("family, url", [(socket.AF_INET, "http://127.0.0.1:"), (socket.AF_UNIX, "a Unix socket")])
def test_a_socket_of_systemd_on_this_machine(tmp_path, family, url):
    with socket.socket(family) as listening:
        listening.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        with activated(tmp_path / "data", listening, ENV="development") as process:
            assert json.loads(next(line for line in process.stderr if "service.started" in line))["url"].startswith(url)


def test_keys_that_others_may_write(service):
    """The service does not start if others may write its keys; it warns if others may read them."""
    service.add_key("bob")
    for data in service.data_folders:
        if (data / "keys.json").exists():
            (data / "keys.json").chmod(0o644)
    service.stop()
    service.start()
    wait_until(lambda: service.log("keys.open"), what="a warning")
    service.stop()
    (service.data / "keys.json").chmod(0o666)
    assert "chmod go-w" in refuses_to_start(service.folder, API_KEY=KEY)
    (service.data / "keys.json").chmod(0o600)
    service.start()


def test_a_wrong_setting(tmp_path):
    assert "SPLEETER_WORKERS" in refuses_to_start(tmp_path, API_KEY=KEY, WORKERS="many")


def test_help_lists_the_settings():
    done = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True)
    assert "--max-file-size-mb" in done.stdout and "SPLEETER_" not in done.stderr


def test_one_process_a_folder(service, tmp_path):
    assert str(service.data) in refuses_to_start(service.folder, API_KEY=KEY)
    assert service.get("/ready").status == 200


def test_a_port_that_is_taken(service, tmp_path):
    settings = {**service.settings, "DATA_DIR": tmp_path / "other"}
    done = subprocess.run([PROGRAM, "serve"], env=environment(**settings), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and str(settings["PORT"]) in done.stderr


def test_a_key_from_a_file(serve, tmp_path):
    (tmp_path / "key").write_text("a-key-in-a-file-0123456789\n")
    service = serve(API_KEY=None, API_KEY_FILE=tmp_path / "key")
    assert Client(service.port, "a-key-in-a-file-0123456789").get("/v1/jobs").status == 200


# ---------------------------------------------------------------------------- drain


def test_sigterm_lets_a_running_job_end(serve, long_song):
    service = serve(DRAIN_S=600)
    job = service.submit(long_song)
    service.wait(job["id"], "running")
    assert service.stop(timeout=600) == 0
    service.start()
    assert service.wait(job["id"])["status"] == "succeeded" and service.job(job["id"])["attempts"] == 1


def test_what_does_not_end_in_time_is_queued_again(serve, endless, song):
    service = serve(DRAIN_S=1)
    first, second = endless(service), service.submit(song)
    service.wait(first["id"], "running")
    assert service.stop() == 0
    service.start()
    job = service.wait(first["id"], "running")
    assert job["attempts"] == 1, "the drain used up an attempt"
    service.cancel(first["id"])
    assert service.wait(second["id"])["status"] == "succeeded"


@pytest.mark.one_process("replicas that run no jobs have nothing to wait for")
def test_while_it_drains(serve, endless):
    service = serve(DRAIN_S=20)
    job = endless(service)
    service.wait(job["id"], "running")
    service.send_signal(signal.SIGTERM)
    wait_until(lambda: service.get("/ready").status == 503, what="a service that is not ready")
    service.send_signal(signal.SIGHUP)  # as log rotation does at any time
    assert service.get("/health").status == 200
    assert service.get(f"/v1/jobs/{job['id']}").status == 200
    answer = service.post("/v1/jobs", {}, file=wav_bytes(1))
    assert (answer.status, answer.problem()) == (503, "draining")
    service.cancel(job["id"])
    assert service.exit_code() == 0


class SilentLog:
    """A pipe for the log that nobody reads; once it is full, every thread that logs hangs."""

    def __init__(self, folder):
        self.path = folder / "log-pipe"
        os.mkfifo(self.path)
        self.ends = [os.open(self.path, flags | os.O_NONBLOCK) for flags in (os.O_RDONLY, os.O_WRONLY)]

    def fill(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.ends[1], b" ")

    def empty(self):
        with contextlib.suppress(BlockingIOError):
            while os.read(self.ends[0], 1 << 16):
                pass

    def close(self):
        for end in self.ends:
            os.close(end)


def test_sigterm_ends_a_start_that_hangs(serve, tmp_path):
    log = SilentLog(tmp_path)
    log.fill()
    service = serve(wait=False, LOG_FILE=log.path, NO_SETTING="logged first")
    wait_until(lambda: all(len(os.listdir(f"/proc/{process.pid}/task")) == 2 for process in service.processes),
               what="a start that hangs")
    started = time.monotonic()
    assert service.stop() == -signal.SIGTERM
    assert time.monotonic() - started < 10
    log.close()


@pytest.mark.one_process("a log of its own")
def test_a_job_claimed_while_the_service_starts_is_given_back(serve, endless, tmp_path):
    """The start hangs after the workers have started: it logs that descriptors are few."""
    service = serve()
    job = endless(service)["id"]
    assert service.stop() == 0
    log = SilentLog(tmp_path)
    log.fill()
    process = subprocess.Popen([PROGRAM, "serve"], env=environment(**{**service.settings, "LOG_FILE": log.path}), stdout=subprocess.DEVNULL,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
    service.processes = [process]

    def state():
        with contextlib.closing(sqlite3.connect(service.data / "jobs.db", timeout=60)) as database:
            return database.execute("SELECT state, attempts FROM jobs WHERE id = ?", [job]).fetchone()  # 0: queued, 1: running

    wait_until(lambda: state()[0] == 1, what="a claimed job")
    assert service.get_or_none("/health") is None, "the start does not hang"
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: log.empty() or process.poll() is not None, what="the end")
    assert process.returncode == 0
    assert state() == (0, 0), "the claim used up an attempt"
    log.close()
    service.start()
    service.wait(job, "running")


@pytest.mark.one_process("a log of its own")
def test_a_stop_that_hangs_has_a_deadline(serve, tmp_path):
    log = SilentLog(tmp_path)
    service = serve(LOG_FILE=log.path)
    log.fill()
    assert service.stop() == 7
    log.close()


def test_events_end_when_it_drains(service, endless):
    job = endless(service)
    connection, response = service.open("GET", f"/v1/jobs/{job['id']}/events")
    response.readline()
    assert service.stop() == 0
    with contextlib.suppress(OSError):
        response.read()
    connection.close()


def test_sighup_opens_the_log_anew(serve, tmp_path):
    log = tmp_path / "service.log"
    service = serve(LOG_FILE=log)
    log.rename(tmp_path / "service.log.1")
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and log.read_text().count("service.reloaded") == len(service.processes), what="a new log")
    service.get("/v1/models", X_Request_Id="after-rotation")
    wait_until(lambda: "after-rotation" in log.read_text(), what="a line in the new log")
    assert "after-rotation" not in (tmp_path / "service.log.1").read_text()


# ----------------------------------------------------------------------------- kill


def test_kill_loses_nothing_that_was_acknowledged(service):
    jobs = [service.submit(wav_bytes(30), options={"duration": 20 + n}) for n in range(3)]
    service.wait(jobs[0]["id"], "running", "succeeded")  # the others have not started
    service.kill()
    service.start()
    for job in jobs:
        done = service.wait(job["id"])
        assert done["status"] == "succeeded"
        for output in done["outputs"]:
            assert len(service.stem(job["id"], output["file"]).body) == output["bytes"]
    kept = {name.split("/")[1] for name in service.files("blobs")}
    assert kept == {job["id"] for job in jobs} and service.leftovers() == []


def test_an_upload_that_a_kill_cut_off_leaves_nothing(service, song):
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(f"POST /v1/jobs?filename=a.wav HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Type: audio/wav\r\n"
                       f"Content-Length: {len(song)}\r\n\r\n".encode() + song[:-1])
        wait_until(lambda: service.files("incoming"), what="an upload on the disk")
        service.kill()
    service.start()
    assert service.files("incoming") == [] and service.get("/v1/jobs").json()["jobs"] == []


# ----------------------------------------------------------------- lost and restored


@pytest.mark.one_process("a database in a file")
def test_a_lost_database_costs_no_file(service, song):
    """Without its database the service does not start. With an older copy it quarantines the files
    of jobs that are not in it, and restores them when the newer database is back."""
    old = service.separate(song)
    service.stop()
    (service.folder / "old.db").write_bytes((service.data / "jobs.db").read_bytes())
    service.start()
    new = service.separate(song, stems="vocals")
    before = service.files("blobs")
    service.stop()
    newest = (service.data / "jobs.db").read_bytes()
    for content in (None, b""):
        (service.data / "jobs.db").unlink()
        if content is not None:
            (service.data / "jobs.db").write_bytes(content)
        done = subprocess.run([PROGRAM, "serve"], capture_output=True, text=True, timeout=60, env=environment(**service.settings))
        assert done.returncode not in (0, -signal.SIGSEGV) and "jobs.db" in done.stderr and "backup" in done.stderr, done
        assert service.files("blobs") == before
        (service.data / "jobs.db").write_bytes(newest)

    (service.data / "jobs.db").write_bytes((service.folder / "old.db").read_bytes())
    service.start()
    assert service.stem(old["id"], "vocals.wav").status == 200
    assert service.get(f"/v1/jobs/{new['id']}").status == 404
    assert f"blobs/quarantine/{new['id']}/vocals.wav" in service.files("blobs")
    assert service.log("jobs.quarantined")[0]["count"] == 1
    service.stop()
    (service.data / "jobs.db").write_bytes(newest)
    service.start()
    assert service.stem(new["id"], "vocals.wav").status == 200 and service.files("blobs") == before


def make_foreign(path, kind):
    """An entry that is no regular file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        (path / "inner").mkdir(parents=True)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path.symlink_to(path)


@pytest.mark.one_process("the files of one process")
def test_a_start_among_foreign_entries(service, song):
    """The service starts, works and stops with foreign entries of any kind in DATA_DIR, also under names like its own."""
    job = service.separate(song)["id"]
    service.stop()
    for i, kind in enumerate(("folder", "fifo", "socket", "loop"), 1):
        unknown = f"0195d7a0-0000-7000-8000-00000000000{i}"
        for name in (f"blobs/{unknown}", f"blobs/{job}/x.wav.{i}.part", f"blobs/{job}/a\n{i}.1.part", f"blobs/a\n{i}",
                     f"blobs/quarantine/{unknown}", f"blobs/quarantine/{i}", f"incoming/{i}", f"incoming/a\n{i}",
                     f"audit/0000001{i}.jsonl", f"audit/a\n{i}", f"models/{i}", f"a\n{i}"):
            make_foreign(service.data / name, kind)
    service.start()
    assert service.log("blobs.left")
    assert service.stem(job, "vocals.wav").status == 200
    assert service.separate(song, options={"duration": 1})["status"] == "succeeded"


def test_a_model_damaged_while_the_service_runs(serve, song, tmp_path, monkeypatch):
    """While the model is damaged, uploads are refused rather than accepted and failed later."""
    folder = tmp_path / "models/spleeter-2stems"
    shutil.copytree(REPOSITORY / "models/spleeter-2stems", folder)
    monkeypatch.setenv("SPLEETER_MODEL_PATH", str(folder.parent))
    service = serve(WORKERS=1)
    net = folder / "vocals.safetensors"
    whole = net.read_bytes()
    for damaged in whole[:-1] + bytes([whole[-1] ^ 1]), whole[:1000], None:
        net.unlink()
        if damaged:
            net.write_bytes(damaged)
        answer = service.post("/v1/jobs", {}, file=song)
        assert (answer.status, answer.problem(), answer.json()["field"]) == (503, "unavailable", "model")
        assert answer.headers["Retry-After"] and service.log("job.model_refused")
        net.write_bytes(whole)
    assert service.separate(song)["status"] == "succeeded"


# ------------------------------------------------------------------------ full disk


def fill(folder, leave=0):
    """Fills the disk except for `leave` bytes; returns the file that does it."""
    path = pathlib.Path(folder) / "filler"
    state = os.statvfs(folder)
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        left = state.f_bavail * state.f_frsize - leave
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 16)))
    return path


def fill_up(path):
    """Fills the space that was freed since."""
    with open(path, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_and_after(serve, small_disk, song):
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=8)
    assert service.separate(song)["status"] == "succeeded"
    filler = fill(small_disk, leave=4 << 20)
    answer = service.post("/v1/jobs", {"stems": "vocals"}, file=song)
    assert (answer.status, answer.problem()) == (507, "storage-full")
    assert service.get("/health").status == 200
    wait_until(lambda: service.get("/ready").status == 503, what="a service that is not ready")
    wait_until(lambda: service.leftovers() == [], what="cleaning up")
    filler.unlink()
    wait_until(lambda: service.get("/ready").status == 200, what="a service that is ready again")
    assert service.separate(song, stems="vocals")["status"] == "succeeded"


class Uploads:
    """Uploads of 2 MiB of zeros each that are open at the same time."""

    BYTES, PIECE = 2 << 20, 1 << 16

    def __init__(self, service, count, kind):
        self.folder = service.settings["DATA_DIR"]
        self.chunked, self.answers, self.least_free = kind == "chunked", [], 1 << 60
        type, before, self.after = "audio/wav", "", ""
        if kind == "form":
            type, self.after = "multipart/form-data; boundary=B", "\r\n--B--\r\n"
            before = '--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(before) + self.BYTES + len(self.after)}"
        head = f"POST /v1/jobs?filename=a.wav HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Type: {type}\r\n{framing}\r\n\r\n{before}"
        self.open = [socket.create_connection(("127.0.0.1", service.port), 60) for _ in range(count)]
        self.send_to_all(head.encode())

    def send_to_all(self, data):
        for upload in self.open:
            with contextlib.suppress(ConnectionError):
                upload.sendall(data)

    def poll(self):
        """Receives the answers and measures the free space. Returns the number of answers."""
        state = os.statvfs(self.folder)
        self.least_free = min(self.least_free, state.f_bavail * state.f_frsize)
        for upload in select.select(self.open, [], [], 0)[0]:
            self.answers.append(upload.recv(4096).decode())
            self.open.remove(upload)
            upload.close()
        return len(self.answers)

    def send(self):
        """Sends all bytes, a piece of each upload in turn."""
        piece = bytes(self.PIECE)
        if self.chunked:
            piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        for _ in range(self.BYTES // self.PIECE):
            self.send_to_all(piece)
            self.poll()
        self.send_to_all(b"0\r\n\r\n" if self.chunked else self.after.encode())


@pytest.mark.one_process("the account of the disk is that of one process")
@pytest.mark.parametrize("kind", ["chunked", "announced", "form"])
def test_concurrent_uploads_share_the_disk(serve, small_disk, kind):
    """Together they do not go below the minimum."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=16)
    uploads = Uploads(service, 24, kind)
    uploads.send()
    wait_until(lambda: uploads.poll() == 24, what="answers")
    assert uploads.least_free >= 16 << 20
    assert any("storage-full" in answer for answer in uploads.answers)
    assert all(" 507 " in answer or " 415 " in answer for answer in uploads.answers), uploads.answers
    wait_until(lambda: service.leftovers() == [], what="cleaning up")
    assert service.post("/v1/jobs", {}, file=wav_bytes(1)).status == 202


def test_a_disk_that_fills_to_the_last_byte(serve, small_disk):
    """Without a reserve, every write may fail: uploads, outputs, database and audit log."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=0)
    content = wav_bytes(15)
    filler = fill(small_disk)
    for _ in range(3):
        answer = service.post("/v1/jobs", {}, file=content)
        assert (answer.status, answer.problem()) == (507, "storage-full")
        assert service.get("/health").status == 200
    wait_until(lambda: service.leftovers() == [], what="cleaning up")
    filler.unlink()
    job = None

    def accepted():
        nonlocal job
        answer = service.post("/v1/jobs", {}, file=content)
        job = answer.json() if answer.status == 202 else None
        return job

    wait_until(accepted, what="recovery")
    assert service.wait(job["id"])["status"] == "succeeded"


@pytest.mark.one_process("stems come from S3 through a cache on that disk")
def test_strangers_do_not_fill_a_disk(serve, small_disk, song):
    """Requests without a key do not fill the disk. On a full disk, stems can be read and deleted,
    also after a restart, when the audit log has no space at all."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=0)
    job, other = (service.separate(song, stems=stem)["id"] for stem in ("vocals", "accompaniment"))
    free = os.statvfs(small_disk).f_bavail
    for _ in range(400):
        assert Client(service.port, None).get("/v1/jobs").status == 401
    assert os.statvfs(small_disk).f_bavail >= free - 8
    fill(small_disk, leave=-(1 << 20))  # until nothing can be written
    assert service.stem(job, "vocals.wav").status == 200
    assert not service.log("audit.failed"), "there was space for the line"
    service.kill()
    (small_disk / "filler").unlink()
    fill(small_disk, leave=-(1 << 20))
    service.start()
    assert service.stem(job, "vocals.wav").status == 200
    assert service.log("audit.failed")
    fill(small_disk, leave=-(1 << 20))
    assert service.delete(f"/v1/jobs/{other}").status == 204
    (small_disk / "filler").unlink()
    wait_until(lambda: service.post_json(f"/v1/jobs/{job}/links", {"file": "vocals.wav"}).status == 201, what="a log that goes on")
    assert service.log("audit.recovered")


@pytest.mark.one_process("a database in a file")
def test_a_full_disk_heals(serve, small_disk, song):
    """Other programs fill the disk. All that frees space still works, and so does a start."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=1, RETENTION_S=3600)
    kept, deleted = (service.separate(song, options={"duration": 1 + n / 4})["id"] for n in range(2))
    service.stop()
    service.settings["RETENTION_S"] = 2
    service.start()
    expiring = service.separate(song, stems="vocals")["id"]
    filler = fill(small_disk)
    assert service.get("/health").status == 200
    wait_until(lambda: service.get("/ready").status == 503, what="a service that says so")
    answer = service.post("/v1/jobs", {}, file=song)
    assert (answer.status, answer.problem()) == (507, "storage-full")
    assert service.delete(f"/v1/jobs/{deleted}").status == 204
    fill_up(filler)
    wait_until(lambda: service.job(expiring)["status"] == "expired", what="its expiry")
    wait_until(lambda: {name.split("/")[1] for name in service.files("blobs")} == {kept}, what="an end of its files")
    fill_up(filler)
    for end in (service.stop, service.kill):
        end()
        service.start(wait=False)
        wait_until(lambda: service.get_or_none("/ready"), what="an answer")
        assert service.get("/ready").status == 503
        assert service.stem(kept, "vocals.wav").status == 200
    filler.unlink()
    wait_until(lambda: service.get("/ready").status == 200, what="a service that is ready again")
    assert service.separate(song, stems="vocals")["status"] == "succeeded"


@pytest.mark.one_process("stems go to S3 through a folder on that disk")
def test_a_disk_without_inodes(serve, small_disk, song):
    """New work needs inodes, too."""
    (small_disk / "data").mkdir(mode=0o700)
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=1)
    subprocess.run(["mount", "-o", f"remount,size=30m,nr_inodes={inodes_used(small_disk) + 500}", small_disk], check=True)
    wait_until(lambda: service.get("/ready").status == 503, what="a service that says so")
    assert "inodes" in service.get("/ready").json()["detail"]
    answer = service.post("/v1/jobs", {}, file=song)
    assert (answer.status, answer.problem()) == (507, "storage-full")
    subprocess.run(["mount", "-o", f"remount,size=30m,nr_inodes={inodes_used(small_disk) + 800}", small_disk], check=True)
    wait_until(lambda: service.get("/ready").status == 200, what="a service that is ready again")
    assert service.separate(song, stems="vocals")["status"] == "succeeded"


def inodes_used(folder):
    state = os.statvfs(folder)
    return state.f_files - state.f_ffree


def test_a_disk_that_fills_while_a_job_runs(serve, small_disk):
    """The job waits for space and ends when there is some."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=1)
    job = service.submit(wav_bytes(34))
    service.wait(job["id"], "running", "succeeded")
    filler = fill(small_disk)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert service.get("/health").status == 200
        assert service.job(job["id"])["status"] != "failed"
        time.sleep(0.1)
    filler.unlink()
    assert service.wait(job["id"])["status"] == "succeeded"
    assert service.leftovers() == []


@pytest.mark.one_process("stems go to S3 through a folder on that disk")
def test_a_job_that_needs_more_than_the_disk_has(serve, small_disk, understated):
    """It stops at the minimum and waits for space. It does not use up its attempts, and does not fill the disk again."""
    service = serve(DATA_DIR=small_disk / "data", MIN_FREE_DISK_MB=8)
    job = service.submit(understated(8000, 1), name="song.flac", type="audio/flac")["id"]
    least = 1 << 60

    def retried(times):
        nonlocal least
        state = os.statvfs(small_disk)
        least = min(least, state.f_bavail * state.f_frsize)
        return len(service.log("job.retried")) >= times

    wait_until(lambda: retried(1), what="the first attempt")
    assert least >= 3 << 20, "half of the minimum, of which the database takes some"
    wait_until(lambda: service.leftovers() == [], what="cleaning up")
    least = 1 << 60
    wait_until(lambda: retried(2), what="another attempt")
    assert least > 16 << 20
    assert [(line["error"], line["attempt"]) for line in service.log("job.retried")] == [("storage-full", 1)] * 2
    assert service.get("/ready").status == 200
    assert service.cancel(job).status == 202
    assert service.wait(job)["status"] == "canceled"


# ------------------------------------------------------------------------------ TLS


def make_certificate(folder, name, kind="rsa:2048"):
    """Returns (chain, key) of a self-signed certificate for localhost."""
    chain, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    options = ["-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", kind, *options, "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


@pytest.fixture
def tls(serve, tmp_path):
    """A service with TLS; its certificate is in chain.pem and key.pem of tmp_path."""
    for source, name in zip(make_certificate(tmp_path, "first"), ("chain.pem", "key.pem")):
        shutil.copy(source, tmp_path / name)
    service = serve(wait=False, TLS_CERTIFICATE=tmp_path / "chain.pem", TLS_KEY=tmp_path / "key.pem")

    def answers():
        with contextlib.suppress(OSError):
            return all(https(port, "/ready", tmp_path / "first.pem") == 200 for port in service.ports)

    wait_until(answers, what="a ready service")
    return service


def https(port, path, authority):
    connection = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=authority), timeout=10)
    try:
        connection.request("GET", path, headers={"X-API-KEY": KEY})
        answer = connection.getresponse()
        assert answer.headers["Strict-Transport-Security"]
        return answer.status
    finally:
        connection.close()


def test_tls(tls, tmp_path):
    assert https(tls.port, "/v1/jobs", tmp_path / "first.pem") == 200
    with pytest.raises(OSError):
        Client(tls.port, KEY).get("/health")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weak_tls_is_refused(tls):
    """TLS 1.3 is accepted, and of TLS 1.2 only the suites with forward secrecy and authenticated
    encryption."""
    def handshake(version, ciphers=None):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", tls.port), timeout=10) as connection, context.wrap_socket(connection) as secure:
            return secure.cipher()[0]

    assert handshake(ssl.TLSVersion.TLSv1_3).startswith("TLS_")
    for good in ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"):
        assert handshake(ssl.TLSVersion.TLSv1_2, good) == good
    for bad in ("AES256-GCM-SHA384", "AES128-SHA", "AES128-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256"):
        with pytest.raises(OSError):
            handshake(ssl.TLSVersion.TLSv1_2, bad)
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(OSError):
            handshake(old)


def test_a_new_certificate_is_served_without_a_restart(tls, tmp_path):
    """A renewal replaces two files one after the other. In between the old pair is served, and open
    connections continue."""
    open_since = http.client.HTTPSConnection("localhost", tls.port, context=ssl.create_default_context(cafile=tmp_path / "first.pem"), timeout=10)

    def get():
        open_since.request("GET", "/health")
        return open_since.getresponse().read()

    def serves(name):
        with contextlib.suppress(ssl.SSLError):
            return all(https(port, "/health", tmp_path / f"{name}.pem") == 200 for port in tls.ports)

    before = get()
    chain, key = make_certificate(tmp_path, "second", "ec")
    shutil.copy(chain, tmp_path / "new")
    (tmp_path / "new").rename(tmp_path / "chain.pem")
    wait_until(lambda: tls.log("http.certificate_not_read"), what="a chain without its key")
    assert serves("first") and not serves("second")
    shutil.copy(key, tmp_path / "new")
    (tmp_path / "new").rename(tmp_path / "key.pem")
    wait_until(lambda: serves("second"), what="the new certificate")
    assert not serves("first") and get() == before
    (tmp_path / "key.pem").write_text("no key")
    wait_until(lambda: len(tls.log("http.certificate_not_read")) > 1, what="a key that is none")
    assert serves("second")
    open_since.close()


def test_a_certificate_that_is_mended_is_served(tls, tmp_path):
    """A renewed key with a wrong mode is refused. It is loaded once its mode is mended."""
    chain, key = make_certificate(tmp_path, "second", "ec")
    shutil.copy(key, tmp_path / "new")
    (tmp_path / "new").chmod(0o666)
    (tmp_path / "new").rename(tmp_path / "key.pem")
    shutil.copy(chain, tmp_path / "chain.pem")
    wait_until(lambda: [line for line in tls.log("http.certificate_not_read") if "chmod go-w" in line["error"]], what="the key that others may write")
    (tmp_path / "key.pem").chmod(0o600)
    wait_until(lambda: len(tls.log("http.certificate_read")) >= len(tls.ports), what="the mended certificate")
    assert https(tls.port, "/health", tmp_path / "second.pem") == 200
    tls.send_signal(signal.SIGHUP)
    wait_until(lambda: len(tls.log("http.certificate_read")) >= 2 * len(tls.ports), what="the certificate at SIGHUP")


# ------------------------------------------------------------------- many at a time


def test_workers(serve, endless, song):
    service = serve(WORKERS=2, THREADS=1)
    jobs = [endless(service, n) for n in range(2)]
    wait_until(lambda: service.metric("spleeter_current_jobs") == 2, what="two jobs at once")
    for job in jobs:
        service.cancel(job["id"])
    assert service.separate(song)["status"] == "succeeded"


def test_connections_of_one_address_are_limited(serve):
    service = serve(CONNECTIONS_PER_ADDRESS=5)
    port = service.port

    def accepted():
        """Returns a connection that the service keeps, or None: one that ended a moment ago may
        still count."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=1)
        try:
            assert connection.recv(1) == b""
        except TimeoutError:
            return connection
        except ConnectionResetError:
            pass
        connection.close()
        return None

    held = [wait_until(accepted, what="a place") for _ in range(5)]
    with pytest.raises(OSError):
        Client(port, KEY).get("/health")
    for connection in held:
        connection.close()
    wait_until(lambda: service.is_ready(), what="free connections")
