# SPDX-License-Identifier: MIT
"""The commands that the documentation gives to new users work, and produce the same bytes as the
command."""
import io
import pathlib
import re
import shutil
import subprocess
import zipfile

import pytest

from conftest import KEY, PROGRAM, REPOSITORY, SONG, environment, free_port

for tool in ("curl", "jq"):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed", allow_module_level=True)


def block(page, containing):
    """Returns the lines of the only shell block of the page with the text `containing`."""
    blocks = re.findall(r"```sh\n(.*?)```", (REPOSITORY / page).read_text(), flags=re.DOTALL)
    found, = [lines for lines in blocks if containing in lines]
    return found


def run(script, folder, **variables):
    """Runs the script in a folder that looks like this repository, and returns its output."""
    for name in ("examples", "models"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "build").symlink_to(pathlib.Path(PROGRAM).parent)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env={**environment(), "HOME": str(folder), **variables},
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture
def expected(command):
    return command(SONG.read_bytes(), name=SONG.name)


def stems_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.rsplit("/", 1)[-1]: archive.read(name) for name in archive.namelist() if not name.endswith("manifest.json")}


@pytest.mark.parametrize("page", ["README.md", "README.fr.md"])
def test_the_first_lines(page, tmp_path, expected):
    folder, port = tmp_path / "clone", str(free_port())
    folder.mkdir()
    script = block(page, "spleeterd serve 2>").replace("8080", port)
    assert script.count("serve 2> service.log &") == 1
    out = run(script + "\nkill $!\nwait $!\n", folder, SPLEETER_PORT=port)
    assert '"status":"succeeded"' in out
    assert stems_of((folder / "audio_example.zip").read_bytes()) == expected


def test_step_by_step(service, tmp_path, expected):
    folder = tmp_path / "clone"
    folder.mkdir()
    steps = block("docs/service.md", "JOB=$(curl").replace("8080", str(service.port))
    more = "".join(block("docs/service.md", text) for text in ("-F codec=mp3 -F bitrate=320k", "Idempotency-Key: order-43", "$URL/separate"))
    run(steps + more, folder, KEY=KEY)
    assert (folder / "audio_example - vocals.wav").read_bytes() == expected["vocals.wav"]
    assert stems_of((folder / "audio_example.zip").read_bytes()) == expected
    assert (folder / "vocals.mp3").read_bytes()[:3] == b"ID3"
