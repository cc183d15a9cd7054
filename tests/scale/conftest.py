# SPDX-License-Identifier: MIT
import contextlib
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from cluster import Cluster  # noqa: E402
from servers import Postgres, Versitygw  # noqa: E402


@pytest.fixture
def cluster():
    """A function: cluster(NAME=value, ...) starts a cluster with these settings."""
    if not (Postgres.programs and Versitygw.program):
        pytest.skip("PostgreSQL or versitygw is not installed; see tests/scale/install.sh")
    with contextlib.ExitStack() as ends:

        def start(**settings):
            # Not in pytest's folder, which PostgreSQL's user may not enter.
            folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="spleeterd-scale-", ignore_cleanup_errors=True))
            started = Cluster(pathlib.Path(folder), **settings)
            ends.callback(started.close)
            return started

        yield start
