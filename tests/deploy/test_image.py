# SPDX-License-Identifier: MIT
"""The container image: the steps of the Dockerfile, run in a clean Debian, give a system that
serves with the settings of its last lines, without privileges and with a read-only root.
conftest.packages makes the packages of the first stage."""
import os
import signal
import subprocess

import pytest

import dockerfile
from conftest import REPOSITORY, SONG, Client
from root import until

FOLDER = REPOSITORY / "deploy/docker"
STAGES = dockerfile.read(FOLDER / "Dockerfile")
USER = 10001


@pytest.fixture(scope="module")
def image(debian, packages, tmp_path_factory):
    assert [dockerfile.name_of(stage) for stage in STAGES] == ["build", None]
    assert {stage[0][1].split()[0] for stage in STAGES} == {"debian:bookworm-slim"}
    built = tmp_path_factory.mktemp("first-stage")
    (built / "packages").symlink_to(packages)
    return dockerfile.build(STAGES[1], debian("image"), REPOSITORY, {"build": built})


@pytest.fixture
def start(image, tmp_path):
    """Yields a function that starts a container with the image's settings, and returns the process
    and its log file."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, USER, USER)
    started = []

    def starts(binds=(), **env):
        log = tmp_path / f"log{len(started)}"
        command = image.root.command([*image.config["entrypoint"], *image.config["cmd"]], env={**image.config["env"], **env}, user=USER,
                                     cwd=image.cwd, binds=[(None, "/tmp"), (data, image.config["volume"]), *binds], read_only=True)
        with open(log, "w") as out:
            started.append(subprocess.Popen(command, stdout=out, stderr=out))
        return started[-1], log

    yield starts
    for process in started:
        if process.poll() is None:
            # It is the first process of its PID namespace, so all others end with it.
            os.kill(service(process), signal.SIGKILL)
            process.wait()


def service(process):
    """Returns the PID of the program in the container: the child of unshare, which waits for it."""
    (child,) = subprocess.run(["pgrep", "-P", str(process.pid)], check=True, capture_output=True, text=True).stdout.split()
    return int(child)


def test_container_serves(image, start, port):
    assert image.user == f"{USER}:{USER}"
    process, log = start(SPLEETER_PORT=str(port), SPLEETER_API_KEY="a-key-for-tests-0123456789")
    client = Client(port, "a-key-for-tests-0123456789")
    until(client.ready, 60, log.read_text)

    status = open(f"/proc/{service(process)}/status").read()
    assert f"Uid:\t{USER}\t{USER}" in status and "CapBnd:\t0000000000000000" in status
    healthy = image.root.command(image.config["healthcheck"], env={**image.config["env"], "SPLEETER_PORT": str(port)}, user=USER,
                                 read_only=True)
    assert subprocess.run(healthy, capture_output=True).returncode == 0

    command = image.root.command(["spleeterd", "separate", "/mnt/audio_example.mp3", "-o", "-", "--stems", "vocals"], user=USER,
                                 binds=[(None, "/tmp"), (SONG.parent, "/mnt", "ro")], read_only=True)
    assert client.separate(SONG)[-1000000:] == subprocess.run(command, check=True, capture_output=True).stdout[-1000000:]

    os.kill(service(process), signal.SIGTERM)
    assert process.wait(30) == 0
    assert subprocess.run(healthy, capture_output=True).returncode != 0


def test_keys_are_read_from_a_secret(image, start, port, tmp_path):
    """As Kubernetes and Compose mount it: a read-only file of another user."""
    keys = tmp_path / "keys"
    keys.mkdir()
    add = image.root.command(["spleeterd", "keys", "add", "prometheus", "--role", "metrics"], env={"SPLEETER_DATA_DIR": "/mnt"},
                             binds=[(keys, "/mnt")], read_only=True)
    key = subprocess.run(add, check=True, capture_output=True, text=True).stdout.strip()
    (keys / "keys.json").chmod(0o444)
    (tmp_path / "data/keys.json").touch()
    _, log = start(binds=[(keys / "keys.json", "/var/lib/spleeterd/keys.json", "ro")], SPLEETER_PORT=str(port))
    client = Client(port, key)
    until(client.ready, 60, log.read_text)
    assert b"spleeter_ready 1" in client.get("/metrics")


def test_container_without_key_reports_it(start, port):
    process, log = start(SPLEETER_PORT=str(port))
    assert process.wait(30) == 2
    assert "SPLEETER_API_KEY" in log.read_text()


def test_nothing_in_the_image_can_give_rights_or_build(image):
    privileged = {path for path in image.root.upper.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000}
    assert not privileged
    assert image.root.run("sh", "-c", "command -v cc gcc make meson git curl python3", check=False).stdout == ""
    assert image.root.run("sh", "-c", "ls /var/lib/apt/lists /packages").stdout == "/packages:\n\n/var/lib/apt/lists:\n"


def test_what_the_image_adds_stays_small(image):
    added = int(subprocess.run(["du", "-sm", image.root.upper], check=True, capture_output=True, text=True).stdout.split()[0])
    print(f"the image adds {added} MiB to Debian's, {added - 75} without the model")
    assert added < 400
