# SPDX-License-Identifier: MIT
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import dockerfile
import root as roots

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))
from ports import free_port  # noqa: E402

SONG = REPOSITORY / "examples/audio_example.mp3"


def missing(reason):
    """Skips the test if the machine lacks something; fails it in CI, where all must be there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


TOOLS = pathlib.Path(os.environ.get("SPLEETERD_TOOLS") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "spleeterd-tests/tools")


def tool(name, *arguments, check=True, **keywords):
    """Runs a program that tests/deploy/install.sh or Debian installs."""
    program = TOOLS / name if (TOOLS / name).exists() else shutil.which(name)
    if not program:
        missing(f"{name} is not installed; see tests/deploy/install.sh")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **keywords)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """Yields a function that makes a clean Debian root."""
    if os.geteuid():
        missing("needs root rights, for chroot")
    for program in ("debootstrap", "systemd-nspawn", "unshare"):
        if not shutil.which(program):
            missing(f"{program} is not installed")
    base = roots.base()
    return lambda name: roots.Root(tmp_path_factory.mktemp(name), [base])


@pytest.fixture(scope="session")
def packages(tmp_path_factory, request):
    """Returns the folder of the Debian packages: SPLEETERD_PACKAGES if it is set. Otherwise this
    machine builds them, if its release is that of the roots. On other machines, and for
    SPLEETERD_IMAGE=whole, the first stage of the Dockerfile builds them."""
    if "SPLEETERD_PACKAGES" in os.environ:
        return pathlib.Path(os.environ["SPLEETERD_PACKAGES"])
    if os.environ.get("SPLEETERD_IMAGE") == "whole" or f"VERSION_CODENAME={roots.SUITE}\n" not in pathlib.Path("/etc/os-release").read_text():
        folder = REPOSITORY / "deploy/docker"
        ignore = (folder / "Dockerfile.dockerignore").read_text().split()
        root = request.getfixturevalue("debian")("build")
        dockerfile.build(dockerfile.read(folder / "Dockerfile")[0], root, REPOSITORY, {}, ignore)
        return root.upper / "packages"
    for program in ("dpkg-buildpackage", "dh", "chrpath"):
        if not shutil.which(program):
            missing(f"{program} is not installed")
    out = tmp_path_factory.mktemp("built") / "packages"
    built = subprocess.run([REPOSITORY / "tools/build-deb.sh", out], capture_output=True, text=True)
    assert built.returncode == 0, (built.stdout + built.stderr)[-5000:]
    return out


@pytest.fixture
def port():
    return free_port()


class Client:
    """Uses the service with curl, as docs/service.md shows."""

    def __init__(self, port, key):
        self.base, self.key = f"http://127.0.0.1:{port}", key

    def get(self, path, *arguments):
        return subprocess.run(["curl", "-sS", "--fail-with-body", "--max-time", "120", "-H", f"X-API-KEY: {self.key}", *map(str, arguments),
                               self.base + path], check=True, capture_output=True).stdout

    def ready(self):
        return subprocess.run(["curl", "-sf", "--max-time", "5", self.base + "/ready"], capture_output=True).returncode == 0

    def separate(self, song, seconds=120):
        """Returns the bytes of the vocals of `song`."""
        job = json.loads(self.get("/v1/jobs", "-F", f"file=@{song}"))["urls"]["self"]
        end = time.monotonic() + seconds
        while (state := json.loads(self.get(job)))["status"] in ("queued", "running"):
            assert time.monotonic() < end, state
            time.sleep(0.2)
        assert state["status"] == "succeeded", state
        return self.get(f"{job}/stems/vocals.wav")
