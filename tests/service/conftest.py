# SPDX-License-Identifier: MIT
"""The real programs that the tests of the service use: the service itself, clamd, Prometheus, a
token issuer, a webhook receiver. All run on loopback, each with its own folder.

The program is $SPLEETERD; it finds its codec helper and models by SPLEETER_CODEC and
SPLEETER_MODEL_PATH.
"""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

from client import Client
from waiting import wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests/cli")]
import wav  # noqa: E402
from ports import free_port  # noqa: E402
from wav import music  # noqa: E402

PROGRAM = os.environ["SPLEETERD"]
SONG = REPOSITORY / "examples" / "audio_example.mp3"
KEY = "a-key-for-tests-0123456789"


def environment(**settings):
    """Returns this environment with `settings` in place of the service's own, of which only CODEC,
    MODEL_PATH and CPU are kept."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("SPLEETER_") or name in ("SPLEETER_CODEC", "SPLEETER_MODEL_PATH", "SPLEETER_CPU")}
    return {**kept, **{f"SPLEETER_{name}": str(value) for name, value in settings.items()}}


# ---------------------------------------------------------------------------- audio


def wav_of(samples, rate=44100):
    """Returns the content of a WAV file of 16 bits."""
    samples = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
    return wav.header(samples.nbytes, rate, samples.shape[1], 16, wav.PCM) + samples.tobytes()


def wav_bytes(seconds, **keywords):
    return wav_of(music(seconds, **keywords), keywords.get("rate", 44100))


@pytest.fixture(scope="session")
def song():
    """The content of a WAV file of two seconds."""
    return wav_bytes(2)


@pytest.fixture(scope="session")
def long_song():
    """The content of a WAV file of four minutes: long enough to query a job while it runs, and
    short enough to wait for its end. It repeats, since music takes long to make."""
    return wav_of(np.tile(music(12), (20, 1)))


@pytest.fixture(scope="session")
def endless(tmp_path_factory):
    """endless(client, number=0, ...) submits a job that no test sees end; each number makes a
    different job. The signal is a constant, because silence costs the engine nothing."""
    path = tmp_path_factory.mktemp("endless") / "endless.flac"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "aevalsrc=0.25:s=8000", "-t", "7000", path], check=True)
    content = path.read_bytes()

    def submit(client, number=0, **fields):
        return client.submit(content, name="endless.flac", type="audio/flac", options={"duration": 6000 + number}, **fields)

    submit.content = content
    return submit


@pytest.fixture(scope="session")
def understated(tmp_path_factory):
    """understated(rate, channels) returns a FLAC file of 7000 s of silence, whose header says that
    it has one sample."""
    folder = tmp_path_factory.mktemp("understated")

    def make(rate, channels):
        path = folder / f"{rate}-{channels}.flac"
        if not path.exists():
            layout = {1: "mono", 8: "7.1"}[channels]
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"anullsrc=r={rate}:cl={layout}", "-t", "7000", path], check=True)
        content = bytearray(path.read_bytes())
        at = len(b"fLaC") + 4 + 13
        content[at:at + 5] = bytes([content[at] & 0xf0, 0, 0, 0, 1])
        return bytes(content)

    return make


@pytest.fixture(scope="session")
def busy(endless):
    """busy(service) starts as many endless jobs as the service runs at once, and returns their ids
    when they run. Later jobs have to wait."""

    def start(service):
        ids = []
        for number in range(service.at_once):
            ids.append(endless(service, 100 + number)["id"])
            service.wait(ids[-1], "running")
        return ids

    return start


# -------------------------------------------------------------------------- service


def pytest_configure(config):
    config.addinivalue_line("markers", "one_process(reason): not for a service of several processes (tests/scale/service_on_cluster.py)")


class Service(Client):
    """A running `spleeterd serve`. tests/scale/service_on_cluster.py makes it a cluster of several
    processes: `process` is then the first of them, and tests of what only one process can guarantee
    have the marker one_process."""

    def __init__(self, folder, settings):
        super().__init__(settings["PORT"], settings.get("API_KEY"))
        self.folder, self.settings = folder, settings
        self.data = pathlib.Path(settings["DATA_DIR"])
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.log_path = folder / "log"
        self.processes = []

    def roles(self):
        """Returns (role, settings) of each process, those that answer clients first."""
        return [("serve", self.settings)]

    @property
    def process(self):
        return self.processes[0]

    @property
    def replicas(self):
        """The number of processes that answer clients."""
        return sum(role == "serve" for role, _ in self.roles())

    @property
    def at_once(self):
        """The number of jobs that run at once."""
        return sum(settings.get("WORKERS", 1) for _, settings in self.roles())

    @property
    def ports(self):
        """The ports of all processes."""
        return [settings["PORT"] for _, settings in self.roles()]

    @property
    def data_folders(self):
        """The data folders of all processes."""
        return [pathlib.Path(settings["DATA_DIR"]) for _, settings in self.roles()]

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.processes = [subprocess.Popen([PROGRAM, role], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                               env={**environment(**settings), "TMPDIR": str(self.temporary)})
                              for role, settings in self.roles()]
        if wait:
            wait_until(self.is_ready, what="a ready service")
        return self

    def is_ready(self):
        assert all(process.poll() is None for process in self.processes), self.log_path.read_text()
        with contextlib.suppress(OSError):
            return all(Client(port, None).get("/ready").status == 200 for port in self.ports)
        return False

    def get_or_none(self, path):
        """Returns the answer, or None if the service can't be reached."""
        assert all(process.poll() is None for process in self.processes), self.log_path.read_text()
        with contextlib.suppress(OSError):
            return self.get(path)

    def send_signal(self, number):
        for process in self.processes:
            process.send_signal(number)

    def exit_code(self, timeout=120):
        """Waits for the end of all processes; returns the first exit code that is not 0, or 0."""
        return next(filter(None, [process.wait(timeout) for process in self.processes]), 0)

    def stop(self, number=signal.SIGTERM, timeout=120):
        """Sends the signal and returns the exit code."""
        self.send_signal(number)
        return self.exit_code(timeout)

    def kill(self):
        self.stop(signal.SIGKILL)

    def log(self, event=None):
        """Returns the lines of the log, or those of `event`. Each must be a JSON object with the
        common fields."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        assert all({"time", "level", "event"} <= line.keys() for line in lines)
        return [line for line in lines if event in (None, line["event"])]

    def deleted_files(self):
        """Returns the deleted files of jobs that the processes still hold open."""
        found = []
        for process in self.processes:
            for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found.append(os.readlink(link))
        return [path for path in found if path.endswith("(deleted)") and str(self.data / "blobs") in path]

    def cut_answers(self, ids):
        """Returns the ids of the requests among `ids` whose answers did not come to their end."""
        return {line["request_id"] for line in self.log("http.request")
                if line.get("request_id") in ids and not line["complete"]}

    def metric(self, series):
        """Returns the value of a series, such as
        'spleeter_files_processed_total{outcome="failed"}'; 0 if it is absent. Values are summed
        over the processes, except for the queue, the stored bytes and the readiness, which each
        process reports as a whole."""
        values = [0.0]
        for port in self.ports:
            for line in Client(port, self.key).get("/metrics").body.decode().splitlines():
                if line.startswith(series + " "):
                    values.append(float(line.rsplit(" ", 1)[1]))
        return max(values) if series.startswith(("spleeter_queue_", "spleeter_stored_bytes", "spleeter_ready")) else sum(values)

    def files(self, below):
        """Returns the files below this folder in all data folders, relative to the data folders."""
        return sorted(str(path.relative_to(data)) for data in self.data_folders for path in (data / below).rglob("*") if path.is_file())

    def add_key(self, name, *options):
        """Creates a key and returns a client with it."""
        done = subprocess.run([PROGRAM, "keys", "add", name, *options], env=environment(**self.settings),
                              capture_output=True, text=True, check=True)
        self.send_signal(signal.SIGHUP)
        key = done.stdout.split()[-1]
        for port in self.ports[:self.replicas]:
            wait_until(lambda: Client(port, key).get("/v1/jobs").status != 401, what="a new key")
        return self.client(key)

    def client(self, key):
        return Client(self.port, key)

    def orphans(self, jobs):
        """Returns the files of jobs other than `jobs`, except those in quarantine."""
        return [name for name in self.files("blobs") if name.split("/")[1] not in (*jobs, "quarantine")]

    def leftovers(self):
        """Returns temporary files, and files of uploads that became no job."""
        return self.files("incoming") + [str(path) for path in self.temporary.rglob("*")] + [
            name for name in self.files("blobs") if ".part" in name]


@contextlib.contextmanager
def services(parent):
    """Yields start(NAME=value, ...), which starts a service with these settings in a folder below
    `parent`. Without DRAIN_S it does not wait for running jobs when it stops. At the end each
    service must exit with 0 on SIGTERM and leave nothing temporary behind."""
    started = []

    def start(wait=True, folder=None, **settings):
        folder = folder or parent / f"service{len(started)}"
        folder.mkdir(exist_ok=True)
        settings = {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                    "RATE_PER_MINUTE": 100000, "DRAIN_S": 0, **settings}
        started.append(Service(folder, {name: value for name, value in settings.items() if value is not None}))
        return started[-1].start(wait)

    yield start
    for service in started:
        if all(process.poll() is not None for process in service.processes):
            continue
        assert service.stop() == 0, service.log_path.read_text()[-4000:]
        assert service.leftovers() == []


@pytest.fixture
def serve(tmp_path):
    """serve(NAME=value, ...) starts a service for one test."""
    with services(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """serve_all(NAME=value, ...) starts a service for all tests of a file, which must not depend on
    each other."""
    with services(tmp_path_factory.mktemp("services")) as start:
        yield start


@pytest.fixture
def service(serve):
    """A service with default settings and one key."""
    return serve()


@pytest.fixture
def command(tmp_path):
    """command(content, ...) runs `spleeterd separate` on the content of a file and returns {output
    file name: content}."""

    def run(content, *options, name="song.wav"):
        folder = tmp_path / "command"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / name).write_bytes(content)
        subprocess.run([PROGRAM, "separate", folder / name, "-o", folder / "out", "-f", "{instrument}.{codec}", *options],
                       env=environment(), check=True, capture_output=True)
        return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}

    return run


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 30 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


# ---------------------------------------------------------------------------- clamd

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Clamd:
    """A running clamd with a single signature, EICAR's, anywhere in a file."""

    def __init__(self, folder):
        self.socket = folder / "clamd.ctl"
        self.setting = f"unix:{self.socket}"
        database = folder / "database"
        database.mkdir()
        (database / "local.ndb").write_text(f"Eicar-Local-Signature:0:*:{EICAR.hex()}\n")
        (folder / "tmp").mkdir()
        (folder / "clamd.conf").write_text(
            f"DatabaseDirectory {database}\nLocalSocket {self.socket}\nTemporaryDirectory {folder}/tmp\n"
            f"LogFile {folder}/clamd.log\nForeground yes\nStreamMaxLength 64M\nMaxFileSize 64M\nMaxScanSize 64M\n")
        self.process = subprocess.Popen(["clamd", "--config-file", folder / "clamd.conf"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_until(self.answers, what="an answer of clamd")

    def answers(self):
        assert self.process.poll() is None, "clamd has ended"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.socket))
            client.sendall(b"zPING\0")
            return client.recv(16).startswith(b"PONG")
        return False

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.kill()
            self.process.wait()


