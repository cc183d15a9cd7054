# SPDX-License-Identifier: MIT
"""A pytest plugin that runs the tests in tests/service against a cluster instead of one process.

    PYTHONPATH=tests/scale pytest -p service_on_cluster tests/service/test_api.py

A service is then two API replicas and three workers, which share PostgreSQL (a primary with a
synchronous standby) and S3. Requests go to the replicas in turn. All processes log to one file.
Tests with the marker one_process are skipped.
"""
import atexit
import contextlib
import pathlib
import shutil
import tempfile

import pytest

from servers import Postgres, Versitygw, free_port

WORKERS = 3


def pytest_collection_modifyitems(items):
    for item in items:
        if not (Postgres.programs and Versitygw.program):
            item.add_marker(pytest.mark.skip(reason="PostgreSQL or versitygw is not installed; see tests/scale/install.sh"))
        for marker in item.iter_markers("one_process"):
            item.add_marker(pytest.mark.skip(reason=f"one process: {marker.args[0]}"))


class Backends:
    """The servers, which start with the first service and are shared by all services."""

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
        """The settings of a new service, which gets its own schema and bucket."""
        self.schemas += 1
        name = f"service{self.schemas}"
        self.primary.sql(f"CREATE SCHEMA {name}")
        assert self.s3.request("PUT", f"/{name}") == 200
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return {"DATABASE_URL": f"postgresql://spleeterd@{hosts}/spleeterd?options=-csearch_path%3D{name}", **self.s3.settings(), "S3_BUCKET": name,
                "SECRET": "shared-secret-of-the-tests-0123456789"}

    def close(self):
        for server in (self.primary, self.standby, self.s3):
            with contextlib.suppress(Exception):
                server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


backends = None


def alternating(client, service):
    """A subclass of `client` that sends its requests to the replicas of `service` in turn."""
    return type("Alternating", (client,), {"port": property(lambda self: service.port, lambda self, _: None)})


def on_cluster(module):
    """A subclass of Service of tests/service/conftest.py that runs on a cluster."""

    class Service(module.Service):
        def __init__(self, folder, settings):
            global backends
            backends = backends or Backends()
            self.turn = 0
            super().__init__(folder, {"LEASE_S": 5, **settings, **backends.settings()})
            beside = self.data.parent
            self.all_settings = [{**self.settings, "WORKERS": 0}, {**self.settings, "WORKERS": 0, "PORT": free_port(), "DATA_DIR": beside / "data2"}]
            self.all_settings += [{"THREADS": 1, **self.settings, "PORT": free_port(), "DATA_DIR": beside / f"worker{number}"}
                                  for number in range(WORKERS)]
            for folder in self.data_folders[1:]:  # all processes share the key file
                folder.mkdir(mode=0o700, exist_ok=True)
                (folder / "keys.json").unlink(missing_ok=True)
                (folder / "keys.json").symlink_to(self.data / "keys.json")

        def roles(self):
            return list(zip(["serve"] * 2 + ["worker"] * WORKERS, self.all_settings))

        @property
        def port(self):
            self.turn += 1
            return self.all_settings[self.turn % 2]["PORT"]

        @port.setter
        def port(self, value):
            pass

        def files(self, below):
            if below == "blobs":
                return sorted(f"blobs/{key}" for key in backends.s3.objects(self.settings["S3_BUCKET"]))
            return super().files(below) + (self.unnamed_files() if below == "incoming" else [])

        def orphans(self, jobs):
            """None: the bucket's lifecycle removes orphans, not the service (docs/scale.md)."""
            return []

        def unnamed_files(self):
            """The nonempty unnamed files that hold blobs until S3 stores them."""
            found = []
            for process in self.processes:
                with contextlib.suppress(OSError):
                    for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                        with contextlib.suppress(OSError):
                            if "/incoming/" in str(link.readlink()) and link.stat().st_size > 0:
                                found.append(str(link.readlink()))
            return found

        def client(self, key):
            client = super().client(key)
            client.__class__ = alternating(module.Client, self)
            return client

    return Service


def pytest_plugin_registered(plugin):
    if getattr(plugin, "__file__", "") and plugin.__file__.endswith("tests/service/conftest.py"):
        plugin.Service = on_cluster(plugin)
