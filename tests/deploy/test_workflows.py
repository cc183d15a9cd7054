# SPDX-License-Identifier: MIT
"""The GitHub workflows are well formed and safe, and run the commands of .ci/run. The scripts are
well formed."""
import re

import yaml

from conftest import REPOSITORY, tool

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))


def test_actionlint():
    """Also runs shellcheck on the scripts of the steps."""
    tool("shellcheck", "--version")
    tool("actionlint", *WORKFLOWS)


def test_zizmor():
    tool("zizmor", "--offline", "--no-progress", REPOSITORY / ".github")


def test_actions_are_pinned():
    uses = [line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())]
    assert uses
    for line in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_workflow_does_what_ci_does():
    """Each command of .ci/run is a step, except `make test`, which two jobs divide."""
    commands = re.findall(r"^(make .*|tests/.*)$", (REPOSITORY / ".ci/run").read_text(), re.M)
    steps = [step["run"].replace('"$SANITIZER"', sanitizer) for job in yaml.safe_load(WORKFLOWS[0].read_text())["jobs"].values()
             for step in job["steps"] if "run" in step for sanitizer in ("asan", "ubsan")]
    assert len(commands) >= 4
    for command in commands:
        if command == "make test":
            assert {"make test TEST_ARGS='--no-suite deploy'", "sudo -E meson test -C build --suite deploy --print-errorlogs"} <= set(steps)
        else:
            assert command in steps, command


def test_scripts():
    scripts = [path for folder in ("tools", "deploy", "tests") for path in (REPOSITORY / folder).rglob("*.sh") if "/secrets/" not in str(path)]
    tool("shellcheck", "--severity=warning", REPOSITORY / ".ci/run", *scripts)
