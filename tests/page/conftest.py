# SPDX-License-Identifier: MIT
"""The page in a real Chromium, served by the real service. The fixtures of tests/service start it.

The browser is Debian's package, $CHROMIUM or `chromium`; Playwright comes from install.sh.
"""
import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/service"))

import importlib.util  # noqa: E402

# Under a name of its own: this file is a conftest as well.
specification = importlib.util.spec_from_file_location("service_fixtures", REPOSITORY / "tests/service/conftest.py")
service_fixtures = importlib.util.module_from_spec(specification)
sys.modules["service_fixtures"] = service_fixtures
specification.loader.exec_module(service_fixtures)

from service_fixtures import KEY, PROGRAM, SONG, environment, free_port, jwks, music, serve, service, song, wait_until, wav_bytes  # noqa: E402, F401
