# SPDX-License-Identifier: MIT
"""Runs the command with only Python's standard library."""
import os
import pathlib
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def spleeterd(tmp_path):
    """Runs the program in tmp_path with `arguments`, and asserts that its exit code is `code`."""

    def run(*arguments, code=0):
        done = subprocess.run([os.environ["SPLEETERD"], *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              cwd=tmp_path, timeout=240)
        assert done.returncode == code, done.stderr
        return done

    return run
