# SPDX-License-Identifier: MIT
"""Forms as HTTP clients write them: recorded ones, and those of the clients installed here. Each
client sends a song whose name has a quote, a space and a non-ASCII character."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import KEY, Service, free_port

NAME = 'say "hi" ä.wav'
PYTHON = pathlib.Path(os.environ["SPLEETERD_BUILD"]) / "clients/bin/python"


@pytest.fixture(scope="module")
def done(tmp_path_factory, song):
    """A service that has already separated the song, so that repeats cost nothing."""
    folder = tmp_path_factory.mktemp("clients")
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                               "RATE_PER_MINUTE": 100000}).start()
    service.separate(song, stems="vocals,accompaniment")
    yield service
    assert service.stop() == 0


def body(*parts, boundary="B0", end="--\r\n"):
    """A multipart body of (headers, content) parts."""
    lines = [f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n" for headers, content in parts]
    return b"".join(lines) + f"--{boundary}{end}".encode()


def disposition(parameters, *more):
    return "\r\n".join((f"Content-Disposition: form-data; {parameters}", *more))


WAV = "Content-Type: audio/wav"

# (boundary as in Content-Type, headers of the file, headers of the field "stems", end of the body,
# name of the song)
RECORDED = {
    ".NET": ('"B0"', f"{WAV}\r\n" + disposition("name=file; filename=a.wav; filename*=utf-8''a.wav"),
             "Content-Type: text/plain; charset=utf-8\r\n" + disposition("name=stems"), "--\r\n", "a.wav"),
    ".NET, quoted by the caller": ('"B0"', disposition('name="file"; filename="=?utf-8?B?w6QuYmFk?="; filename*=utf-8\'\'%C3%A4.wav'),
                                   disposition('name="stems"'), "--\r\n", "ä.wav"),
    "extended name alone": ("B0", disposition("name=\"file\"; filename*=UTF-8''%C3%A4%20b.wav"), disposition("name=stems"), "--\r\n", "ä b.wav"),
    "netty, JMeter": ("B0; charset=UTF-8", disposition('name="file"; filename="a.wav"', "content-length: 352844", WAV,
                                                       "content-transfer-encoding: binary"),
                      disposition('name="stems"', "content-length: 6", "content-type: text/plain; charset=UTF-8"), "--\r\n", "a.wav"),
    "Apache HttpClient": ("B0; charset=ISO-8859-1", disposition('name="file"; filename="a.wav"', WAV, "Content-Transfer-Encoding: binary"),
                          disposition('name="stems"', "Content-Type: text/plain; charset=ISO-8859-1", "Content-Transfer-Encoding: 8bit"),
                          "--\r\n", "a.wav"),
    "Go": ("B0", disposition(r'name="file"; filename="say \"hi\".wav"', "Content-Type: application/octet-stream"),
           disposition('name="stems"'), "--\r\n", 'say "hi".wav'),
    "browser": ("----WebKitFormBoundary0", disposition('name="file"; filename="say %22hi%22 ä.wav"', WAV), disposition('name="stems"'),
                "--\r\n", NAME),
    "no line end": ("B0", disposition('name="file"; filename="a.wav"', WAV), disposition('name="stems"'), "--", "a.wav"),
    "epilogue": ("B0", disposition('name="file"; filename="a.wav"', WAV), disposition('name="stems"'), "--\r\n\r\nnothing\r\n", "a.wav"),
}


def test_recorded_forms(done, song):
    for case, (boundary, file, stems, end, name) in RECORDED.items():
        content = body((file, song), (stems, b"vocals, accompaniment"), boundary=boundary.split(";")[0].strip('"'), end=end)
        answer = done.request("POST", "/v1/jobs", content, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        assert answer.status == 202, (case, answer)
        job = answer.json()
        assert (job["input"]["name"], job["options"]["stems"]) == (name, ["accompaniment", "vocals"]), case


def quoted(text):
    """Quotes a value for curl's -F."""
    return '"%s"' % str(text).replace("\\", "\\\\").replace('"', '\\"')


def program(client, url, path):
    """The command line by which `client` sends the song."""
    forms = pathlib.Path(__file__).parent / "forms"
    arguments = [url, KEY, path]
    if client in ("curl", "curl --form-escape"):
        return ["curl", "-sS", *client.split()[1:], "-H", f"X-API-KEY: {KEY}", "-F", f"file=@{quoted(path)}", "-F", "stems=vocals, accompaniment", url]
    if client in ("requests", "httpx"):
        return [PYTHON, forms / "form.py", client, *arguments]
    return {"go": ["go", "run", forms / "form.go"], "java": ["java", forms / "Form.java"], "node": ["node", forms / "form.mjs"]}[client] + arguments


@pytest.mark.parametrize("client", ["curl", "curl --form-escape", "requests", "httpx", "node", "go", "java"])
def test_installed_clients(done, song, tmp_path, client):
    path = tmp_path / NAME
    path.write_bytes(song)
    command = program(client, f"http://127.0.0.1:{done.port}/v1/jobs", path)
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not there")
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    job = json.loads(answer.stdout)
    assert job.get("input", {}).get("name") == NAME and job["options"]["stems"] == ["accompaniment", "vocals"], job


def test_the_wrong_field_is_named(done, song):
    content = body((disposition('name="audio"; filename="a.wav"'), song))
    answer = done.request("POST", "/v1/jobs", content, {"Content-Type": "multipart/form-data; boundary=B0"})
    assert (answer.status, answer.problem(), answer.json()["field"]) == (422, "invalid", "audio")
    assert 'the part "file"' in answer.json()["detail"]
