# SPDX-License-Identifier: MIT
"""spleeterd config: the settings in force, what is refused, and the documentation of all of them."""
import os

import pytest

from conftest import REPOSITORY


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SPLEETER_")]:
        if name not in ("SPLEETER_CODEC", "SPLEETER_MODEL_PATH"):
            monkeypatch.delenv(name)


def check(spleeterd, tmp_path, *flags, env=None, code=0):
    return spleeterd("config", "check", *flags, code=code,
                     env={"SPLEETER_DATA_DIR": str(tmp_path / "data"), **(env or {})})


def test_says_where_each_value_comes_from(spleeterd, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdefghij\n")
    result = check(spleeterd, tmp_path, "--port", "81", env={"SPLEETER_API_KEY_FILE": str(secret),
                                                              "SPLEETER_QUEUE": "5"})
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows["SPLEETER_PORT"].split() == ["flag", "81"]
    assert rows["SPLEETER_QUEUE"].split() == ["environment", "5"]
    assert rows["SPLEETER_BIND"].split() == ["default", "127.0.0.1"]
    assert rows["SPLEETER_API_KEY"] == "file named by the environment set"
    assert "0123456789abcdefghij" not in result.out + result.err


def test_a_wrong_value_is_named(spleeterd, tmp_path):
    result = check(spleeterd, tmp_path, env={"SPLEETER_PORT": "http"}, code=2)
    assert result.lines() == ['spleeterd: SPLEETER_PORT "http" (environment): give a whole number from 0 to 65535']


def test_nobody_goes_without_authentication(spleeterd, tmp_path):
    assert "SPLEETER_API_KEY" in check(spleeterd, tmp_path, code=2).err
    check(spleeterd, tmp_path, "--env", "development")
    assert "loopback" in check(spleeterd, tmp_path, "--env", "development", "--bind", "0.0.0.0", code=2).err


def test_a_misspelt_variable_is_told(spleeterd, tmp_path):
    result = check(spleeterd, tmp_path, "--env", "development", env={"SPLEETER_MAX_FILESIZE_MB": "5"})
    assert "SPLEETER_MAX_FILESIZE_MB is set, but there is no such setting" in result.out


def test_the_documentation_is_current(spleeterd):
    page = (REPOSITORY / "docs/settings.md").read_text()
    table = spleeterd("config", "table").out
    assert table.startswith("## ") and page.endswith(table), "write it anew: tools/settings-page.sh"


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["table", "more"]], ids=" ".join)
def test_other_arguments_are_refused(spleeterd, arguments):
    assert "spleeterd config check" in spleeterd("config", *arguments, code=2).err
