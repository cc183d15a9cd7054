# SPDX-License-Identifier: MIT
"""Output for people: the progress line, and file names with terminal control sequences."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata

import pytest

from conftest import PROGRAM
from processes import read_terminal

HOSTILE = b"a\x1b]0;title\x07\x1b[31mred\xe2\x80\xaegpj\x9b\xc2\x9b\r\nb\xff".decode(errors="surrogateescape")
SHOWN = r"a\x1b]0;title\x07\x1b[31mred\u202egpj\x9b\x9b\x0d\x0ab\xff"


@pytest.fixture
def on_terminal(tmp_path):
    """Runs `separate` with a terminal of `columns` columns as standard error. Returns its output as
    text."""

    def run(columns, *arguments):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([PROGRAM, "separate", *arguments, "-o", "out", "--stems", "vocals"], cwd=tmp_path, stderr=slave,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        shown = read_terminal(master)
        assert process.wait(600) == 0
        return shown.decode()

    return run


def bars(shown):
    """Returns the progress lines without their line ends."""
    return [line.removesuffix("\x1b[K") for line in re.findall(r"\r([^\r\n]*?real time[^\r\n]*?\x1b\[K)", shown)]


def columns_of(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.mark.parametrize("columns, bar", [(60, False), (80, True), (200, True)])
@pytest.mark.parametrize("stem", ["x" * 200, "曲" * 60, "été " * 20 + "fin", "short"], ids=["long", "wide", "accents", "short"])
def test_progress_line_fits(on_terminal, song, tmp_path, columns, bar, stem):
    song.rename(tmp_path / f"{stem}.wav")
    (tmp_path / "second.wav").symlink_to(f"{stem}.wav")
    shown = bars(on_terminal(columns, f"{stem}.wav", "second.wav"))
    assert any(line.startswith("[1/2] ") for line in shown) and any(line.startswith("[2/2] second.wav") for line in shown)
    for line in shown:
        assert columns_of(line) < columns and line.endswith(" left") and ("...." in line or "####" in line) == bar
        name = line.split("]")[1].split("  ")[0].strip()
        assert name.startswith(stem[:3]) and name.endswith(".wav") or name == "second.wav"
        if columns_of(stem) > 2 * columns:
            assert "..." in name or name == "second.wav"


def test_quiet(on_terminal, song):
    assert on_terminal(80, "song.wav", "--quiet") == ""


def test_quiet_reports_failures(separate, song):
    result = separate("song.wav", "missing.wav", "--quiet", code=1)
    assert result.lines() == ["spleeterd: cannot open missing.wav: No such file or directory", "spleeterd: 1 of 2 files failed"]


def test_names_are_escaped(on_terminal, separate, song, tmp_path):
    song.rename(tmp_path / f"{HOSTILE}.wav")
    shown = on_terminal(300, f"{HOSTILE}.wav")
    assert SHOWN in bars(shown)[0] and f"out/{SHOWN}/vocals.wav" in shown
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown.replace("\x1b[K", ""))
    for arguments in [["-p", HOSTILE, f"{HOSTILE}.wav"], ["--stems", HOSTILE, f"{HOSTILE}.wav"], [f"{HOSTILE}.mp3"]]:
        result = separate(*arguments, code={"-p": 5, "--stems": 2}.get(arguments[0], 3))
        assert len(result.lines()) == 1 and SHOWN in result.err


def test_name_of_a_missing_command_is_escaped(spleeterd):
    assert spleeterd(HOSTILE, code=2).lines() == [f'spleeterd: there is no command "{SHOWN}"; see spleeterd --help']


@pytest.mark.parametrize("name", ["naïve 曲 ☂.wav", "e\u0301.wav"])
def test_other_names_stay(separate, song, tmp_path, name):
    song.rename(tmp_path / name)
    assert name in separate(name).err