@pytest.fixture
def clamd(tmp_path):
    if not shutil.which("clamd"):
        pytest.skip("clamd is not installed")
    folder = tmp_path / "clamd"
    folder.mkdir()
    daemon = Clamd(folder)
    yield daemon
    daemon.stop()


# ----------------------------------------------------------------------- Prometheus


class Prometheus:
    """A running Prometheus with the project's rules, which scrapes the targets every second."""

    def __init__(self, folder, targets, key):
        self.port = free_port()
        (folder / "key").write_text(key)
        example = (REPOSITORY / "deploy/prometheus/prometheus.yml").read_text()
        shutil.copy(REPOSITORY / "deploy/prometheus/spleeterd.rules.yml", folder)
        (folder / "prometheus.yml").write_text(
            example.replace("/etc/prometheus/spleeterd.key", str(folder / "key")).replace('["127.0.0.1:8080"]', json.dumps(targets))
            .replace("interval: 15s", "interval: 1s"))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def api(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """Returns the value of the only series, or None if there is none (yet)."""
        assert self.process.poll() is None, "Prometheus has ended"
        with contextlib.suppress(OSError):
            result = self.api("query", query=expression)["result"]
            return float(result[0]["value"][1]) if result else None

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def prometheus(tmp_path):
    """prometheus(service, key) starts a Prometheus that scrapes the service."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    started = []

    def start(service, key):
        folder = tmp_path / "prometheus"
        folder.mkdir()
        started.append(Prometheus(folder, [f"127.0.0.1:{port}" for port in service.ports], key))
        return started[-1]

    yield start
    for server in started:
        server.stop()


# --------------------------------------------------------------------- test servers


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server on a free port of loopback that records its requests; `answer(request)`
    returns (status, body)."""

    daemon_threads = True

    def __init__(self, host="127.0.0.1"):
        self.requests = []
        self.lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = {"method": self.command, "path": self.path, "headers": self.headers, "body": body,
                           "time": time.monotonic()}
                with server.lock:
                    server.requests.append(request)
                status, content = server.answer(request)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_HEAD = handle_any

            def log_message(self, *_):
                pass

        super().__init__((host, 0), Handler)
        self.port = self.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, _request):
        return 200, b""

    def close(self):
        self.shutdown()
        self.server_close()


