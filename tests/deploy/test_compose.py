# SPDX-License-Identifier: MIT
"""The Compose files: against the specification's schema, by its reference loader, and each file that they mount by its own program."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import jsonschema
import pytest
import yaml

from conftest import REPOSITORY, missing, tool

COMPOSE = REPOSITORY / "deploy/compose"
FULL = COMPOSE / "full"
FILES = [COMPOSE / "compose.yaml", FULL / "compose.yaml"]
SCHEMA = json.loads((pathlib.Path(__file__).parent / "schemas/compose-spec.json").read_text())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A copy with secrets, made with the program $SPLEETERD."""
    copy = tmp_path_factory.mktemp("compose") / "full"
    shutil.copytree(FULL, copy, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([copy / "secrets.sh"], check=True)
    return copy


@pytest.mark.parametrize("path", FILES, ids=["alone", "full"])
def test_schema(path):
    document = yaml.safe_load(path.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    next(iter(document["services"].values()))["port"] = ["80:80"]
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document), "a word that is not known is refused"


def test_reference_loader(full):
    tool("compose-go", "-no-interpolation", COMPOSE / "compose.yaml")
    loaded = json.loads(tool("compose-go", "-no-interpolation", "-format", "json", "compose.yaml", cwd=full).stdout)
    for name in ("api", "worker"):
        service = loaded["services"][name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        assert service["environment"]["SPLEETER_DATABASE_URL_FILE"] == "/run/secrets/database-url"
    published = [port for service in loaded["services"].values() for port in service.get("ports", [])
                 if port.get("host_ip") != "127.0.0.1"]
    assert {port["published"] for port in published} == {"80", "443"}, "only the proxy is reached from outside"


def test_proxies_are_trusted():
    """Clients behind the proxy have addresses of their own: the proxy of the full set, and one on the host in front of the service alone."""
    full, alone = (yaml.safe_load((folder / "compose.yaml").read_text()) for folder in (FULL, COMPOSE))
    proxy = full["services"]["proxy"]["networks"]["front"]["ipv4_address"]
    assert full["services"]["api"]["environment"]["SPLEETER_TRUSTED_PROXIES"] == f"{proxy}/32"
    gateway = alone["networks"]["default"]["ipam"]["config"][0]["gateway"]
    assert alone["services"]["spleeterd"]["environment"]["SPLEETER_TRUSTED_PROXIES"] == f"{gateway}/32"
    assert alone["services"]["spleeterd"]["ports"] == ["127.0.0.1:8080:8080"], "the gateway passes on nothing but this host's"


def test_secrets_are_made_once(full):
    before = {path.name: path.read_text() for path in (full / "secrets").iterdir()}
    subprocess.run([full / "secrets.sh"], check=True)
    assert before == {path.name: path.read_text() for path in (full / "secrets").iterdir()}
    assert len(set(before.values())) == len(before) == 8
    assert before["database-password"] in before["database-url"]
    named = re.findall(r"file: \./(secrets/[\w.-]+)", (full / "compose.yaml").read_text())
    assert len(named) == 7 and all((full / name).exists() for name in named)


def test_what_is_mounted_exists():
    for path in FILES:
        for source in re.findall(r'(?:^|[\s"])(\.{1,2}/[\w./-]+):/', path.read_text()):
            assert (path.parent / source).exists(), source


def test_prometheus(full):
    tool("promtool", "check", "config", "--syntax-only", full / "prometheus.yml")


def test_caddy(full):
    tool("caddy", "adapt", "--validate", "--config", full / "Caddyfile", env={"HOME": str(full), "PATH": "/usr/bin:/bin", "DOMAIN": "localhost"})


def test_clamd(full):
    """clamd takes the file: it gets as far as missing signatures."""
    program = shutil.which("clamd") or "/usr/sbin/clamd"
    if not pathlib.Path(program).exists():
        missing("clamd is not installed")
    config = full / "clamd.test.conf"
    config.write_text((full / "clamd.conf").read_text().replace("/var/lib/clamav", str(full / "signatures")).replace("User clamav\n", ""))
    (full / "signatures").mkdir()
    done = subprocess.run([program, "-c", config], capture_output=True, text=True, timeout=60)
    assert "Parse error" not in done.stdout + done.stderr and "signatures" in done.stdout + done.stderr, done.stdout + done.stderr


def test_bucket_is_made(full, port, tmp_path):
    """The commands of s3 and bucket, run with a real versitygw: twice, since each start of the set runs them."""
    program = os.environ.get("VERSITYGW") or shutil.which("versitygw", path="/usr/local/lib/spleeterd-tests")
    if not program:
        pytest.skip("versitygw is not installed; see tests/scale/install.sh")
    services = yaml.safe_load((full / "compose.yaml").read_text())["services"]
    env = dict(line.split("=", 1) for line in (full / "secrets/s3.env").read_text().split())
    (tmp_path / "data").mkdir()
    arguments = [{":7070": f"127.0.0.1:{port}", "/data": str(tmp_path / "data")}.get(word, word) for word in services["s3"]["command"]]
    with open(tmp_path / "log", "w") as log, subprocess.Popen([program, *arguments], env=env, stdout=log, stderr=log) as server:
        try:
            (script,) = services["bucket"]["command"]
            script = script.replace("$$", "$").replace("http://s3:7070", f"http://127.0.0.1:{port}")
            for code in ("200", "409"):
                done = subprocess.run([*services["bucket"]["entrypoint"], script], env={**env, "PATH": os.environ["PATH"]}, capture_output=True, text=True)
                assert done.returncode == 0 and done.stdout == f"{code}\n", done.stdout + done.stderr + (tmp_path / "log").read_text()
        finally:
            server.terminate()
