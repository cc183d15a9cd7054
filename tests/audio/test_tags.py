# SPDX-License-Identifier: MIT
"""Tags before and after the sound, WAV files of over 4 GiB, and long stretches without sound: only
the sound is decoded."""
import struct
import time

import numpy as np
import pytest

from audio_tool import FORMAT, RATE, UNSUPPORTED, decode, info, make, music, reference, tool


def syncsafe(size):
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v2(content):
    return b"ID3\4\0\0" + syncsafe(len(content)) + content


def appended_id3v2(content):
    return b"ID3\4\0\x10" + syncsafe(len(content)) + content + b"3DI\4\0\x10" + syncsafe(len(content))


def id3v1(title=b"a song"):
    return b"TAG" + title.ljust(30, b"\0") + bytes(90) + b"1999" + b"\x0c"


def ape(content, header=True):
    ends = [b"APETAGEX" + struct.pack("<IIII8x", 2000, len(content) + 32, 1, flags) for flags in (0xA0000000, 0x80000000)]
    return (ends[0] if header else b"") + content + ends[1]


def lyrics3v1(content):
    return b"LYRICSBEGIN" + content[:5000] + b"LYRICSEND"


def lyrics3v2(content):
    tag = b"LYRICSBEGIN" + content[:900000]
    return tag + b"%06d" % len(tag) + b"LYRICS200"


def bare_mp3(path, seconds):
    """Returns MP3 frames without a header or tags."""
    return make(path, music(seconds), "-write_xing", "0", "-id3v2_version", "0").read_bytes()


def behind_a_large_tag(path, file, options):
    plain = make(path / ("plain_" + file), music(1), *options)
    tagged = path / "tagged"
    tagged.write_bytes(id3v2(b"\xff\xd8JPEG" * 200000) + plain.read_bytes())
    return plain, tagged


@pytest.mark.parametrize("file, options", (("a.flac", []), ("a.mp3", []), ("a.aac", ["-c:a", "aac"]), ("a.tta", []),
                                           ("a.ac3", []), ("a.wv", []), ("a.wav", []), ("a.m4a", [])))
def test_id3v2_of_more_than_a_megabyte(tmp_path, file, options):
    plain, tagged = behind_a_large_tag(tmp_path, file, options)
    assert np.array_equal(decode(tagged), decode(plain))
    assert info(tagged) == info(plain)


@pytest.mark.parametrize("front", (id3v2(b"one") + id3v2(b"two" * 1000) + bytes(184), np.random.default_rng(1).bytes(417)),
                         ids=("zeros the tag does not count", "junk"))
@pytest.mark.parametrize("rate, channels", ((44100, 2), (44100, 1), (22050, 2), (22050, 1)))
def test_junk_before_an_mp3(tmp_path, front, rate, channels):
    """The frame with the encoder's delay is found after the junk. ffmpeg would decode that frame
    and the delay."""
    plain = make(tmp_path / "a.mp3", music(1, channels), "-id3v2_version", "0", rate=rate)
    path = tmp_path / "b.mp3"
    path.write_bytes(front + plain.read_bytes())
    assert np.array_equal(decode(path), decode(plain))


def test_id3v2_larger_than_the_file(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bare_mp3(tmp_path / "b.mp3", 1))
    assert tool("decode", path).returncode in (0, FORMAT)


TAGS = {
    "ape": ape,
    "ape without header": lambda content: ape(content, header=False),
    "ape and id3v1": lambda content: ape(content) + id3v1(),
    "id3v1 and ape": lambda content: id3v1() + ape(content),
    "lyrics3v1": lambda content: lyrics3v1(content) + id3v1(),
    "lyrics3v2": lambda content: lyrics3v2(content) + id3v1(),
    "id3v2.4": appended_id3v2,
    "all": lambda content: ape(content) + lyrics3v2(content) + appended_id3v2(content) + id3v1(),
}


@pytest.mark.parametrize("name", TAGS)
def test_tags_behind_are_not_decoded(tmp_path, name):
    """The tags contain valid frames, which a picture may contain by chance."""
    sound = bare_mp3(tmp_path / "a.mp3", 1)
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(sound + TAGS[name](sound))
    assert np.array_equal(decode(tagged), decode(tmp_path / "a.mp3"))
    assert abs(int(info(tagged)["duration_us"]) - 1e6) < 1e5


