# SPDX-License-Identifier: MIT
"""web/dist is the output of web/build.mjs, and the sources have no type errors and pass the
linter."""
import shutil
import subprocess

import pytest

from conftest import REPOSITORY, TOOLS

WEB = REPOSITORY / "web"


@pytest.fixture
def workshop(tmp_path):
    """A copy of the sources with the installed packages."""
    shutil.copytree(WEB / "src", tmp_path / "src")
    for name in ("build.mjs", "tsconfig.json", "package.json", ".oxlintrc.json"):
        shutil.copy(WEB / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    return tmp_path


def test_types(workshop):
    done = subprocess.run(["node_modules/.bin/tsc"], cwd=workshop, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lint(workshop):
    done = subprocess.run(["node_modules/.bin/oxlint", "--deny-warnings", "src", "build.mjs"], cwd=workshop, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_bundle_is_up_to_date(workshop):
    done = subprocess.run(["node", "build.mjs", "dist"], cwd=workshop, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (workshop / "dist").iterdir()}
    kept = {path.name: path.read_bytes() for path in (WEB / "dist").iterdir()}
    assert made.keys() == kept.keys(), "run npm run build in web/ and commit web/dist"
    assert made == kept, "run npm run build in web/ and commit web/dist"
