# SPDX-License-Identifier: MIT
"""spleeterd config: the settings in force, refused values, and the settings' documentation."""
import json
import os
import resource
import socket
import subprocess

import pytest

from conftest import REPOSITORY, without_capabilities


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SPLEETER_")]:
        if name not in ("SPLEETER_CODEC", "SPLEETER_MODEL_PATH"):
            monkeypatch.delenv(name)


def check(spleeterd, tmp_path, *flags, env=None, code=0):
    return spleeterd("config", "check", *flags, code=code,
                     env={"SPLEETER_DATA_DIR": str(tmp_path / "data"), **(env or {})})


def test_reports_where_each_value_comes_from(spleeterd, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("k7Wq2ZtR9vLx4NbHs8Fd\n")
    result = check(spleeterd, tmp_path, "--port", "81", "--offline", env={"SPLEETER_API_KEY_FILE": str(secret),
                                                              "SPLEETER_QUEUE": "5"})
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows["SPLEETER_PORT"].split() == ["flag", "81"]
    assert rows["SPLEETER_QUEUE"].split() == ["environment", "5"]
    assert rows["SPLEETER_BIND"].split() == ["default", "127.0.0.1"]
    assert rows["SPLEETER_API_KEY"] == "file named by the environment set"
    assert "k7Wq2ZtR9vLx4NbHs8Fd" not in result.out + result.err


def test_a_wrong_value_is_named(spleeterd, tmp_path):
    result = check(spleeterd, tmp_path, env={"SPLEETER_PORT": "http"}, code=2)
    assert result.lines()[0] == 'spleeterd: SPLEETER_PORT "http" (environment): give a whole number from 0 to 65535'


@pytest.mark.parametrize("networks", ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "10.0.0.0/8, ::/0"])
@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "SOURCE_ALLOW", "WEBHOOK_ALLOW"])
def test_all_addresses_are_not_trusted(spleeterd, tmp_path, name, networks):
    said = problems(spleeterd, tmp_path, "--offline", **{f"SPLEETER_{name}": networks})
    assert len(said) == 1 and f"SPLEETER_{name}" in said[0] and "not all addresses (/0)" in said[0]


def test_access_needs_authentication(spleeterd, tmp_path):
    assert "SPLEETER_API_KEY" in check(spleeterd, tmp_path, code=2).err
    check(spleeterd, tmp_path, "--env", "development", "--port", "0")
    assert "loopback" in check(spleeterd, tmp_path, "--env", "development", "--bind", "0.0.0.0", code=2).err


FINE = {"SPLEETER_ENV": "development", "SPLEETER_PORT": "0"}


def problems(spleeterd, tmp_path, *flags, code=2, **settings):
    """Returns the problems that `config check` prints. With FINE alone, there are none."""
    return check(spleeterd, tmp_path, *flags, env={**FINE, **settings}, code=code).lines()


def test_nothing_is_wrong(spleeterd, tmp_path, files):
    assert problems(spleeterd, tmp_path, code=0) == [] and not (tmp_path / "data").exists()


@pytest.mark.parametrize("files, workers, connections, words", [
    (1024, 4, 2048, "1024, is too low for 4 workers and 64 connections: raise it to 1472"),
    (1024, 3, 2048, "raise it to 1264"), (1024, 1, 2048, None), (700, 1, 2048, "raise it to 848"), (700, 1, 16, None)])
