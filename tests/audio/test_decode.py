# SPDX-License-Identifier: MIT
"""Decoding gives the result of `ffmpeg -i FILE -ar 44100 -f f32le -`: the same number of samples,
with an error below -100 dB."""
import functools
import struct
import subprocess
import sys

import numpy as np
import pytest

from audio_tool import LIMIT, RATE, TOOL, UNSUPPORTED, decode, decode_and_describe, ffmpeg, info, make, music, offset_of, reference, samples, snr_db, tool

WANTED_DB = 100

# Name, file name, options of ffmpeg, rates, channels.
ALL_RATES = (44100, 48000, 96000, 22050)
FORMATS = [
    ("wav8", "a.wav", ["-c:a", "pcm_u8"], ALL_RATES, (1, 2, 6)),
    ("wav16", "a.wav", ["-c:a", "pcm_s16le"], ALL_RATES, (1, 2, 3, 4, 5, 6, 8)),
    ("wav24", "a.wav", ["-c:a", "pcm_s24le"], ALL_RATES, (1, 2, 6)),
    ("wav32", "a.wav", ["-c:a", "pcm_s32le"], ALL_RATES, (1, 2, 6)),
    ("wavfloat", "a.wav", ["-c:a", "pcm_f32le"], ALL_RATES, (1, 2, 6)),
    ("wavdouble", "a.wav", ["-c:a", "pcm_f64le"], (44100, 48000), (2,)),
    ("rf64", "a.wav", ["-c:a", "pcm_s16le", "-rf64", "always"], (44100,), (2,)),
    ("w64", "a.w64", [], (48000,), (2,)),
    ("aiff", "a.aiff", [], ALL_RATES, (1, 2, 6)),
    ("caf", "a.caf", ["-c:a", "pcm_s16le"], (48000,), (2,)),
    ("au", "a.au", [], (48000,), (2,)),
    ("flac16", "a.flac", ["-sample_fmt", "s16"], ALL_RATES, (1, 2, 6)),
    ("flac24", "a.flac", ["-sample_fmt", "s32"], ALL_RATES, (1, 2, 6)),
    ("alac", "a.m4a", ["-c:a", "alac"], (44100, 48000), (1, 2, 6)),
    ("wavpack", "a.wv", [], (44100, 96000), (1, 2)),
    ("tta", "a.tta", [], (44100,), (2,)),
    ("mp3", "a.mp3", ["-b:a", "192k"], (44100, 48000, 22050), (1, 2)),
    ("mp3vbr", "a.mp3", ["-q:a", "2"], (44100, 48000), (2,)),
    ("mp3bare", "a.mp3", ["-write_xing", "0", "-id3v2_version", "0"], (44100,), (2,)),
    ("mp2", "a.mp2", [], (44100, 48000), (2,)),
    ("aac", "a.m4a", ["-c:a", "aac"], ALL_RATES, (1, 2, 6)),
    ("adts", "a.aac", ["-c:a", "aac"], (44100, 48000), (2,)),
    ("vorbis", "a.ogg", ["-c:a", "libvorbis"], ALL_RATES, (1, 2, 6)),
    ("opus", "a.opus", [], (48000, 24000), (1, 2, 6)),
    ("webm", "a.webm", ["-c:a", "libopus"], (48000,), (2,)),
    ("matroska", "a.mka", ["-c:a", "flac"], (48000,), (2,)),
    ("oggflac", "a.oga", ["-c:a", "flac"], (44100,), (2,)),
    ("speex", "a.spx", [], (16000,), (1,)),
    ("wma1", "a.wma", ["-c:a", "wmav1"], (44100,), (2,)),
    ("wma2", "a.wma", ["-c:a", "wmav2"], (44100, 48000, 22050), (1, 2)),
    ("ac3", "a.ac3", [], (44100, 48000), (2, 6)),
    ("eac3", "a.eac3", [], (48000,), (2, 6)),
    ("dts", "a.dts", ["-strict", "-2"], (48000,), (2, 6)),
    ("mpegts", "a.ts", ["-c:a", "aac"], (48000,), (2,)),
    ("mpeg", "a.mpg", ["-c:a", "mp2"], (48000,), (2,)),
    ("avi", "a.avi", ["-c:a", "libmp3lame"], (44100,), (2,)),
    ("flv", "a.flv", ["-c:a", "aac"], (44100,), (2,)),
    ("mov", "a.mov", ["-c:a", "pcm_s24le"], (48000,), (2,)),
    ("adpcm", "a.wav", ["-c:a", "adpcm_ms"], (44100,), (2,)),
    ("alaw", "a.wav", ["-c:a", "pcm_alaw"], (8000,), (1,)),
    ("amr", "a.amr", ["-c:a", "libopencore_amrnb"], (8000,), (1,)),
    ("gsm", "a.wav", ["-c:a", "libgsm_ms"], (8000,), (1,)),
    ("amrwb", "a.amr", ["-c:a", "libvo_amrwbenc"], (16000,), (1,)),
    ("3gp", "a.3gp", ["-c:a", "aac"], (44100,), (1, 2)),
    ("3gpamr", "a.3gp", ["-c:a", "libopencore_amrnb"], (8000,), (1,)),
    ("voc", "a.voc", [], (44100,), (1, 2)),
    ("truehd", "a.thd", ["-strict", "-2"], (48000,), (2, 6)),
    ("mlp", "a.mlp", ["-strict", "-2"], (48000,), (2, 6)),
    ("latm", "a.latm", ["-c:a", "aac", "-f", "latm"], (44100,), (2,)),
    ("cafalac", "a.caf", ["-c:a", "alac"], (44100,), (1, 2)),
    ("caf24", "a.caf", ["-c:a", "pcm_s24be"], (96000,), (6,)),
    ("aifcfloat", "a.aiff", ["-c:a", "pcm_f32be"], (48000,), (2,)),
    ("aumulaw", "a.au", ["-c:a", "pcm_mulaw"], (8000,), (1,)),
    ("w64float", "a.w64", ["-c:a", "pcm_f32le"], (48000,), (6,)),
    ("wavmp3", "a.wav", ["-c:a", "libmp3lame"], (44100,), (2,)),
    ("wavima", "a.wav", ["-c:a", "adpcm_ima_wav"], (44100,), (1, 2)),
    ("wavyamaha", "a.wav", ["-c:a", "adpcm_yamaha"], (44100,), (1, 2)),
    ("movima", "a.mov", ["-c:a", "adpcm_ima_qt"], (44100,), (1, 2)),
    ("movfloat", "a.mov", ["-c:a", "pcm_f32le"], (48000,), (2, 6)),
    ("mp4ac3", "a.mp4", ["-c:a", "ac3"], (48000,), (2, 6)),
    ("mp4flac", "a.mp4", ["-c:a", "flac", "-strict", "-2"], (44100,), (2,)),
    ("mp4opus", "a.mp4", ["-c:a", "libopus", "-strict", "-2"], (48000,), (2, 6)),
    ("mkvtta", "a.mkv", ["-c:a", "tta"], (44100,), (2,)),
    ("mkvwavpack", "a.mkv", ["-c:a", "wavpack"], (44100,), (2,)),
    ("mkvtruehd", "a.mkv", ["-c:a", "truehd", "-strict", "-2"], (48000,), (6,)),
    ("mkvvorbis", "a.mkv", ["-c:a", "libvorbis"], (44100,), (2, 6)),
    ("mkvdts", "a.mkv", ["-c:a", "dca", "-strict", "-2"], (48000,), (6,)),
    ("vob", "a.vob", ["-c:a", "pcm_dvd"], (48000,), (2,)),
    ("m2ts", "a.m2ts", ["-c:a", "pcm_bluray", "-mpegts_m2ts_mode", "1"], (48000,), (2, 6)),
    ("tsac3", "a.ts", ["-c:a", "ac3"], (48000,), (2, 6)),
    ("avipcm", "a.avi", ["-c:a", "pcm_s16le"], (44100,), (2,)),
    ("aviac3", "a.avi", ["-c:a", "ac3"], (48000,), (6,)),
    ("flvspeex", "a.flv", ["-c:a", "libspeex"], (16000,), (1,)),
    ("flvnelly", "a.flv", ["-c:a", "nellymoser"], (44100,), (1,)),
    ("flvadpcm", "a.flv", ["-c:a", "adpcm_swf"], (44100,), (2,)),
    ("asfmp3", "a.asf", ["-c:a", "libmp3lame"], (44100,), (2,)),
]
CASES = [pytest.param(format, rate, channels, id=f"{format[0]}-{rate}-{channels}ch")
         for format in FORMATS for rate in format[3] for channels in format[4]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """made(format, rate, channels) returns (path, samples as ffmpeg decodes it). One ffmpeg makes
    all files of a format and one decodes them, because its start takes most of its time."""
    @functools.cache
    def make_all(name, file, options, rates, all_channels):
        folder = tmp_path_factory.mktemp(name)
        sources, encodings, inputs, decodings = [], [], [], []
        paths = {}
        for channels in all_channels:
            raw = folder / f"{channels}.raw"
            raw.write_bytes(music(1.3, channels).tobytes())
            for rate in rates:
                path = folder / f"{rate}-{channels}" / file
                path.parent.mkdir()
                encodings += ["-map", f"{len(sources) // 8}:a", "-ar", rate, *options, path]
                decodings += ["-map", f"{len(paths)}:a", "-ar", RATE, "-f", "f32le", path.parent / "decoded"]
                inputs += ["-i", path]
                paths[rate, channels] = path
            sources += ["-f", "f32le", "-ar", RATE, "-ac", channels, "-i", raw]
        try:
            ffmpeg(*sources, *encodings)
        except subprocess.CalledProcessError as error:
            if b"Unknown encoder" in error.stderr:
                return None
            raise
        ffmpeg(*inputs, *decodings)
        return paths

    def found(format, *case):
        name, file, options, *cases = format
        path = (make_all(name, file, tuple(options), *cases) or pytest.skip("this ffmpeg has no such encoder"))[case]
        return path, np.frombuffer((path.parent / "decoded").read_bytes(), "<f4")

    return found


@pytest.fixture(scope="module")
def flac(tmp_path_factory):
    return make(tmp_path_factory.mktemp("flac") / "a.flac", music(3), rate=48000)


@pytest.mark.parametrize("format, rate, channels", CASES)
def test_equals_ffmpeg(made, format, rate, channels):
    path, expected = made(format, rate, channels)
    actual, description = decode_and_describe(path)
    assert len(actual) == len(expected)
    assert snr_db(expected, actual) > WANTED_DB
    assert int(description["channels"]) == channels
    assert int(description["rate"]) == (48000 if path.suffix in (".opus", ".webm") else rate)


@pytest.mark.parametrize("channels", (1, 2, 3, 4, 5, 6, 7, 8))
def test_channel_policies(tmp_path, channels):
    path = make(tmp_path / "a.wav", music(0.5, channels), "-c:a", "pcm_f32le", rate=48000)
    everything = reference(path).reshape(-1, channels)
    assert np.array_equal(decode(path).reshape(-1, channels), everything)
    first = decode(path, "channels=first").reshape(-1, 2)
    assert np.array_equal(first, everything[:, [0, 0]] if channels == 1 else everything[:, :2])
    mixed = decode(path, "channels=downmix").reshape(-1, 2)
    if channels <= 2:
        assert np.array_equal(mixed, first)
    else:
        expected = reference(path, "-ac", 2).reshape(-1, 2)
        assert mixed.shape == expected.shape and snr_db(expected, mixed) > WANTED_DB


@pytest.mark.parametrize("channels", (9, 12, 32, 64))
def test_channels_without_positions_can_be_kept_but_not_mixed(tmp_path, channels):
    signal = np.resize(music(0.2), (4410, channels))
    header = struct.pack("<HHIIHH", 3, channels, RATE, RATE * 4 * channels, 4 * channels, 32)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + signal.nbytes) + b"WAVEfmt " + struct.pack("<I", 16) + header +
                     b"data" + struct.pack("<I", signal.nbytes) + signal.tobytes())
    assert np.array_equal(decode(path).reshape(-1, channels), signal)
    assert np.array_equal(decode(path, "channels=first").reshape(-1, 2), signal[:, :2])
    done = tool("decode", path, "channels=downmix")
    assert done.returncode == UNSUPPORTED
    assert done.stderr.decode() == f"{path}: {channels} channels without usual positions cannot be mixed down to 2; " \
        "keep them all with the option keep-format\n"


