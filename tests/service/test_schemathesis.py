# SPDX-License-Identifier: MIT
"""Fuzzes the API with schemathesis: no answer is a 5xx, and each matches the description in status,
type and schema. 5 examples per operation; 50 with SPLEETERD_SOAK=1."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import KEY

PROGRAM = pathlib.Path(os.environ["SPLEETERD_BUILD"]) / "schemathesis/bin/schemathesis"
EXAMPLES = "50" if os.environ.get("SPLEETERD_SOAK") else "5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def without_security(document):
    """Keeps schemathesis from trying wrong keys. After some of them the address is rate limited,
    and nothing else would be tested."""
    del document["security"], document["components"]["securitySchemes"]
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    return document


def test_schemathesis_finds_nothing(serve, song, tmp_path):
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not there; tests/service/install.sh installs it")
    service = serve(RATE_PER_MINUTE=1000000, JOBS_PER_KEY=10000)
    job = service.separate(song)
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(without_security(service.get("/openapi.json").json())))
    (tmp_path / "schemathesis.toml").write_text(f'[parameters]\nid = "{job["id"]}"\nfile = "vocals.wav"\n')
    done = subprocess.run(
        [PROGRAM, "run", description, "--url", f"http://127.0.0.1:{service.port}", "-H", f"X-API-KEY: {KEY}",
         "--max-examples", EXAMPLES, "--exclude-method", "DELETE", "--phases", "examples,coverage,fuzzing", "--checks", CHECKS],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:]
    statuses = {line["status"] for line in service.log("http.request")}
    assert {200, 201, 206, 400, 405, 415, 422} <= statuses and max(statuses) < 500
