# SPDX-License-Identifier: MIT
"""A model that is pulled from a release in Deezer's layout gives Spleeter's output with the same
weights."""

import functools
import http.server
import os
import threading

import pytest

import checkpoint
import formula
import golden


@pytest.fixture
def serve():
    """Yields a function that serves a folder over HTTP and returns its address."""
    servers = []

    def start(folder):
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("name,case", [("4stems", "elu_4stems"), ("5stems", "softmax_5stems")])
def test_pulled_model_is_spleeters(name, case, serve, tmp_path, monkeypatch):
    variables = checkpoint.model_variables(formula.MODELS[f"generated-{name}"])
    checkpoint.write_release(tmp_path / "release", {name: checkpoint.checkpoint_files(variables)})
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    golden.run_program("models", "pull", "--from", serve(tmp_path / "release"), name)
    assert os.listdir(tmp_path / "data/spleeterd/models") == [f"spleeter-{name}"]
    measures = golden.compare(golden.CASES[case], golden.separate(golden.CASES[case], f"spleeter:{name}", str(tmp_path)))
    assert all(m.within_bounds() for m in measures), "\n".join(str(m) for m in measures)