def test_downmix_keeps_the_centre(tmp_path):
    signal = np.zeros((4410, 6), "f4")
    signal[:, 2] = 0.5
    path = make(tmp_path / "a.wav", signal, "-c:a", "pcm_f32le")
    mixed = decode(path, "channels=downmix")
    assert np.allclose(mixed, 0.5 * np.sqrt(0.5), atol=1e-6)


def test_mono_is_duplicated_exactly(tmp_path):
    signal = music(0.2, 1)
    path = make(tmp_path / "a.wav", signal, "-c:a", "pcm_f32le")
    for policy in ("first", "downmix"):
        assert np.array_equal(decode(path, f"channels={policy}").reshape(-1, 2), signal[:, [0, 0]])


OFFSETS_AND_DURATIONS = ((0.5, 0), (0, 0.7), (0.25, 0.5), (1 / 3, 1.1), (0.1, 100))
CUTS = pytest.mark.parametrize("offset, duration", OFFSETS_AND_DURATIONS)


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """cuts(file) returns the path of a song, and {(offset, duration): samples as ffmpeg cuts
    them}."""
    @functools.cache
    def cut(file):
        folder = tmp_path_factory.mktemp(file)
        path = make(folder / file, music(2), *(["-c:a", "libvorbis"] if file == "a.ogg" else []), rate=48000)
        outputs, paths = [], {}
        for offset, duration in OFFSETS_AND_DURATIONS:
            paths[offset, duration] = folder / f"cut{len(paths)}"
            outputs += ["-map", "0:a", "-ar", RATE, *["-ss", f"{offset:.9f}"] * (offset > 0), *["-t", duration] * (duration > 0), "-f", "f32le",
                        paths[offset, duration]]
        ffmpeg("-i", path, *outputs)
        return path, {times: np.frombuffer(made.read_bytes(), "<f4") for times, made in paths.items()}

    return cut


