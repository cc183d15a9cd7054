# SPDX-License-Identifier: MIT
"""Clients generated from the API's description work. Each submits a song, waits for it, downloads a
stem, and reads a refusal. `make check-clients` installs all generators; `make test` uses the
quickest one."""
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import KEY, REPOSITORY

BUILD = pathlib.Path(os.environ["SPLEETERD_BUILD"])
CLIENTS, GENERATORS, NODE = BUILD / "clients/bin", BUILD / "generators/bin", BUILD / "page/node_modules/.bin"
DOCUMENT = REPOSITORY / "src/service/http/routes/openapi.json"
USES = pathlib.Path(__file__).parent / "generated"


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not there; make check-clients installs what it can")


def run(*command, **keywords):
    done = subprocess.run(command, capture_output=True, **keywords)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:].decode()
    return done.stdout


def openapi_generator(language, folder):
    needs(GENERATORS / "openapi-generator-cli", "java")
    run(GENERATORS / "openapi-generator-cli", "generate", "-i", DOCUMENT, "-g", language, "-o", folder)


@pytest.fixture
def separates(service, song, tmp_path):
    """Runs a program with URL, KEY and SONG, and checks the stem that it writes."""

    def check(*command, **keywords):
        path = tmp_path / "song.wav"
        path.write_bytes(song)
        stem = run(*command, f"http://127.0.0.1:{service.port}", KEY, path, **keywords)
        assert stem == service.stem(service.get("/v1/jobs").json()["jobs"][0]["id"], "vocals.wav").body

    return check


def test_openapi_python_client(separates, tmp_path):
    needs(CLIENTS / "openapi-python-client")
    folder = tmp_path / "client"
    said = run(CLIENTS / "openapi-python-client", "generate", "--path", DOCUMENT, "--output-path", folder, "--meta", "none",
               env={**os.environ, "PATH": f"{CLIENTS}:{os.environ['PATH']}"}).decode()
    assert "Unable to process schema" not in said, said
    shutil.move(folder, tmp_path / "spleeterd_client")
    separates(CLIENTS / "python", USES / "openapi_python_client.py", env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_openapi_generator_python(separates, tmp_path):
    needs(CLIENTS / "python")
    openapi_generator("python", tmp_path)
    separates(CLIENTS / "python", USES / "openapi_generator.py", env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_openapi_generator_typescript(separates, tmp_path):
    needs("node", NODE / "tsc", NODE / "esbuild")
    openapi_generator("typescript-fetch", tmp_path / "client")
    for file in USES.glob("typescript_fetch.*"):
        shutil.copy(file, tmp_path)
    run(NODE / "tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler",
        "--lib", "es2022,dom", tmp_path / "typescript_fetch.ts")
    run(NODE / "esbuild", tmp_path / "typescript_fetch.mjs", "--bundle", "--platform=node", "--format=esm",
        f"--outfile={tmp_path}/separate.mjs")
    separates("node", tmp_path / "separate.mjs")
