# SPDX-License-Identifier: MIT
"""`spleeterd models pull` from servers that cut, corrupt, redirect and stall, and with invalid
archives: one clear line, and the existing model stays. tests/golden/test_pull.py compares a pulled
model with Spleeter."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from release_server import Release

sys.path.append(str(pathlib.Path(__file__).parents[1] / "golden"))
import checkpoint  # noqa: E402
import formula  # noqa: E402

PROGRAM = os.environ["SPLEETERD"]
TWO_STEMS = {**formula.MODELS["generated-4stems"], "stems": ["vocals", "accompaniment"], "seed": 2000}
OTHER_TWO_STEMS = {**TWO_STEMS, "seed": 3000}


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Returns {"first", "second": bytes}: two releases of 2stems with different weights."""
    made = {}
    for name, model in (("first", TWO_STEMS), ("second", OTHER_TWO_STEMS)):
        folder = tmp_path_factory.mktemp(name)
        checkpoint.write_release(folder, {"2stems": checkpoint.checkpoint_files(checkpoint.model_variables(model))})
        made[name] = (folder / "2stems.tar.gz").read_bytes()
    return made


def files_of(archive, sha256=None):
    checksums = {"2stems": sha256 or hashlib.sha256(archive).hexdigest()}
    return {"2stems.tar.gz": archive, "checksum.json": json.dumps(checksums).encode()}


@pytest.fixture
def release():
    """Yields a function that starts a server for {name: bytes}."""
    servers = []

    def start(files):
        servers.append(Release(files))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def models(tmp_path):
    return tmp_path / "data/spleeterd/models"


@pytest.fixture
def pull(tmp_path):
    """Runs `spleeterd models pull 2stems --from BASE`, and returns its standard error."""

    def run(base, *options, code=0, env=None, name="2stems"):
        done = subprocess.run([PROGRAM, "models", "pull", name, *(["--from", base] if base else []), *options],
                              capture_output=True, text=True, timeout=300,
                              env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), **(env or {})})
        assert done.returncode == code, done.stderr
        if code:
            assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("spleeterd: ")
        return done.stderr

    return run


def good_model(models):
    """Asserts that the model is complete and the only one. Returns the SHA-256 of its first
    network."""
    assert [entry for entry in os.listdir(models) if entry != "names.json"] == ["spleeter-2stems"]
    subprocess.run([PROGRAM, "models", "verify", models / "spleeter-2stems"], check=True, capture_output=True)
    return json.loads((models / "spleeter-2stems/manifest.json").read_text())["stems"][0]["sha256"]


def leftovers(models):
    folder = models / ".pull-2stems"
    return sorted(os.listdir(folder)) if folder.exists() else None


# --------------------------------------------------------------- sources ----


@pytest.mark.parametrize("kind", ["folder", "file URL", "http", "environment"])
def test_sources(kind, archives, release, pull, models, tmp_path):
    files = files_of(archives["first"])
    folder = tmp_path / "a mirror"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if kind == "folder":
        pull(str(folder) + "/")
    elif kind == "file URL":
        pull("file://" + str(folder).replace(" ", "%20"))
    elif kind == "http":
        pull(release(files).address)
    else:
        pull(None, env={"SPLEETER_MODEL_URL": str(folder)})
    good_model(models)
    manifest = json.loads((models / "spleeter-2stems/manifest.json").read_text())
    assert manifest["name"] == "spleeter-2stems" and hashlib.sha256(archives["first"]).hexdigest() in manifest["source"]


