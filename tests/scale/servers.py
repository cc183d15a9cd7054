#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real servers behind a cluster: PostgreSQL with standbys, and versitygw, an S3 server that
stores objects as files.

As a program, `servers.py COMMAND...` runs a command with a new server of each kind. It sets
SPL_TEST_POSTGRES to a URL, and SPL_TEST_S3 to the endpoint of a server that has the bucket
"spleeterd" and accepts S3_SETTINGS.
"""
import contextlib
import datetime
import glob
import hashlib
import hmac
import http.client
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from ports import free_port  # noqa: E402

S3_SETTINGS = {"S3_BUCKET": "spleeterd", "S3_ACCESS_KEY_ID": "test-access-key", "S3_SECRET_ACCESS_KEY": "test-secret-key-0123456789"}


def find_postgres():
    """The folder of PostgreSQL's programs, or None if it is not installed."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    on_path = shutil.which("initdb")
    return pathlib.Path(folders[-1]) if folders else pathlib.Path(on_path).resolve().parent if on_path else None


def find_versitygw():
    """The path of the program, or None if it is not installed."""
    path = os.environ.get("VERSITYGW") or shutil.which("versitygw", path=f"{os.environ.get('PATH', '')}:/usr/local/lib/spleeterd-tests")
    return path if path and os.access(path, os.X_OK) else None


class Postgres:
    """A PostgreSQL server with a database "spleeterd", or a standby of `primary`. Root runs it as
    the user postgres."""

    programs = find_postgres()

    def __init__(self, folder, primary=None, address="127.0.0.1", **settings):
        self.folder, self.address, self.port = pathlib.Path(folder), address, free_port()
        self.folder.mkdir(mode=0o755)
        self.user = {}
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.folder, postgres.pw_uid, postgres.pw_gid)
            self.user = {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}
        self.data = self.folder / "data"
        if primary:
            self.run("pg_basebackup", "-D", self.data, "-X", "stream", "-R", "-d",
                     primary.url("postgres") + f"?application_name={self.folder.name}", "-c", "fast", "--no-sync")
        else:
            self.run("initdb", "-D", self.data, "-U", "spleeterd", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
            settings = {"max_connections": 300, **settings}
            with open(self.data / "pg_hba.conf", "a") as access:
                access.write("host all all samenet trust\n")
        with open(self.data / "postgresql.conf", "a") as configuration:
            for name, value in {"listen_addresses": address, "port": self.port, "unix_socket_directories": self.folder,
                                "logging_collector": "off", **settings}.items():
                configuration.write(f"{name} = '{value}'\n")
        self.process = None
        self.start()
        if not primary:
            self.sql("CREATE DATABASE spleeterd", "postgres")

    def run(self, program, *arguments, **keywords):
        done = subprocess.run([self.programs / program, *map(str, arguments)], capture_output=True, text=True, cwd="/",
                              **self.user, **keywords)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        return done

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.programs / "postgres", "-D", self.data], stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self.user)
        for _ in range(2400):
            ready = subprocess.run([self.programs / "pg_isready", "-h", self.address, "-p", str(self.port)], capture_output=True)
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def url(self, database="spleeterd"):
        return f"postgresql://spleeterd@{self.address}:{self.port}/{database}"

    def sql(self, text, database="spleeterd"):
        """Runs SQL. Returns the rows as lists of strings."""
        done = self.run("psql", "-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", text, "-d", self.url(database))
        return [line.split("\t") for line in done.stdout.splitlines()]

    def promote(self):
        assert self.sql("SELECT pg_promote()", "postgres") == [["t"]]

    def signal(self, number):
        """Sends a signal to the server and its child processes."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self):
        """Stops like a machine that dies: nothing more is flushed or answered."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Versitygw:
    """An S3 server over a folder, with one bucket."""

    program = find_versitygw()

    def __init__(self, folder, address="127.0.0.1"):
        self.folder, self.address, self.port = pathlib.Path(folder), address, free_port()
        (self.folder / "objects").mkdir(parents=True)
        self.process = None
        self.start()
        assert self.request("PUT", "/spleeterd") == 200

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--access", S3_SETTINGS["S3_ACCESS_KEY_ID"], "--secret", S3_SETTINGS["S3_SECRET_ACCESS_KEY"],
                 "--port", f"{self.address}:{self.port}", "--quiet", "posix", self.folder / "objects"],
                stdout=log, stderr=log, start_new_session=True)
        for _ in range(2400):
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    @property
    def endpoint(self):
        return f"http://{self.address}:{self.port}"

    def settings(self):
        return {"S3_ENDPOINT": self.endpoint, **S3_SETTINGS}

    def request(self, method, path):
        """Sends a signed request without body and query. Returns the status."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        host, nothing = f"{self.address}:{self.port}", hashlib.sha256(b"").hexdigest()
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        canonical = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{nothing}\nx-amz-date:{now}\n\nhost;x-amz-content-sha256;x-amz-date\n{nothing}"
        key = ("AWS4" + S3_SETTINGS["S3_SECRET_ACCESS_KEY"]).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signed = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request(method, path, headers={
            "x-amz-date": now, "x-amz-content-sha256": nothing, "Authorization":
            f"AWS4-HMAC-SHA256 Credential={S3_SETTINGS['S3_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"})
        return connection.getresponse().status

    def objects(self, bucket="spleeterd"):
        """The objects of a bucket: a dictionary of paths by key."""
        root = self.folder / "objects" / bucket
        return {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file() and not path.relative_to(root).parts[0].startswith(".")}

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)


def main():
    if not (Postgres.programs and Versitygw.program):
        print("PostgreSQL or versitygw is not installed; see tests/scale/install.sh", file=sys.stderr)
        return 77  # Meson reports 77 as skipped
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        os.chmod(folder, 0o755)
        database = Postgres(f"{folder}/postgres", fsync="off", max_prepared_transactions=0)
        ends.callback(database.stop)
        store = Versitygw(f"{folder}/s3")
        ends.callback(store.stop)
        return subprocess.run(sys.argv[1:], env={**os.environ, "SPL_TEST_POSTGRES": database.url(), "SPL_TEST_S3": store.endpoint}).returncode


if __name__ == "__main__":
    sys.exit(main())