def test_too_few_open_files(spleeterd, tmp_path, files, workers, connections, words):
    """`serve` refuses with the same words."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    env = {**FINE, "SPLEETER_WORKERS": str(workers), "SPLEETER_CONNECTIONS": str(connections), "SPLEETER_DATA_DIR": str(tmp_path / "data")}
    said = spleeterd("config", "check", "--offline", code=2 if words else 0, env=env, preexec_fn=limit).lines()
    assert len(said) == (1 if words else 0) and (not words or words in said[0] and "SPLEETER_WORKERS" in said[0])
    if words:
        assert words in spleeterd("serve", code=2, env=env, preexec_fn=limit).err


@pytest.mark.parametrize("given, meant", [("RETENTIONS", "RETENTION_S"), ("MAX_FILESIZE_MB", "MAX_FILE_SIZE_MB"),
                                          ("API_KEYS", "API_KEY"), ("WORKER", "WORKERS"), ("NOTHING_LIKE_IT", None)])
def test_a_misspelled_variable_is_reported(spleeterd, tmp_path, given, meant):
    hint = f" (did you mean SPLEETER_{meant}?)" if meant else ""
    assert problems(spleeterd, tmp_path, **{f"SPLEETER_{given}": "5"}) == \
        [f"spleeterd: SPLEETER_{given} is set, but there is no such setting{hint}"]


def test_a_misspelled_flag_is_reported(spleeterd, tmp_path):
    assert "no setting --bindd (did you mean --bind?)" in problems(spleeterd, tmp_path, "--bindd", "::1")[0]


def certificate(folder, name, *options):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                    "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", *options], check=True, capture_output=True)


@pytest.mark.parametrize("chain, key, words", [
    ("a.pem", "a.key", None), ("gone.pem", "a.key", "SPLEETER_TLS_CERTIFICATE: cannot open {}/gone.pem: No such file"),
    ("a.pem", "gone.key", "SPLEETER_TLS_KEY: cannot open {}/gone.key"), ("a.key", "a.key", "holds no certificate"),
    ("a.pem", "a.pem", "holds no private key"), ("a.pem", "b.key", "is not that of the certificate")])
def test_tls_files(spleeterd, tmp_path, chain, key, words):
    for name in ("a", "b"):
        certificate(tmp_path, name)
    said = problems(spleeterd, tmp_path, code=2 if words else 0, SPLEETER_TLS_CERTIFICATE=str(tmp_path / chain),
                    SPLEETER_TLS_KEY=str(tmp_path / key))
    assert len(said) == bool(words) and (not words or words.format(tmp_path) in said[0])


def test_data_folder_that_cannot_be(spleeterd, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in problems(spleeterd, tmp_path, SPLEETER_DATA_DIR=str(tmp_path / "file/data"))[0]
    assert "is not a folder" in problems(spleeterd, tmp_path, SPLEETER_DATA_DIR=str(tmp_path / "file"))[0]


def test_data_folder_of_somebody_else(spleeterd, tmp_path):
    for name, mode in {"fixed": 0o500, "data": 0o700, "data/audit": 0o000}.items():
        (tmp_path / name).mkdir(mode=mode)
    (tmp_path / "data/keys.json").write_text("")
    (tmp_path / "data/keys.json").chmod(0)
    said = [spleeterd("config", "check", code=2, preexec_fn=without_capabilities,
                      env={**FINE, "SPLEETER_DATA_DIR": str(tmp_path / name)}).err for name in ("fixed/data", "data")]
    assert f"cannot write to {tmp_path}/fixed: Permission denied" in said[0]
    assert f"cannot use {tmp_path}/data/audit: Permission denied" in said[1]
    assert f"cannot use {tmp_path}/data/keys.json: Permission denied" in said[1]


def test_files_that_are_no_files(spleeterd, tmp_path):
    """Each is a FIFO without a writer: the check reports it instead of waiting."""
    (tmp_path / "data").mkdir(mode=0o700)
    for name in ("data/keys.json", "chain", "key", "api-key"):
        os.mkfifo(tmp_path / name, 0o600)
    said = problems(spleeterd, tmp_path, SPLEETER_TLS_CERTIFICATE=str(tmp_path / "chain"), SPLEETER_TLS_KEY=str(tmp_path / "key"),
                    SPLEETER_API_KEY_FILE=str(tmp_path / "api-key"))
    for name in ("data/keys.json", "chain", "key", "api-key"):
        assert sum(f"{tmp_path}/{name} is not a regular file" in line for line in said) == 1, name


def make_link(path):
    path.symlink_to(path.parent.parent / "elsewhere")


def write_file(size, mode):
    def write(path):
        path.write_bytes(bytes(size))
        path.chmod(mode)
    return write


@pytest.mark.parametrize("name, make", [
    ("data/secret", os.mkfifo), ("data/secret", os.mkdir), ("data/secret", write_file(32, 0o644)), ("data/secret", write_file(31, 0o600)),
    ("data/lock", os.mkfifo), ("data/lock", os.mkdir), ("data/lock", make_link),
    ("data/jobs.db", os.mkfifo), ("data/jobs.db", os.mkdir), ("data/jobs.db", make_link),
    ("log", os.mkfifo), ("log", os.mkdir)])
def test_files_that_keep_the_service_from_starting(spleeterd, tmp_path, name, make):
    """The check reports the file with the message of the start."""
    (tmp_path / "data").mkdir(mode=0o700)
    make(tmp_path / name)
    settings = {"SPLEETER_LOG_FILE": str(tmp_path / "log")} if name == "log" else {}
    said = problems(spleeterd, tmp_path, "--offline", **settings)
    start = spleeterd("serve", env={**FINE, "SPLEETER_DATA_DIR": str(tmp_path / "data"), **settings}, code=6).lines()[-1]
    assert f"{tmp_path}/{name}" in start and any(start.removeprefix("spleeterd: ") in line for line in said), (start, said)


def test_an_expired_certificate_is_a_warning(spleeterd, tmp_path):
    """The service starts with it, so the check before the start must not fail."""
    (tmp_path / "index").write_text("")
    (tmp_path / "ca").write_text(f"""[ca]\ndefault_ca = own\n[own]\ndatabase = {tmp_path}/index\nnew_certs_dir = {tmp_path}\n"""
                                 """rand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n""")
    certificate(tmp_path, "a")
    subprocess.run("openssl req -new -key a.key -subj /CN=x -out a.csr && openssl ca -config ca -batch -selfsign -keyfile a.key -in a.csr "
                   "-notext -startdate 20200101000000Z -enddate 20200102000000Z -out a.pem", shell=True, cwd=tmp_path, check=True, capture_output=True)
    settings = {"SPLEETER_TLS_CERTIFICATE": str(tmp_path / "a.pem"), "SPLEETER_TLS_KEY": str(tmp_path / "a.key")}
    (line,) = problems(spleeterd, tmp_path, "--offline", code=0, **settings)
    assert line.startswith("spleeterd: warning: ") and "expired" in line
    report = json.loads(check(spleeterd, tmp_path, "--offline", "--json", env={**FINE, **settings}).out)
    assert report["problems"] == [] and len(report["warnings"]) == 1


@pytest.mark.parametrize("name, setting", [("data", None), ("data/keys.json", None), ("secret", "API_KEY_FILE"), ("a.pem", "TLS_CERTIFICATE"),
                                           ("a.key", "TLS_KEY")])
def test_what_others_may_change(spleeterd, tmp_path, name, setting):
    """Others may write the file or folder, or own it."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/keys.json").write_text('{"version": 1, "keys": []}')
    (tmp_path / "data/keys.json").chmod(0o600)
    (tmp_path / "secret").write_text("k7Wq2ZtR9vLx4NbHs8Fdk7Wq2ZtR9vLx4NbHs8F0")
    certificate(tmp_path, "a")
    settings = {"SPLEETER_TLS_CERTIFICATE": str(tmp_path / "a.pem"), "SPLEETER_TLS_KEY": str(tmp_path / "a.key"),
                "SPLEETER_API_KEY_FILE": str(tmp_path / "secret")}
    path = tmp_path / name
    assert problems(spleeterd, tmp_path, "--offline", code=0, **settings) == []
    mode = path.stat().st_mode
    path.chmod(mode | 0o002)
    (line,) = problems(spleeterd, tmp_path, "--offline", **settings)
    assert "others may write" in line and f"chmod go-w {path}" in line and (not setting or f"SPLEETER_{setting}" in line)
    assert "chmod go-w" in spleeterd("serve", "--data-dir", tmp_path / "data", env={**FINE, **settings}, code=2 if name == "secret" else 6).err
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 10001, 0)
        (line,) = problems(spleeterd, tmp_path, "--offline", **settings)
        assert f"{path} belongs to user 10001" in line and "chown 0" in line


