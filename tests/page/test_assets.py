# SPDX-License-Identifier: MIT
"""How the service delivers the page's files."""
import gzip
import re

from client import Client
from conftest import REPOSITORY

DIST = REPOSITORY / "web/dist"


def names():
    return sorted(path.name for path in DIST.iterdir() if path.name != "meson.build")


def test_all_files_as_they_are_and_packed(shared):
    client = Client(shared.port, None)
    for name in names():
        path = "/" if name == "index.html" else f"/assets/{name}"
        plain, packed = client.get(path), client.get(path, Accept_Encoding="br, gzip")
        content = (DIST / name).read_bytes()
        assert plain.status == packed.status == 200
        assert plain.body == gzip.decompress(packed.body) == content
        assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert plain.headers["Content-Type"].split(";")[0] == {
            "html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "woff2": "font/woff2"}[name.rsplit(".")[-1]]
        assert client.get(path, Accept_Encoding="gzip;q=0").body == content
        head = client.request("HEAD", path)
        assert head.status == 200 and head.body == b""


def test_what_may_be_kept(shared):
    client = Client(shared.port, None)
    for name in names():
        path = "/" if name == "index.html" else f"/assets/{name}"
        answer = client.get(path)
        assert answer.headers["Cache-Control"] == ("no-cache" if path == "/" else "public, max-age=31536000, immutable")
        again = client.get(path, If_None_Match=answer.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert path == "/" or re.search(r"-[0-9a-f]{12}\.\w+$", path), "a file that is kept for ever has a hash in its name"


def test_the_policy_is_strict(shared):
    policy = dict(part.split(" ", 1) for part in Client(shared.port, None).get("/").headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'" and policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    for name in ("script-src", "style-src", "connect-src", "font-src", "img-src"):
        assert policy[name] == "'self'"
    page = (DIST / "index.html").read_text()
    assert "style=" not in page and not re.search(r"<script(?![^>]*src=)", page) and not re.search(r"\son\w+=", page)


def test_other_addresses_do_not_exist(shared):
    client = Client(shared.port, None)
    for path in ("/assets/none.js", "/assets/..%2findex.html", "/assets/%2e%2e", "/assets", "/index.html", "/assets/meson.build"):
        assert client.get(path).status in (400, 404), path
    assert client.request("POST", "/").status == 405