@pytest.mark.parametrize("file", ("a.flac", "a.ac3", "a.wv", "a.tta", "a.wav"))
def test_tags_behind_other_formats(tmp_path, file):
    plain = make(tmp_path / file, music(1))
    tagged = tmp_path / "tagged"
    tagged.write_bytes(plain.read_bytes() + ape(b"x" * 50000) + id3v1())
    done = tool("decode", tagged)
    assert done.returncode == 0 and done.stderr == b""
    assert np.array_equal(np.frombuffer(done.stdout, "<f4"), decode(plain))


@pytest.mark.parametrize("end", (b"APETAGEX" + b"\xff" * 24, b"APETAGEX" + struct.pack("<IIII8x", 2000, 3, 0, 0),
                                 b"999999LYRICS200", b"LYRICSEND", b"3DI\4\0\0\0\0\0\x20",
                                 b"TAG" + bytes(range(1, 32)) * 4 + b"\0"))
def test_what_only_looks_like_a_tag(tmp_path, end):
    """These bytes are samples, so nothing is cut off."""
    path = make(tmp_path / "a.wav", music(0.1), "-c:a", "pcm_u8", "-bitexact")
    content = path.read_bytes()
    path.write_bytes(content[:-len(end)] + end)
    assert np.array_equal(decode(path), reference(path))


# ------------------------------------------------------------------------------------ large WAV files

CHANNELS, FRAME = 8, 32
FORMAT_CHUNK = b"fmt " + struct.pack("<IHHIIHH", 16, 3, CHANNELS, RATE, RATE * FRAME, FRAME, 32)


def sparse_wav(path, data_bytes, stated_bytes, before=b"", file_bytes=None):
    """Makes a float WAV of silence."""
    chunks = FORMAT_CHUNK + before + b"data" + struct.pack("<I", stated_bytes)
    riff_bytes = (4 + len(chunks) + stated_bytes) % 2**32
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + chunks)
        end = file.tell() + data_bytes
        file.truncate(max(end, file_bytes or 0))
    return path


@pytest.mark.parametrize("before", (b"", b"LIST" + struct.pack("<I", 5) + b"INFO\0\0"))
@pytest.mark.parametrize("rest", (FRAME * 100, 2**32 - FRAME * 44100))
def test_wrapped_sizes_of_wav(tmp_path, before, rest):
    data_bytes = 2**32 + rest
    path = sparse_wav(tmp_path / "a.wav", data_bytes, rest, before)
    seconds = data_bytes / FRAME / RATE
    assert abs(int(info(path)["duration_us"]) / 1e6 - seconds) < 0.1
    # More than 100 samples, and the whole file need not be read.
    done = tool("decode", path, "duration=9", "limit=10")
    assert done.returncode == 0 and done.stderr == b""
    assert len(done.stdout) == 9 * RATE * FRAME


def test_wrapped_wav_ends_where_its_sound_ends(tmp_path):
    """Chunks after the sound are not decoded."""
    rest = 4096 * FRAME
    path = sparse_wav(tmp_path / "a.wav", 2**32 + rest, rest)
    with open(path, "ab") as file:
        file.write(b"LIST" + struct.pack("<I", 40000) + b"\x7f" * 40000)
    assert abs(int(info(path)["duration_us"]) - 1e6 * (2**32 + rest) / FRAME / RATE) < 1000


def test_a_small_wav_before_much_silence_ends_soon(tmp_path):
    path = sparse_wav(tmp_path / "a.wav", 1000 * FRAME, 1000 * FRAME, file_bytes=3 << 30)
    started = time.monotonic()
    done = tool("decode", path)
    assert done.returncode == 0 and len(done.stdout) == 1000 * FRAME
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("head", (b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE", b"FORM\0\0\0\0AIFF"))
def test_gigabytes_without_sound_are_refused_soon(tmp_path, head):
    path = tmp_path / "a.wav"
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(3 << 30)
    started = time.monotonic()
    assert tool("decode", path).returncode in (FORMAT, UNSUPPORTED)
    assert time.monotonic() - started < 20