@pytest.fixture
def receiver():
    """A webhook receiver with .url and .requests; its `answer` may be replaced."""
    server = Server()
    yield server
    server.close()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer(Server):
    """Issues tokens, and serves its keys as a JWKS at .jwks_url."""

    audience = "spleeterd"

    def __init__(self):
        self.keys = {}
        super().__init__()
        self.name = f"http://127.0.0.1:{self.port}/issuer"
        self.jwks_url = f"{self.url}/jwks.json"
        self.add_key("key-1")

    def add_key(self, id):
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.keys[id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self.keys[id]

    def jwk(self, id):
        numbers = self.keys[id].public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
                "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
                "e": base64url(numbers.e.to_bytes(3, "big"))}

    def answer(self, _request):
        return 200, json.dumps({"keys": [self.jwk(id) for id in self.keys]}).encode()

    def claims(self, **changes):
        """Returns the claims of a valid token with these changes; None removes a claim."""
        now = int(time.time())
        claims = {"iss": self.name, "aud": self.audience, "sub": "alice", "iat": now, "exp": now + 300,
                  "scope": "jobs:read jobs:write", **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, header, claims, key=None):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
        key = key or self.keys["key-1"]
        return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def token(self, **changes):
        return self.sign({"alg": "RS256", "typ": "JWT", "kid": "key-1"}, self.claims(**changes))

    def settings(self):
        return {"JWT_ISSUER": self.name, "JWT_AUDIENCE": self.audience, "JWT_JWKS_URL": self.jwks_url}


@pytest.fixture(scope="module")
def jwks():
    pytest.importorskip("cryptography")
    issuer = Issuer()
    yield issuer
    issuer.close()
