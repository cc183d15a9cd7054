# SPDX-License-Identifier: MIT
"""A plugin of pytest: the tests in tests/service run against a cluster instead of one process.

    PYTHONPATH=tests/scale pytest -p service_on_cluster tests/service/test_api.py

A service is then two API replicas and three workers over PostgreSQL (a primary with a synchronous standby) and S3; each request goes to the next replica. They log to one file.
"""
import atexit
import contextlib
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from servers import Postgres, Versitygw, free_port

# What only one process can promise.
ONE_PROCESS = {
    "test_keys_of_the_issuer_may_change": "each replica fetches the issuer's keys for itself",
    "test_fair_share": "three workers do not end jobs in the order of their claims",
    "test_priority": "three workers do not end jobs in the order of their claims",
    "test_a_file_can_be_read_while_it_grows": "a stem comes when it is complete",
}


def pytest_collection_modifyitems(items):
    for item in items:
        reason = ONE_PROCESS.get(item.name.split("[")[0])
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


class Backends:
    """The servers, started with the first service and shared by all."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="spleeterd-scale-"))
        self.folder.chmod(0o755)
        self.primary = Postgres(self.folder / "primary", fsync="off")
        self.standby = Postgres(self.folder / "standby", self.primary, fsync="off")
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")
        self.s3 = Versitygw(self.folder / "s3")
        self.schemas = 0
        atexit.register(self.close)

    def settings(self):
        """Of a service of its own."""
        self.schemas += 1
        name = f"service{self.schemas}"
        self.primary.sql(f"CREATE SCHEMA {name}")
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return {"DATABASE_URL": f"postgresql://spleeterd@{hosts}/spleeterd?options=-csearch_path%3D{name}", **self.s3.settings(),
                "SECRET": "shared-secret-of-the-tests-0123456789"}

    def close(self):
        for server in (self.primary, self.standby, self.s3):
            with contextlib.suppress(Exception):
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


backends = None


def alternating(client, service):
    """The class of a client whose requests go to the replicas in turn."""
    return type("Alternating", (client,), {"port": property(lambda self: service.port)})


def on_cluster(module):
    """The class Service of tests/service/conftest.py, on a cluster."""

    class Service(module.Service):
        def __init__(self, folder, settings):
            global backends
            backends = backends or Backends()
            self.ports, self.turn = [settings["PORT"], free_port()], 0
            self.shared = backends.settings()
            self.others = []
            super().__init__(folder, {**settings, **self.shared, "WORKERS": 0})
            self.wanted = settings

        @property
        def port(self):
            self.turn += 1
            return self.ports[self.turn % 2]

        @port.setter
        def port(self, value):
            pass

        def start(self, wait=True, **popen):
            for other in self.others:
                other.terminate()
            for other in self.others:
                other.wait(45)
            super().start(wait, **popen)
            if not wait:
                return self
            data = pathlib.Path(self.wanted["DATA_DIR"])
            second = data.parent / "data2"
            second.mkdir(exist_ok=True)
            (second / "keys.json").unlink(missing_ok=True)
            (second / "keys.json").symlink_to(data / "keys.json")
            self.others = [self.start_other("serve", DATA_DIR=second, PORT=self.ports[1], WORKERS=0)]
            for number in range(3):
                self.others.append(self.start_other("worker", DATA_DIR=data.parent / f"worker{number}", PORT=free_port(), BIND="127.0.0.1",
                                                    WORKERS=self.wanted.get("WORKERS", 1), THREADS=self.wanted.get("THREADS", 1)))
            module.wait_until(self.is_ready_twice, what="two ready replicas")
            return self

        def is_ready_twice(self):
            with contextlib.suppress(OSError):
                return all(module.Client(port, None).get("/ready").status == 200 for port in self.ports)

        def start_other(self, role, **settings):
            with open(self.log_path, "ab") as log:
                return subprocess.Popen(
                    [module.PROGRAM, role], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                    env={**module.environment(**{**self.settings, **settings}), "TMPDIR": str(self.temporary)})

        def stop(self, number=signal.SIGTERM, timeout=45):
            for other in self.others:
                other.send_signal(number)
            code = super().stop(number, timeout)
            codes = [other.wait(timeout) for other in self.others]
            self.others = []
            return code or next((c for c in codes if c), 0)

        def metric(self, series):
            """The sum over the replicas."""
            return sum(super(Service, self).metric(series) for _ in range(2))

        def add_key(self, name, *options):
            done = subprocess.run([module.PROGRAM, "keys", "add", name, *options], env=module.environment(**self.settings),
                                  capture_output=True, text=True, check=True)
            key = done.stdout.split()[-1]
            for process, port in zip([self.process, self.others[0]], self.ports):
                process.send_signal(signal.SIGHUP)
                client = module.Client(port, key)
                module.wait_until(lambda: client.get("/v1/jobs").status != 401, what="a new key")
            client = module.Client(0, key)
            client.__class__ = alternating(module.Client, self)
            return client

    return Service


def pytest_plugin_registered(plugin):
    if getattr(plugin, "__file__", "") and plugin.__file__.endswith("tests/service/conftest.py"):
        plugin.Service = on_cluster(plugin)