@CUTS
@pytest.mark.parametrize("file", ("a.wav", "a.mp3", "a.m4a", "a.ogg", "a.opus", "a.flac", "a.ts"))
def test_offset_and_duration_equal_ffmpegs(cuts, file, offset, duration):
    path, expected = cuts(file)
    expected = expected[offset, duration]
    actual = decode(path, f"offset={offset:.9f}", f"duration={duration}")
    assert len(actual) == len(expected)
    assert snr_db(expected, actual) > WANTED_DB


@CUTS
def test_offset_and_duration_of_wma(tmp_path, offset, duration):
    """ASF stores times in milliseconds, so ffmpeg's cuts are some samples off. Ours are exact."""
    path = make(tmp_path / "a.wma", music(2), rate=48000)
    rest = decode(path, f"offset={offset:.9f}")
    expected = reference(path, *["-ss", f"{offset:.9f}"] * (offset > 0))
    assert abs(len(rest) - len(expected)) <= 2 * RATE / 1000
    if offset > 0:
        assert len(rest) - len(decode(path, f"offset={offset + 0.5:.9f}")) == RATE
    if duration > 0:
        cut = decode(path, f"offset={offset:.9f}", f"duration={duration}")
        assert np.array_equal(cut, rest[:2 * round(duration * RATE)])