def test_again_downloads_nothing_and_another_release_replaces(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    pull(server.address)
    first = good_model(models)
    assert "already" in pull(server.address)
    assert [path for path, *_ in server.requests].count("/2stems.tar.gz") == 1
    server.files = files_of(archives["second"])
    pull(server.address)
    assert good_model(models) != first
    # A damaged model is replaced.
    net = models / "spleeter-2stems/vocals.safetensors"
    net.write_bytes(net.read_bytes()[:-4])
    pull(server.address)
    assert good_model(models) != first


def test_password_is_not_printed(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    pull(server.address.replace("http://", "http://anna:secret@"))
    assert "secret" not in (models / "spleeter-2stems/manifest.json").read_text()
    server.status = 403
    assert "secret" not in pull(server.address.replace("http://", "http://anna:secret@"), code=5)


# --------------------------------------------------------------- network ----


def test_proxy(archives, release, pull, models):
    """The proxy of curl's environment variables gets the whole URL."""
    server = release(files_of(archives["first"]))
    pull("http://mirror.invalid/v1", env={"http_proxy": server.address})
    good_model(models)
    assert server.requests[0][0] == "http://mirror.invalid/v1/checksum.json"


def test_offline(pull, models):
    message = pull(None, code=5, env={"https_proxy": "http://127.0.0.1:9"})
    assert "github.com/deezer/spleeter" in message and "--from" in message and "no model was changed" in message
    assert not models.exists()


def test_redirect(archives, release, pull, models):
    target = release(files_of(archives["first"]))
    server = release({})
    server.redirect_to = target.address + "/moved"
    pull(server.address)
    good_model(models)
    assert target.requests[-1][0] == "/moved/2stems.tar.gz"


def test_endless_redirects(release, pull):
    server = release({})
    server.redirect_to = server.address
    assert "redirects" in pull(server.address, code=5)
    assert len(server.requests) <= 6


@pytest.mark.parametrize("to", ["file:///etc", "ftp://127.0.0.1"])
def test_redirect_away_from_http(to, release, pull):
    server = release({})
    server.redirect_to = to
    assert "root" not in pull(server.address, code=5)


@contextlib.contextmanager
def raw_server(*parts):
    """Yields the address of a server that answers one request with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                for part in parts:
                    connection.sendall(part)
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("line", [b"X-a: " + b"b" * 1000 + b"\r\n", b"a:\r\n"], ids=["bytes", "lines"])
def test_trailers_without_end(line, pull):
    """Trailers follow the body, and curl would keep them in memory."""
    with raw_server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", line * 20000, b"\r\n") as address:
        assert "headers are too long" in pull(address, code=5)


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"chunked\r\nTransfer-Encoding: deflate", b"chunked\r\n , gzip"])
def test_compressed_transfer_codings(coding, pull):
    """libcurl decodes them unasked, and no timeout or signal ends that."""
    with raw_server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n" + b"x" * 1000) as address:
        message = pull(address, code=5)
    assert "transfer coding" in message or "folded" in message


def test_body_of_a_redirect_has_a_limit(pull):
    """curl reads it to its end before it follows."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 1000000000\r\n\r\n"
    with raw_server(head, *[b"x" * 1000000] * 1000) as address:
        assert "bytes allowed" in pull(address, code=7)


@pytest.mark.parametrize("asked", [False, True])
def test_part_that_is_not_the_rest(asked, archives, release, pull, models):
    """Else each pull appends a part to the partial download, which grows beyond its limit."""
    server = release(files_of(archives["first"]))
    if asked:
        server.cut_after = [1000000] * 5
        pull(server.address, code=5)
    server.content_range = "bytes {first}-{last}/99999999999" if asked else "bytes 0-{last}/{size}"
    for _ in range(2):
        assert "another part" in pull(server.address, code=5)
        assert leftovers(models) is None
        if asked:
            return


def test_cut_connections_are_taken_up(archives, release, pull, models):
    archive = archives["first"]
    server = release(files_of(archive))
    server.cut_after = [1000000, 20000000, 3]
    pull(server.address)
    good_model(models)
    ranges = [asked for path, asked, _ in server.requests if path.endswith(".tar.gz")]
    assert ranges == [None, "bytes=1000000-", "bytes=21000000-", "bytes=21000003-"]


def test_cut_again_and_again_then_resumed_by_the_next_pull(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    server.cut_after = [1000000] * 5
    assert "2stems.tar.gz" in pull(server.address, code=5)
    assert leftovers(models) == ["2stems.tar.gz.part", "2stems.tar.gz.part.etag"]
    pull(server.address)
    good_model(models)
    assert server.requests[-1][1] == "bytes=5000000-"


def test_file_that_changed_meanwhile_is_downloaded_whole(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    server.cut_after = [1000000] * 5
    pull(server.address, code=5)
    server.files = files_of(archives["second"])
    pull(server.address)
    good_model(models)
    server.files = files_of(archives["first"])
    pull(server.address)


def test_server_without_ranges(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    server.ranges = False
    server.cut_after = [1000000]
    pull(server.address)
    good_model(models)


def test_part_that_is_longer_than_the_file(archives, release, pull, models):
    """The server answers 416."""
    server = release(files_of(archives["first"]))
    server.cut_after = [1000000] * 5
    pull(server.address, code=5)
    part = models / ".pull-2stems/2stems.tar.gz.part"
    with open(part, "ab") as file:
        file.truncate(len(archives["first"]) + 10)
    pull(server.address)
    good_model(models)


def test_stall(archives, release, pull, models):
    server = release(files_of(archives["first"]))
    server.stall_after = 100000
    started = time.monotonic()
    assert "came for 2 seconds" in pull(server.address, "--timeout", "2", code=5)
    assert time.monotonic() - started < 30
    assert "2stems.tar.gz.part" in leftovers(models)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_refusals(status, release, pull):
    server = release({})
    server.status = status
    assert f"the server answers {status}" in pull(server.address, code=5)


# -------------------------------------------------- old model, bad files ----


@pytest.fixture(scope="session")
def pulled(archives, tmp_path_factory):
    """Returns a data folder with a model, and the SHA-256 of its first network. The model is pulled
    only once, since the conversion takes most of the time."""
    folder = tmp_path_factory.mktemp("pulled")
    for name, content in files_of(archives["first"]).items():
        (folder / name).write_bytes(content)
    subprocess.run([PROGRAM, "models", "pull", "2stems", "--from", folder], check=True, capture_output=True,
                   env={**os.environ, "XDG_DATA_HOME": str(folder / "data")})
    return folder / "data", good_model(folder / "data/spleeterd/models")


@pytest.fixture
def old(pulled, models, tmp_path):
    """Installs an older model and returns a function that checks that it is still there."""
    data, first = pulled
    shutil.copytree(data, tmp_path / "data", copy_function=os.link)

    def is_there():
        names = [entry for entry in os.listdir(models) if not entry.startswith(".")]
        return names == ["spleeter-2stems"] and first == json.loads(
            (models / "spleeter-2stems/manifest.json").read_text())["stems"][0]["sha256"]

    return is_there


def test_corrupted(archives, release, pull, models, old):
    damaged = bytearray(archives["second"])
    damaged[len(damaged) // 2] ^= 1
    server = release(files_of(bytes(damaged), sha256=hashlib.sha256(archives["second"]).hexdigest()))
    message = pull(server.address, code=5)
    assert "SHA-256" in message and "no model was changed" in message
    assert old() and leftovers(models) is None
    server.files = files_of(archives["second"])
    pull(server.address)
    assert not old()


def tar_gz(*members):
    """Makes an archive of (name, bytes or changes to its TarInfo)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, dict):
                for key, value in content.items():
                    setattr(member, key, value)
                content = b""
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def bomb():
    """Makes an archive with a member of 3 GiB of zeros."""
    import zlib
    member = tarfile.TarInfo("model.data-00000-of-00001")
    member.size = 3 << 30
    compress = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = b"\0" * (1 << 24)
    return compress.compress(member.tobuf()) + b"".join(compress.compress(block) for _ in range(192)) + compress.flush()


def sparse(realsize):
    """Makes a member in GNU's old sparse format: a hole of `realsize` bytes, apart from its last
    block."""
    member = tarfile.TarInfo("model.data-00000-of-00001")
    member.size, member.type = 512, tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    for at, number in ((386, realsize - 512), (398, 512), (483, realsize)):
        header[at:at + 12] = b"%011o\0" % number
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + b"x" * 512 + bytes(1024))


BAD_ARCHIVES = {
    "not gzip": b"this is no archive" * 100,
    "empty": tar_gz(),
    "no checkpoint": tar_gz(("readme.txt", b"hello")),
    "link": tar_gz(("model.index", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
    "hard link": tar_gz(("model.index", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})),
    "device": tar_gz(("model.index", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})),
    "twice": tar_gz(("model.index", b"one"), ("model.index", b"two")),
    "paths": tar_gz(("../model.index", b"x"), ("/tmp/spleeterd-escaped.index", b"x"), ("a/model.index", b"x")),
    "garbage index": tar_gz(("checkpoint", b'model_checkpoint_path: "model"\n'), ("model.index", b"x" * 5000),
                            ("model.data-00000-of-00001", b"y" * 5000)),
    "sparse": sparse(1 << 28),
    "many": tar_gz(*((f"{i}.txt", b"") for i in range(100))),
    "cut": tar_gz(("model.data-00000-of-00001", os.urandom(100000)))[:-50000],
}


@pytest.mark.parametrize("how", [*BAD_ARCHIVES, "bomb"])
def test_bad_archives(how, release, pull, models, old, tmp_path):
    archive = bomb() if how == "bomb" else BAD_ARCHIVES[how]
    message = pull(release(files_of(archive)).address, code=7 if how in ("bomb", "many") else 5)
    assert "no model was changed" in message
    assert how != "sparse" or "holds a sparse file" in message
    assert old() and leftovers(models) is None
    assert not pathlib.Path("/tmp/spleeterd-escaped.index").exists()
    assert [p for p in tmp_path.rglob("*.index") if "models" in p.parts] == []


@pytest.mark.parametrize("checksums", [b"", b"[]", b"{}", b'{"2stems": 1}', b'{"2stems": "abc"}', b'{"2stems": "' + b"g" * 64 + b'"}',
                                       b"x" * 100000, b'{"2stems": "' + b"0" * 64])
def test_bad_checksums(checksums, release, pull, models, old):
    pull(release({"checksum.json": checksums}).address, code=7 if len(checksums) > 70000 else 5)
    assert old()


# ----------------------------------------------------------------- usage ----


@pytest.mark.parametrize("name", ["3stems", "", "../2stems", "spleeter:2stems"])
def test_other_names(name, pull):
    assert "2stems, 4stems and 5stems" in pull("/nowhere", code=2, name=name)


@pytest.mark.parametrize("base", ["ftp://example.invalid", "https://", "gopher://x/y"])
def test_other_bases(base, pull):
    pull(base, code=2)


def test_interrupted(archives, release, pull, models, tmp_path):
    server = release(files_of(archives["first"]))
    server.stall_after = 100000
    process = subprocess.Popen([PROGRAM, "models", "pull", "2stems", "--from", server.address], stderr=subprocess.PIPE,
                               env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")})
    part = models / ".pull-2stems/2stems.tar.gz.part"
    while not (part.exists() and part.stat().st_size == 100000):
        assert process.poll() is None
        time.sleep(0.01)
    # A second pull at the same time is refused.
    assert "already" in pull(server.address, code=6)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert len(process.stderr.read().splitlines()) == 1
    server.stall_after = None
    pull(server.address)
    good_model(models)
    assert server.requests[-1][1] == "bytes=100000-"


def test_bar_on_a_terminal(archives, release, tmp_path):
    server = release(files_of(archives["first"]))
    server.cut_after = [10000000]
    master, slave = pty.openpty()
    process = subprocess.Popen([PROGRAM, "models", "pull", "2stems", "--from", server.address], stderr=slave,
                               stdout=subprocess.PIPE, env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")})
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert process.wait(60) == 0
    assert b"MB/s" in shown and b"converting" in shown
