# SPDX-License-Identifier: MIT
"""SPLEETER_PULL_MODELS: the service downloads Deezer's models when it starts, here from a local
server with archives in the form of Deezer's release."""
import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from conftest import KEY, PROGRAM, REPOSITORY, Service, environment, free_port, wait_until

sys.path += [str(REPOSITORY / "tests" / folder) for folder in ("download", "golden")]
import checkpoint  # noqa: E402
import formula  # noqa: E402
from release_server import Release  # noqa: E402

MODEL = {**formula.MODELS["generated-4stems"], "stems": ["vocals", "accompaniment"], "seed": 4000}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    checkpoint.write_release(folder, {"2stems": checkpoint.checkpoint_files(checkpoint.model_variables(MODEL))})
    return (folder / "2stems.tar.gz").read_bytes()


@pytest.fixture
def release(archive):
    server = Release({"2stems.tar.gz": archive, "checksum.json": json.dumps({"2stems": hashlib.sha256(archive).hexdigest()}).encode()})
    yield server
    server.close()


def refused(folder, **settings):
    """Returns the messages of a service that does not start."""
    done = subprocess.run([PROGRAM, "serve"], capture_output=True, text=True, timeout=300,
                          env=environment(DATA_DIR=folder / "data", PORT=free_port(), API_KEY=KEY, **{"PULL_MODELS": "2stems", **settings}))
    assert done.returncode > 0, done
    return done.stderr


def test_models_are_installed_when_it_is_ready(serve, release, song, command, monkeypatch):
    service = serve(PULL_MODELS="2stems", MODEL_URL=release.address)
    job = service.separate(song, model="spleeter:2stems")
    models = {model["name"]: model["sha256"] for model in service.get("/v1/models").json()["models"]}
    assert models["spleeter:2stems"] == job["model"]["sha256"]
    monkeypatch.setenv("SPLEETER_MODEL_PATH", str(service.data / "models"))
    made = command(song, "-p", "spleeter:2stems")
    assert {output["file"]: service.stem(job["id"], output["file"]).body for output in job["outputs"]} == made
    # The next start finds them on the disk.
    before = len(release.requests)
    assert service.stop() == 0
    service.start()
    assert not [path for path, *_ in release.requests[before:] if path.endswith(".tar.gz")]
    assert service.separate(song, model="spleeter:2stems", stems="vocals")["model"]["sha256"] == models["spleeter:2stems"]


def test_no_start_without_them(tmp_path, release, archive):
    release.status = 404
    assert "404" in refused(tmp_path, MODEL_URL=release.address)
    release.status = None
    release.files["2stems.tar.gz"] = archive[:-1] + bytes([archive[-1] ^ 1])
    assert "SHA-256" in refused(tmp_path, MODEL_URL=release.address)
    assert "3stems" in refused(tmp_path, MODEL_URL=release.address, **{"PULL_MODELS": "3stems"})


def test_sigterm_ends_a_download(tmp_path, release):
    release.stall_after = 100000
    service = Service(tmp_path, {"PORT": free_port(), "DATA_DIR": tmp_path / "data", "API_KEY": KEY, "PULL_MODELS": "2stems",
                                 "MODEL_URL": release.address}).start(wait=False)
    part = tmp_path / "data/models/.pull-2stems/2stems.tar.gz.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 100000, what="a download that stalls")
    started = time.monotonic()
    assert service.stop() == -signal.SIGTERM
    assert time.monotonic() - started < 20, "it waited for the download"