def test_offset_past_the_end(flac):
    assert len(decode(flac, "offset=100")) == 0


def test_info(tmp_path):
    path = make(tmp_path / "a.flac", music(2, 6), "-sample_fmt", "s32", rate=96000)
    assert info(path) == {"container": "flac", "codec": "flac", "rate": "96000", "channels": "6",
                          "mask": str(0x3f), "bits": "24", "duration_us": "2000000"}
    path = make(tmp_path / "a.mp3", music(2))
    assert info(path)["bits"] == "0"
    assert info(path)["container"] == "mp3"


def test_video_and_cover_are_ignored(tmp_path):
    signal = music(1)
    sound = make(tmp_path / "a.wav", signal)
    film = tmp_path / "a.mp4"
    ffmpeg("-i", sound, "-f", "lavfi", "-i", "testsrc=d=1", "-map", "1:v", "-map", "0:a", film)
    assert np.array_equal(decode(film), reference(film))
    cover, song = tmp_path / "cover.png", tmp_path / "song.mp3"
    ffmpeg("-f", "lavfi", "-i", "testsrc", "-frames:v", 1, cover)
    ffmpeg("-i", sound, "-i", cover, "-map", "0", "-map", "1", "-disposition:v", "attached_pic", song)
    assert np.array_equal(decode(song), reference(song))


