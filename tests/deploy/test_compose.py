# SPDX-License-Identifier: MIT
"""The Compose files: checked with the specification's schema, loaded by its reference loader, and
each mounted file checked by the program that reads it."""
import ipaddress
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

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
    """A copy of the full set with secrets, made with the program $SPLEETERD."""
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


@pytest.mark.parametrize("path", FILES, ids=["alone", "full"])
def test_memory_is_limited(path):
    services = yaml.safe_load(path.read_text())["services"].values()
    assert all("mem_limit" in service for service in services if service["image"] == "spleeterd")


def test_proxies_are_trusted():
    """Behind a trusted proxy, each client has its own address. Trusted are the proxy of the full
    set, and one on the host in front of the single service."""
    full, alone = (yaml.safe_load((folder / "compose.yaml").read_text()) for folder in (FULL, COMPOSE))
    proxy = full["services"]["proxy"]["networks"]["front"]["ipv4_address"]
    assert full["services"]["api"]["environment"]["SPLEETER_TRUSTED_PROXIES"] == f"{proxy}/32"
    front = {name: ipaddress.ip_network(value) for name, value in full["networks"]["front"]["ipam"]["config"][0].items()}
    assert ipaddress.ip_address(proxy) in front["subnet"], "Docker gives it to no other container"
    assert ipaddress.ip_address(proxy) not in front["ip_range"] and front["ip_range"].subnet_of(front["subnet"])
    gateway = alone["networks"]["default"]["ipam"]["config"][0]["gateway"]
    assert alone["services"]["spleeterd"]["environment"]["SPLEETER_TRUSTED_PROXIES"] == f"{gateway}/32"
    assert alone["services"]["spleeterd"]["ports"] == ["127.0.0.1:8080:8080"], "the gateway passes on nothing but this host's"


@pytest.mark.parametrize("path", FILES, ids=["alone", "full"])
def test_logs_have_a_largest_size(path):
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys(), name


def test_secrets_are_made_once(full):
    before = {path.name: path.read_text() for path in (full / "secrets").iterdir()}
    subprocess.run([full / "secrets.sh"], check=True)
    assert before == {path.name: path.read_text() for path in (full / "secrets").iterdir()}
    assert len(set(before.values())) == len(before) == 9
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
    """clamd accepts the file: it only fails because of missing signatures."""
    program = shutil.which("clamd") or "/usr/sbin/clamd"
    if not pathlib.Path(program).exists():
        missing("clamd is not installed")
    config = full / "clamd.test.conf"
    config.write_text((full / "clamd.conf").read_text().replace("/var/lib/clamav", str(full / "signatures")).replace("User clamav\n", ""))
    (full / "signatures").mkdir()
    done = subprocess.run([program, "-c", config], capture_output=True, text=True, timeout=60)
    assert "Parse error" not in done.stdout + done.stderr and "signatures" in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_service_had_the_s3_servers_key(full, tmp_path):
    """A folder of an earlier release: the server's key stays, and the service gets a new one."""
    copy = tmp_path / "full"
    shutil.copytree(full, copy)
    old = copy / "secrets/s3.env"
    old.write_text("ROOT_ACCESS_KEY=a\nROOT_SECRET_KEY=b\nSPLEETER_S3_ACCESS_KEY_ID=a\nSPLEETER_S3_SECRET_ACCESS_KEY=b\n")
    subprocess.run([copy / "secrets.sh"], check=True)
    assert (copy / "secrets/s3-root.env").read_text() == "ROOT_ACCESS_KEY=a\nROOT_SECRET_KEY=b\n"
    assert re.fullmatch(r"SPLEETER_S3_ACCESS_KEY_ID=[0-9a-f]{20}\nSPLEETER_S3_SECRET_ACCESS_KEY=[0-9a-f]{48}\n", old.read_text())


def test_secrets_are_closed_to_other_users(full):
    """Only the owner can enter the folder. The files that Compose binds into a container are
    readable for every user there."""
    folder = full / "secrets"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    bound = {pathlib.Path(name).name for name in re.findall(r"file: \./(secrets/[\w.-]+)", (full / "compose.yaml").read_text())}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes == {name: 0o444 if name in bound else 0o600 for name in modes}


def test_other_users_and_containers(full):
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root rights, to be another user")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        copy = pathlib.Path(place) / "full"
        shutil.copytree(full, copy)
        copy.chmod(0o755)
        another = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"]
        for path in (copy / "secrets").iterdir():
            assert subprocess.run([*another, "cat", path], capture_output=True).returncode, path
        bind = 'touch "$1/in-container"; mount --bind "$1/secrets/api-key" "$1/in-container"; shift; exec "$@"'
        done = subprocess.run(["unshare", "--mount", "sh", "-ec", bind, "sh", copy, *another, "cat", copy / "in-container"], capture_output=True, text=True)
        assert done.stdout == (full / "secrets/api-key").read_text(), done.stderr


def test_bucket_is_made(full, port, tmp_path):
    """Runs the commands of s3 and bucket with a real versitygw: twice, since each start of the set
    runs them."""
    program = os.environ.get("VERSITYGW") or shutil.which("versitygw", path="/usr/local/lib/spleeterd-tests")
    if not program:
        pytest.skip("versitygw is not installed; see tests/scale/install.sh")
    services = yaml.safe_load((full / "compose.yaml").read_text())["services"]
    env = {name: dict(line.split("=", 1) for line in (full / f"secrets/{name}").read_text().split()) for name in ("s3-root.env", "s3.env")}
    root, own = (list(env[name].values()) for name in env)
    both = {**env["s3-root.env"], **env["s3.env"]}
    for folder in ("data", "accounts"):
        (tmp_path / folder).mkdir()
    url = f"http://127.0.0.1:{port}"
    arguments = [{":7070": f"127.0.0.1:{port}", "/data": str(tmp_path / "data"), "/accounts": str(tmp_path / "accounts")}.get(word, word)
                 for word in services["s3"]["command"]]

    def ask(account, method, path):
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
                               "--user", ":".join(account), "-X", method, url + path], capture_output=True, text=True, check=True).stdout

    with open(tmp_path / "log", "w") as log, subprocess.Popen([program, *arguments], env=env["s3-root.env"], stdout=log, stderr=log) as server:
        try:
            (script,) = services["bucket"]["command"]
            script = script.replace("$$", "$").replace("http://s3:7070", url)
            for codes in ("200 201 200 200", "409 409 200 200"):
                done = subprocess.run([*services["bucket"]["entrypoint"], script], env={**both, "PATH": os.environ["PATH"]}, capture_output=True, text=True)
                assert done.returncode == 0 and done.stdout.split() == codes.split(), done.stdout + done.stderr + (tmp_path / "log").read_text()
            assert ask(root, "PUT", "/other") == "200" and ask(root, "PUT", "/stems/before") == "200"
            assert [ask(own, method, "/stems/" + name) for method, name in (("PUT", "a"), ("DELETE", "a"), ("DELETE", "before"))] == ["200", "204", "204"]
            assert [ask(own, "PUT", path) for path in ("/other/a", "/third")] == ["403", "403"] and ask(own, "PATCH", "/list-users") == "403"
        finally:
            server.terminate()
