# SPDX-License-Identifier: MIT
"""Help, man page, completions and README know the same options and exit codes."""
import re
import shutil
import subprocess

import pytest

from conftest import REPOSITORY

COMPLETIONS = sorted((REPOSITORY / "completions").iterdir())


@pytest.fixture(params=["separate", "models", "evaluate", "bench", "keys", "webhooks", "config", "audit"])
def command(request):
    return request.param


@pytest.fixture
def options(command, spleeterd):
    """The (short, long) options that the help text of a command lists."""
    found = re.findall(r"^  (?:-(\w), |    )--([\w-]+)", spleeterd(command, "--help").out, re.M)
    assert found
    return found


def test_man_page_has_each_option(options):
    page = (REPOSITORY / "man/spleeterd.1").read_text()
    for short, name in options:
        assert re.search(rf"^\.It Fl {short} , -{name}\b" if short else rf"^\.It Fl -{name}\b", page, re.M), name


@pytest.mark.parametrize("path", COMPLETIONS, ids=lambda path: path.name)
def test_completions_have_each_option(options, path):
    text = path.read_text()
    for _, name in options:
        assert re.search(rf"(--|-l ){name}\b", text), name


@pytest.mark.parametrize("path", COMPLETIONS, ids=lambda path: path.name)
def test_completions_parse(path):
    shell = {"spleeterd.bash": "bash", "_spleeterd": "zsh", "spleeterd.fish": "fish"}[path.name]
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", path], check=True)


def test_bash_completes(command, options):
    names = [f"--{name}" for _, name in options]
    script = (f"source {REPOSITORY}/completions/spleeterd.bash; COMP_WORDS=(spleeterd {command} --); COMP_CWORD=2; "
              "_spleeterd; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(names)


def test_exit_codes_are_in_the_man_page(spleeterd):
    codes = re.findall(r"^  ([\d, ]+?)  +(.+)$", spleeterd("separate", "--help").out.split("Exit codes:")[1], re.M)
    page = (REPOSITORY / "man/spleeterd.1").read_text()
    assert len(codes) == 10
    for code, meaning in codes:
        assert f".It {code}\n{meaning}\n" in page


def test_man_page_has_no_mistakes():
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    subprocess.run(["mandoc", "-Tlint", "-Wwarning", REPOSITORY / "man/spleeterd.1"], check=True)