@pytest.mark.parametrize("settings, words", [
    ({"SPLEETER_MODEL": "7stems"}, "SPLEETER_MODEL: there is no model 7stems"),
    ({"SPLEETER_MODEL": "4stems", "SPLEETER_PULL_MODELS": "4stems,6stems"}, "SPLEETER_PULL_MODELS: there is no model 6stems"),
    ({"SPLEETER_CODEC": "/nothing"}, "the codec helper /nothing"),
    ({"SPLEETER_LOG_FILE": "/nowhere/log"}, "SPLEETER_LOG_FILE: cannot make /nowhere/log"),
    ({"SPLEETER_CLAMD": "unix:/nothing"}, "SPLEETER_CLAMD: clamd at unix:/nothing does not answer")])
def test_what_a_job_needs(spleeterd, tmp_path, settings, words):
    said = problems(spleeterd, tmp_path, **settings)
    assert len(said) == 1 and words in said[0]


def test_damaged_keys(spleeterd, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/keys.json").write_text("{")
    assert "keys.json is not valid JSON" in problems(spleeterd, tmp_path)[0]


def test_servers_that_do_not_answer(spleeterd, tmp_path):
    """Each server is a socket that accepts connections but never answers, or a port without a
    listener."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        quiet, nobody = (f"127.0.0.1:{s.getsockname()[1]}" for s in (silent, closed))
        settings = {"SPLEETER_DATABASE_URL": f"postgresql://u:hunter2@{nobody}/x", "SPLEETER_S3_ENDPOINT": f"http://{nobody}",
                    "SPLEETER_S3_BUCKET": "b", "SPLEETER_S3_ACCESS_KEY_ID": "id", "SPLEETER_S3_SECRET_ACCESS_KEY": "hunter2",
                    "SPLEETER_SECRET": "hunter2-and-some-31-characters-more", "SPLEETER_CLAMD": f"tcp:{quiet}", "SPLEETER_JWT_ISSUER": "i",
                    "SPLEETER_JWT_AUDIENCE": "a", "SPLEETER_JWT_JWKS_URL": f"http://{nobody}/", "SPLEETER_PORT": quiet[10:]}
        said = [line for line in problems(spleeterd, tmp_path, **settings) if line.startswith("spleeterd: ")]
        names = ["BIND and SPLEETER_PORT", "DATABASE_URL", "S3_ENDPOINT", "CLAMD", "JWT_JWKS_URL"]
        assert [line.split(":")[1] for line in said] == [f" SPLEETER_{name}" for name in names]
        assert "hunter2" not in "".join(said) and "Address already in use" in said[0]
        assert problems(spleeterd, tmp_path, "--offline", code=0, **settings) == []


def test_all_problems_are_reported_at_once(spleeterd, tmp_path):
    said = problems(spleeterd, tmp_path, "--nonsense", SPLEETER_PORT="http", SPLEETER_QUEUE="many", SPLEETER_TLS_KEY="/gone",
                    SPLEETER_RETENTIONS="1", SPLEETER_DATA_DIR="/dev/null/x", SPLEETER_MODEL="7stems", SPLEETER_CODEC="/nothing",
                    SPLEETER_ENV="production")
    for words in ("--nonsense", "SPLEETER_PORT", "SPLEETER_QUEUE", "go together", "cannot open /gone", "SPLEETER_RETENTIONS",
                  "SPLEETER_DATA_DIR", "SPLEETER_MODEL", "/nothing", "there is no API key", "were not checked"):
        assert sum(words in line for line in said) == 1, words
    assert len(said) == 11


def test_json(spleeterd, tmp_path):
    result = check(spleeterd, tmp_path, "--json", "--port", "81", code=2,
                   env={**FINE, "SPLEETER_RETENTIONS": "1", "SPLEETER_API_KEY": "k7Wq2ZtR9vLx4NbHs8Fd"})
    report = json.loads(result.out)
    rows = {row.pop("name"): row for row in report["settings"]}
    assert rows["SPLEETER_PORT"] == {"from": "flag", "value": 81} and rows["SPLEETER_API_KEY"]["value"] == "set"
    assert len(report["problems"]) == 1 and "RETENTIONS" in report["problems"][0] and result.err == ""


def test_serve_refuses_a_missing_model(spleeterd, tmp_path):
    result = spleeterd("serve", "--data-dir", tmp_path / "data", "--model", "7stems", code=2, env={**FINE, "SPLEETER_RETENTIONS": "1"})
    assert result.lines()[-1].startswith("spleeterd: SPLEETER_MODEL: there is no model 7stems")
    assert "service.unknown_setting" in result.err and "SPLEETER_RETENTION_S" in result.err


def test_the_documentation_is_current(spleeterd):
    page = (REPOSITORY / "docs/settings.md").read_text()
    table = spleeterd("config", "table").out
    assert table.startswith("## ") and page.endswith(table), "write it anew: tools/settings-page.sh"


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["table", "more"]], ids=" ".join)
def test_other_arguments_are_refused(spleeterd, arguments):
    assert "spleeterd config check" in spleeterd("config", *arguments, code=2).err
