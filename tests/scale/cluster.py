# SPDX-License-Identifier: MIT
"""A whole service on loopback: a PostgreSQL primary with a synchronous standby, an S3 server, API
replicas and workers, each in its own process.

$SPLEETERD is the program. SPLEETER_CODEC and SPLEETER_MODEL_PATH locate its codec helper and its
models.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/service"))
sys.path.insert(0, str(REPOSITORY / "tests/cli"))
import wav  # noqa: E402
from client import Client, form  # noqa: E402
from servers import Postgres, Versitygw, free_port  # noqa: E402
from waiting import wait_until  # noqa: E402

PROGRAM = os.environ.get("SPLEETERD", REPOSITORY / "build/spleeterd")
KEY = "a-key-for-tests-0123456789"
SOAK = os.environ.get("SPLEETERD_SOAK") == "1"


def short_song(number, seconds=0.1):
    """A WAV file of noise that is unique to `number`."""
    noise = random.Random(number)
    samples = noise.randbytes(4 * round(44100 * seconds))
    return wav.header(len(samples), 44100, 2, 16, wav.PCM) + samples


def make_tiny_model(folder):
    """Makes a model "tiny": the networks of 2stems with segments of 64 frames and 64 bins. It is
    fast, but otherwise useless."""
    shipped, tiny = REPOSITORY / "models/spleeter-2stems", folder / "tiny"
    tiny.mkdir(parents=True)
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest.update(name="tiny", frames=64, bins=64)
    (tiny / "manifest.json").write_text(json.dumps(manifest))
    for net in shipped.glob("*.safetensors"):
        (tiny / net.name).symlink_to(net)
    return folder


class Process:
    """A process `spleeterd serve` or `spleeterd worker`."""

    def __init__(self, role, folder, settings, address="127.0.0.1", prefix=()):
        self.role, self.address, self.prefix = role, address, list(prefix)
        self.folder, self.log_path = folder, folder / "log"
        (folder / "tmp").mkdir(parents=True)
        self.settings = {"PORT": free_port(), "BIND": address, "DATA_DIR": folder / "data", **settings}
        self.process = None

    def start(self, wait=True):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("SPLEETER_") or name in ("SPLEETER_CODEC", "SPLEETER_CPU")}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, PROGRAM, self.role], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**kept, "TMPDIR": str(self.folder / "tmp"),
                     **{f"SPLEETER_{name}": str(value) for name, value in self.settings.items()}})
        if wait:
            wait_until(self.is_ready, what=f"a ready {self.role}")
        return self

    def is_ready(self):
        assert self.process.poll() is None, self.log_path.read_text()[-3000:]
        with contextlib.suppress(OSError):
            return self.client(10).get("/ready").status == 200

    def client(self, _timeout=None):
        return Client(self.settings["PORT"], KEY)

    def log(self, *events):
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if not events or line["event"] in events]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Drains the process. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(60)


class Cluster:
    def __init__(self, folder, apis=2, workers=3, standby=True, fsync="off", **settings):
        self.folder, self.ends = folder, contextlib.ExitStack()
        try:
            self.start(apis, workers, standby, fsync, settings)
        except BaseException:
            self.ends.close()
            raise

    def start(self, apis, workers, standby, fsync, settings):
        folder = self.folder
        os.chmod(folder, 0o755)
        self.primary = Postgres(folder / "primary", fsync=fsync)
        self.ends.callback(self.primary.stop)
        self.standby, urls = None, [self.primary]
        if standby:
            self.standby = Postgres(folder / "standby", self.primary, fsync=fsync)
            self.ends.callback(self.standby.stop)
            # Set on the primary only: once promoted, the standby has no standby of its own.
            self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.primary.sql("SELECT pg_reload_conf()")
            wait_until(lambda: self.primary.sql("SELECT sync_state FROM pg_stat_replication") == [["sync"]], what="a synchronous standby")
            urls.append(self.standby)
        self.s3 = Versitygw(folder / "s3")
        self.ends.callback(self.s3.stop)
        hosts = ",".join(f"{server.address}:{server.port}" for server in urls)
        self.settings = {
            "DATABASE_URL": f"postgresql://spleeterd@{hosts}/spleeterd", **self.s3.settings(), "SECRET": "shared-secret-of-the-tests-0123456789",
            "API_KEY": KEY, "MODEL": "tiny", "MODEL_PATH": make_tiny_model(folder / "models"), "MIN_FREE_DISK_MB": 64, "QUEUE": 100000,
            "JOBS_PER_KEY": 100000, "RATE_PER_MINUTE": 1000000, "LEASE_S": 5, "THREADS": 1, **settings}
        self.apis = [self.add("serve", WORKERS=0) for _ in range(apis)]
        self.workers = [self.add("worker") for _ in range(workers)]

    def add(self, role, address="127.0.0.1", prefix=(), **settings):
        number = sum(1 for _ in self.folder.glob(f"{role}*"))
        process = Process(role, self.folder / f"{role}{number}", {**self.settings, **settings}, address, prefix)
        process.start()
        self.ends.callback(process.stop)
        return process

    def close(self):
        self.ends.close()


class Load:
    """Clients that submit jobs through all API replicas, follow them, and check the service: every
    acknowledged job ends exactly once, and its result never changes. A failed request is repeated
    with its Idempotency-Key."""

    def __init__(self, apis, jobs, threads=8, seconds=0.1, first=0, options=None):
        self.apis, self.seconds, self.options = apis, seconds, options or {}
        self.numbers = iter(range(first, first + jobs))
        self.lock = threading.Lock()
        self.acknowledged = {}  # id by number
        self.seen = {}  # result by id, as of its end
        self.failures, self.wrong = [], []
        self.count = jobs
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def note_failure(self, text):
        with self.lock:
            self.failures.append((time.monotonic(), text))

    def run(self, turn):
        while True:
            with self.lock:
                number = next(self.numbers, None)
            if number is None:
                return
            id = self.submit(number, turn)
            with self.lock:
                self.acknowledged[number] = id
            turn += 1

    def submit(self, number, turn):
        body, type = form(self.options, short_song(number, self.seconds), f"song{number}.wav")
        headers = {"Content-Type": type, "Idempotency-Key": f"number-{number}"}
        while True:
            client = self.apis[turn % len(self.apis)].client()
            turn += 1
            try:
                answer = client.request("POST", "/v1/jobs", body=body, headers=headers, timeout=30)
            # For a broken connection, http.client raises several kinds of exceptions.
            except (OSError, Exception) as error:  # noqa: B014
                self.note_failure(repr(error))
                time.sleep(0.2)
                continue
            if answer.status == 202:
                return answer.json()["id"]
            if answer.status not in (409, 503):
                with self.lock:
                    self.wrong.append(repr(answer))
                return None
            self.note_failure(f"{answer.status} {answer.json().get('code')}")
            time.sleep(0.2)

    def look(self):
        """Polls every acknowledged job. Returns how many have ended."""
        with self.lock:
            ids = [id for id in self.acknowledged.values() if id]
        for turn, id in enumerate(ids):
            if id in self.seen:
                continue
            with contextlib.suppress(Exception):
                answer = self.apis[turn % len(self.apis)].client().request("GET", f"/v1/jobs/{id}", timeout=30)
                if answer.status == 404:
                    self.wrong.append(f"{id} was acknowledged and is not there")
                job = answer.json() if answer.status == 200 else {}
                if job.get("status") in ("succeeded", "failed", "canceled"):
                    self.seen[id] = self.facts(job)
        return len(self.seen)

    @staticmethod
    def facts(job):
        return {"status": job["status"], "finished": job["finished"], "attempts": job["attempts"], "error": job.get("error"),
                "outputs": {output["file"]: output["sha256"] for output in job["outputs"]}}

    def finish(self, timeout):
        """Waits until all jobs have ended, and checks them."""
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0.1))
        assert not any(thread.is_alive() for thread in self.threads), f"{len(self.acknowledged)} of {self.count} were acknowledged: {self.failures[-5:]}"
        while self.look() < self.count:
            assert time.monotonic() < deadline, f"{len(self.seen)} of {self.count} have ended"
            assert not self.wrong, self.wrong[:5]
            time.sleep(0.5)
        self.check()

    def check(self, sample=50):
        assert not self.wrong, self.wrong[:5]
        assert len(set(self.acknowledged.values())) == self.count, "two requests, one job"
        client = self.apis[0].client()
        listed, cursor = {}, ""
        while cursor is not None:
            page = client.get(f"/v1/jobs?limit=200{cursor and '&cursor=' + cursor}").json()
            listed.update({job["id"]: job for job in page["jobs"]})
            cursor = page["next_cursor"]
        ours = set(self.acknowledged.values())
        assert ours <= listed.keys()
        extra = [job for id, job in listed.items() if id not in ours and (job["input"]["name"] or "").startswith("song")]
        assert not extra, f"{len(extra)} jobs that were not acknowledged"
        for id, seen in self.seen.items():
            assert seen["status"] == "succeeded", seen
            assert self.facts(listed[id]) == seen, "what was seen at its end has changed"
        for id in random.Random(1).sample(sorted(self.seen), min(sample, len(self.seen))):
            for file, sha256 in self.seen[id]["outputs"].items():
                answer = self.apis[-1].client().get(f"/v1/jobs/{id}/stems/{file}")
                assert answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == sha256
