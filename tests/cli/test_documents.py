# SPDX-License-Identifier: MIT
"""Help, man page, completions and README list the same options and exit codes."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import PROGRAM, REPOSITORY

COMPLETIONS = sorted((REPOSITORY / "completions").iterdir())


COMMANDS = ["separate", "models", "evaluate", "bench", "keys", "webhooks", "config", "audit"]


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


@pytest.fixture
def options(command, spleeterd):
    """Returns the (short, long) options in the help text of a command."""
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


# (words, completions). readline splits words at ":" and "=", fish does not.
OFFERS = [
    (["separate", "-p", "spleeter:2stems-"], ["spleeter:2stems-16kHz"]),
    (["models", "info", "spleeter:"], ["spleeter:2stems", "spleeter:2stems-16kHz"]),
    (["bench", "-p", "4s"], ["4stems"]),
    (["separate", "--stems", ""], ["vocals", "accompaniment"]),
    (["separate", "-p", "spleeter:2stems-16kHz", "--stems", "a"], ["accompaniment"]),
    (["separate", "-p", "4stems", "--stems", "vocals,d"], ["vocals,drums"]),
    (["separate", "-p", "5stems", "--mix", "band=drums+p"], ["band=drums+piano"]),
    (["separate", "--codec=fl"], ["--codec=flac"]),
    (["config", "check", "--off"], ["--offline"]),
    (["keys", "ro"], ["rotate"]),
]


@pytest.fixture
def with_program(tmp_path):
    (tmp_path / "spleeterd").symlink_to(PROGRAM)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.mark.parametrize("words, offers", OFFERS, ids=lambda value: " ".join(value))
def test_bash_offers(with_program, tmp_path, words, offers):
    split = [part for word in words for part in (re.findall(r"[:=]|[^:=]+", word) or [""])]
    if words[-1].endswith((":", "=")):
        split.append("")
    script = (f"source {REPOSITORY}/completions/spleeterd.bash; COMP_WORDS=(spleeterd \"$@\"); COMP_CWORD=$#; _spleeterd; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", *split], capture_output=True, text=True, check=True, env=with_program, cwd=tmp_path)
    kept = re.match(r"(.*[:=])?", words[-1]).group()
    assert sorted(kept + line for line in done.stdout.split()) == sorted(offers) and done.stderr == ""


@pytest.mark.parametrize("words, offers", OFFERS, ids=lambda value: " ".join(value))
def test_fish_offers(with_program, tmp_path, words, offers):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = f"source {REPOSITORY}/completions/spleeterd.fish; complete -C 'spleeterd {' '.join(words)}'"
    done = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, check=True, env=with_program, cwd=tmp_path)
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(name for name in offered if "spleeter:spleeterd" not in name) == sorted(offers)


def test_zsh_offers(with_program, tmp_path):
    """zsh only completes in a shell with a terminal."""
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    script, got = tmp_path / "ask.zsh", tmp_path / "got"
    script.write_text(f"""
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'fpath=({REPOSITORY}/completions $fpath); autoload -U compinit; compinit -u -D'
        zpty -w shell 'tell() {{ print -r -- "$BUFFER" >> {got}; BUFFER= }}; zle -N tell; bindkey "^I" complete-word "^X" tell'
        for words in "" "$@"; do
            zpty -n -w shell "$words"$'\\t\\x18'
            (( lines++ ))
            until [[ $(wc -l < {got}) -ge $lines ]] 2>/dev/null; do sleep 0.02; done
        done
        zpty -d shell""")
    asked = {"separate -p spleeter:2stems-": "spleeter:2stems-16kHz", "separate --stems voc": "vocals,",
             "separate -p 4stems --stems vocals,d": "vocals,drums,", "separate -p 5stems --mix band=drums+p": "band=drums+piano+",
             "config check --off": "--offline", "keys ro": "rotate"}
    subprocess.run(["zsh", "-f", script, *(f"spleeterd {words}" for words in asked)], check=True, env=with_program, cwd=tmp_path,
                   timeout=120)
    assert [line.rstrip() for line in got.read_text().splitlines()[1:]] == [
        f"spleeterd {words.rpartition(' ')[0]} {offer}" for words, offer in asked.items()]


def test_help_fits_80_columns(spleeterd):
    for arguments in [["--help"], *([name, "--help"] for name in [*COMMANDS, "health"])]:
        text = spleeterd(*arguments).out
        options = text.split("Options:")[1].split("Exit codes:")[0]
        assert all(len(line) <= 80 for line in text.splitlines())
        if len(arguments) > 1:
            assert all(re.match(r"  (-\w, |    )--| {34}\S|$", line) for line in options.splitlines()), arguments


def test_help_of_health_names_its_settings(spleeterd):
    text = spleeterd("health", "--help").out
    assert "--port" in text and "--webhook-attempts" not in text


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