def film(path, sound, picture_s, *codecs, late_s=0.0):
    """Makes a film of `picture_s` seconds. Its sound starts `late_s` seconds late."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=64x64:d={picture_s}", "-itsoffset", late_s, "-i", sound, "-map", "0:v",
           "-map", "1:a", *codecs, path)
    return path


FILMS = (("a.mkv", ["-c:v", "libx264", "-c:a", "pcm_s16le"]), ("a.mkv", ["-c:v", "mpeg4", "-c:a", "aac"]),
         ("a.webm", ["-c:v", "libvpx", "-c:a", "libopus"]), ("a.mp4", ["-c:v", "libx264", "-c:a", "aac"]),
         ("a.mov", ["-c:v", "mpeg4", "-c:a", "pcm_s16le"]), ("a.ts", ["-c:v", "libx264", "-c:a", "mp2"]))


@pytest.mark.parametrize("file, codecs", FILMS)
def test_sound_that_starts_late_stays_in_time(tmp_path, file, codecs):
    """The time before the sound becomes silence. ffmpeg leaves that to its output container."""
    sound = make(tmp_path / "sound.wav", 0.3 + music(1), rate=48000)
    path = film(tmp_path / file, sound, 2, *codecs, late_s=0.75)
    done = tool("decode", path)
    assert done.returncode == 0 and done.stderr == b""
    whole, expected = samples(done.stdout, 2), reference(path).reshape(-1, 2)
    lead = len(whole) - len(expected)
    # Some encoders have a delay, and some containers count milliseconds.
    assert abs(lead - 0.75 * RATE) < 0.03 * RATE
    assert not whole[:lead].any() and np.array_equal(whole[lead:], expected)
    assert np.array_equal(decode(path, "offset=0.5").reshape(-1, 2), whole[RATE // 2:])
    assert np.array_equal(decode(path, "offset=1", "duration=0.25").reshape(-1, 2), whole[RATE:RATE + RATE // 4])
    assert np.array_equal(decode(path, "duration=0.5").reshape(-1, 2), whole[:RATE // 2])


@pytest.mark.parametrize("file, codec", (("a.mp4", "aac"), ("a.mka", "libopus"), ("a.mka", "aac")))
def test_the_other_tracks_delay_is_no_time(tmp_path, file, codec):
    """Encoders put priming samples before the sound, which players skip."""
    signals = [music(1, seed=seed) for seed in (1, 2)]
    first, second = (make(tmp_path / f"{seed}.wav", signal, rate=48000) for seed, signal in enumerate(signals))
    for late_s in (0, 0.5):
        ffmpeg("-i", first, "-itsoffset", late_s, "-i", second, "-map", 0, "-map", 1, "-c:a", codec, tmp_path / file)
        starts = [offset_of(signal, decode(tmp_path / file, f"track={number}").reshape(-1, 2))
                  for number, signal in enumerate(signals, 1)]
        # Matroska counts milliseconds.
        assert starts[1] - starts[0] == pytest.approx(late_s * RATE, abs=0.003 * RATE)


@pytest.mark.parametrize("file, codecs", FILMS)
def test_sound_that_ends_before_the_picture_is_no_damage(tmp_path, file, codecs):
    sound = make(tmp_path / "sound.wav", music(1), rate=48000)
    path = film(tmp_path / file, sound, 4, *codecs)
    done = tool("decode", path)
    assert done.returncode == 0 and done.stderr == b""
    extra = len(done.stdout) // 8 - len(reference(path)) // 2
    assert 0 <= extra < 0.03 * RATE


@pytest.mark.parametrize("file, codecs", FILMS[:3])
def test_a_film_that_breaks_off_is_reported(tmp_path, file, codecs):
    sound = make(tmp_path / "sound.wav", music(4), rate=48000)
    path = film(tmp_path / file, sound, 4, *codecs)
    path.write_bytes(path.read_bytes()[:-path.stat().st_size // 2])
    assert tool("decode", path).stderr.startswith(b"warning: the file ")


def test_a_track_by_number(tmp_path):
    """As in a stem.mp4. The picture between the tracks does not count."""
    signals = [music(1, channels, seed) for seed, channels in enumerate((2, 1, 2))]
    files = [make(tmp_path / f"{i}.wav", signal) for i, signal in enumerate(signals)]
    ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=1", *(part for file in files for part in ("-i", file)),
           "-map", "1", "-map", "0", "-map", "2", "-map", "3", "-c:v", "mpeg4", "-c:a", "flac", tmp_path / "three.mka")
    for number, signal in enumerate(signals, 1):
        raw = ffmpeg("-i", tmp_path / "three.mka", "-map", f"0:a:{number - 1}", "-f", "f32le", "-")
        assert np.array_equal(decode(tmp_path / "three.mka", f"track={number}"), np.frombuffer(raw, "<f4"))
        assert snr_db(signal.ravel(), np.frombuffer(raw, "<f4")) > 80
    done = tool("decode", tmp_path / "three.mka", "track=4")
    assert done.returncode == UNSUPPORTED and b"no audio track number 4" in done.stderr


def test_the_track_is_ffmpegs_choice(tmp_path):
    """Of two tracks, ffmpeg chooses the one with more channels unless the other is the default."""
    mono, stereo = make(tmp_path / "m.wav", music(1, 1)), make(tmp_path / "s.wav", music(1, 2))
    path = tmp_path / "a.mka"
    ffmpeg("-i", mono, "-i", stereo, "-map", 0, "-map", 1, "-c:a", "flac", "-disposition", "0", path)
    assert info(path)["channels"] == "2"
    expected = np.frombuffer(ffmpeg("-i", path, "-ar", RATE, "-f", "f32le", "-"), "<f4")
    assert np.array_equal(decode(path), expected)


def test_rate_changes_midway(tmp_path):
    """Two concatenated MP3 streams with different rates and channels."""
    first = make(tmp_path / "1.mp3", music(1), "-write_xing", "0", "-id3v2_version", "0", rate=48000)
    second = make(tmp_path / "2.mp3", music(1, 1), "-write_xing", "0", "-id3v2_version", "0", rate=32000)
    path = tmp_path / "a.mp3"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    got = decode(path).reshape(-1, 2)
    assert 1.9 * RATE < len(got) < 2.1 * RATE
    assert np.sqrt(np.mean(np.square(got[-RATE // 2:]))) > 0.05


def test_limit(flac):
    assert len(decode(flac, "limit=3")) == 2 * 3 * RATE
    done = tool("decode", flac, "limit=2.9")
    assert done.returncode == LIMIT and b"longer than the allowed 2.9 seconds" in done.stderr
    assert done.stdout == b""
    assert len(decode(flac, "limit=2", "duration=2")) == 2 * 2 * RATE


def test_limit_is_counted_not_believed(tmp_path):
    path = make(tmp_path / "a.aac", music(3), "-c:a", "aac")
    done = tool("decode", path, "limit=2")
    assert done.returncode == LIMIT


@pytest.mark.parametrize("file", ("a.wav", "a.flac", "a.mp3", "a.ogg", "a.wma", "a.mka"))
def test_truncated_file_gives_what_is_there(tmp_path, file):
    codec = ["-c:a", "libvorbis"] if file == "a.ogg" else ["-c:a", "flac"] if file == "a.mka" else []
    path = make(tmp_path / file, music(4), *codec)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    done = tool("decode", path)
    assert done.returncode == 0
    expected = reference(path)
    actual = np.frombuffer(done.stdout, "<f4")
    assert len(actual) == len(expected) and snr_db(expected, actual) > WANTED_DB
    # An Ogg file does not state its length.
    if file != "a.ogg":
        assert done.stderr.startswith(b"warning: the file ")


def test_damaged_packets_are_counted(tmp_path):
    path = make(tmp_path / "a.flac", music(4))
    damaged = bytearray(path.read_bytes())
    for at in range(len(damaged) // 3, len(damaged) // 2, 5000):
        damaged[at:at + 40] = bytes(40)
    path.write_bytes(damaged)
    done = tool("decode", path)
    assert done.returncode == 0
    assert b"damaged" in done.stderr


def test_wav_from_a_pipe_has_no_length(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 2, "-i", "-", "-f", "wav", "-",
                            input=music(1).tobytes()))
    done = tool("decode", path, "limit=2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 8 * RATE
    assert done.stderr == b""


def test_four_hours_need_little_memory(tmp_path):
    path = tmp_path / "a.flac"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", 4 * 3600, "-c:a", "flac", path)
    # Prints the larger maximum of the program and its helper in KiB. A process of its own starts them,
    # because Linux counts the memory of the starting process, too.
    measure = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, flush=True)
os._exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-S", "-c", measure, TOOL, "decode", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 << 10
