# SPDX-License-Identifier: MIT
"""The service accepts the command's formats: each can be enabled, and the content decides."""
import subprocess

import numpy as np
import pytest

from conftest import KEY, Service, free_port, music

FORMATS = {
    "caf": (["-c:a", "pcm_s16le"], "audio/x-caf"), "3gp": (["-c:a", "aac"], "video/3gpp"), "wv": ([], "audio/x-wavpack"),
    "oga": (["-c:a", "flac"], "audio/ogg"), "ac3": ([], "audio/ac3"), "dts": (["-strict", "-2"], "audio/vnd.dts"),
    "tta": ([], "audio/x-tta"), "au": ([], "audio/basic"), "w64": ([], "audio/x-w64"), "ts": (["-c:a", "aac"], "video/mp2t"),
    "avi": (["-c:a", "libmp3lame"], "video/x-msvideo"), "mp2": ([], "audio/mpeg"), "spx": (["-ar", 16000], "audio/ogg"),
    "amr": (["-c:a", "libopencore_amrnb", "-ar", 8000, "-ac", 1], "audio/amr"), "mpg": (["-c:a", "mp2"], "video/mpeg"),
    "flv": (["-c:a", "aac"], "video/x-flv"), "thd": (["-strict", "-2"], "audio/vnd.dolby.mlp"), "mp3": ([], "audio/mpeg"),
}
MUXERS = {"thd": ["-f", "truehd"], "oga": ["-f", "ogg"]}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """make(extension) returns a second of music in that format, as bytes; skips the test if the
    encoder is missing."""
    made = {}

    def encode(extension):
        if extension in made:
            return made[extension]
        path = tmp_path_factory.mktemp("formats") / f"song.{extension}"
        done = subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-f", "f32le", "-ar", "48000", "-ac", "2", "-i", "-",
             *map(str, FORMATS[extension][0]), *MUXERS.get(extension, []), path],
            input=music(1, rate=48000).tobytes(), capture_output=True)
        if b"Unknown encoder" in done.stderr:
            pytest.skip("this ffmpeg has no such encoder")
        assert done.returncode == 0, done.stderr
        made[extension] = path.read_bytes()
        return made[extension]

    return encode


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                               "RATE_PER_MINUTE": 60000, "DRAIN_S": 0, "FORMATS": ",".join([*FORMATS, "flac"])}).start()
    yield service
    assert service.stop() == 0


def accepted(service, content, extension, type):
    answer = service.post("/v1/jobs", {"stems": "vocals"}, file=content, name=f"song.{extension}", type=type)
    assert answer.status == 202, answer
    service.delete(f"/v1/jobs/{answer.json()['id']}")
    return answer.json()


@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_can_be_enabled(hall, make, extension):
    content, type = make(extension), FORMATS[extension][1]
    accepted(hall, content, extension, type)
    accepted(hall, content, extension, "application/octet-stream")
    answer = hall.post("/v1/jobs", {}, file=content, name="song.flac", type="audio/flac")
    assert (answer.status, answer.problem()) == (415, "unsupported-media-type"), answer
    assert "its content is " in answer.json()["detail"]


def id3(content):
    return b"ID3\4\0\0" + bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0)) + content


@pytest.mark.parametrize("front", (id3(b"x" * 500) + bytes(184), np.random.default_rng(1).bytes(417), id3(bytes(1 << 21))),
                         ids=("padding the tag does not count", "junk", "a large tag"))
def test_what_stands_before_an_mp3(hall, make, front):
    accepted(hall, front + make("mp3"), "mp3", "audio/mpeg")


def test_length_without_the_tag_at_the_end(hall, make):
    content = make("mp3") + b"x" * 1000000 + b"APETAGEX" + np.array([2000, 1000032, 1, 0, 0, 0], "<u4").tobytes()
    assert accepted(hall, content, "mp3", "audio/mpeg")["input"]["duration_s"] < 1.2
