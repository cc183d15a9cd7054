# SPDX-License-Identifier: MIT
"""Encoded files have the length and the alignment of the input, and the same samples give the same
bytes.

What ffmpeg decodes from a file:
  wav, flac, ogg, opus   exactly the length of the input
  mp3                    exactly, by the LAME header; a pipe gets none, so delay and padding stay
  m4a                    starts exactly; ffmpeg does not cut the padding of the last frame (up to
                         1,023 samples), although the edit list in the file gives the exact length
  wma                    starts exactly; the format cannot store the length, so the last frame is
                         filled with silence
"""
import struct
import subprocess

import numpy as np
import pytest

from audio_tool import (ARGUMENT, IO, NO_SPACE, RATE, TOOL, UNSUPPORTED, decode, ffmpeg, music, offset_of, reference,
                        samples, snr_db, tool)

LOSSY = ("mp3", "ogg", "opus", "m4a", "wma")
WMA_FRAME = 2048


def encode(path, signal, *options):
    done = tool("encode", path, f"channels={signal.shape[1]}", *options, input=signal.tobytes())
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stderr.decode().partition("clipped=")[2])


def probe(path, entries):
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", f"stream={entries}", "-of", "csv=p=0", path],
                          capture_output=True, check=True)
    return done.stdout.decode().strip()


def rounded(signal, bits):
    scale = 2.0 ** (bits - 1)
    return (np.clip(np.rint(signal.astype("f8") * scale), -scale, scale - 1) / scale).astype("f4")


@pytest.mark.parametrize("channels", (1, 2, 3, 5, 6, 8))
@pytest.mark.parametrize("codec, bits", (("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24)))
def test_lossless_is_exact(tmp_path, codec, bits, channels):
    path = tmp_path / f"a.{codec}"
    signal = music(0.77, channels)
    assert encode(path, signal, f"codec={codec}", f"bits={bits}") == 0
    expected = signal if bits == 32 else rounded(signal, bits)
    assert np.array_equal(reference(path).reshape(-1, channels), expected)
    assert np.array_equal(decode(path).reshape(-1, channels), expected)


def test_16_bits_are_ffmpegs(tmp_path):
    """Also for clipped values, and for halves, which round to even."""
    values = np.concatenate([np.arange(-70000, 70000) / 65536, [-2, 2, 1, -1]]).astype("f4")
    signal = np.stack([values, values[::-1]], axis=1)
    path, theirs = tmp_path / "a.wav", tmp_path / "b.wav"
    clipped = encode(path, signal, "codec=wav")
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 2, "-i", "-", theirs, input=signal.tobytes())
    ours = ffmpeg("-i", path, "-f", "s16le", "-")
    assert ours == ffmpeg("-i", theirs, "-f", "s16le", "-")
    whole = np.rint(signal.astype("f8") * 32768)
    assert clipped == np.count_nonzero((whole > 32767) | (whole < -32768))


@pytest.mark.parametrize("codec, bits", (("wav", 16), ("wav", 24), ("flac", 16), ("flac", 24)))
def test_clipped_values_are_counted(tmp_path, codec, bits):
    signal = np.zeros((5000, 2), "f4")
    signal[100:200] = 1.5
    signal[300, 0] = -1.0
    signal[301, 0] = 1.0
    signal[302, 1] = -1.5
    assert encode(tmp_path / "a", signal, f"codec={codec}", f"bits={bits}") == 202
    assert encode(tmp_path / "a", signal, f"codec={codec}", f"bits={bits}", "rate=48000") >= 200


@pytest.mark.parametrize("codec", LOSSY)
@pytest.mark.parametrize("bitrate", (320000, 8000))
def test_lossy_encoders_get_no_extreme_values(tmp_path, codec, bitrate):
    """Far beyond full scale, the AAC encoder hangs and LAME aborts. The WMA encoder refuses what does
    not fit into the bit rate."""
    signal = np.zeros((3 * RATE, 2), "f4")
    whole = np.random.default_rng(1).integers(-2**31, 2**31, (RATE, 2)).astype("f4")
    signal[:RATE] = whole
    signal[RATE:2 * RATE] = (1e5 * np.sign(np.sin(np.arange(RATE) * 0.06)))[:, None]
    signal[2 * RATE:, 0] = 4
    signal[2 * RATE:, 1] = -4
    path = tmp_path / "a"
    options = ("channels=2", f"codec={codec}", f"bitrate={bitrate}")
    if codec == "wma" and bitrate == 8000:
        done = tool("encode", path, *options, input=signal.tobytes())
        assert done.returncode == UNSUPPORTED and b"too low" in done.stderr
        return
    assert encode(path, signal, *options) == np.count_nonzero(np.abs(signal) > 4)
    loudest = np.abs(decode(path)).max()
    assert 1 < loudest < 100


def test_float_is_not_clipped(tmp_path):
    signal = 3 * music(0.1)
    assert encode(tmp_path / "a.wav", signal, "codec=wav", "bits=32") == 0
    assert np.array_equal(reference(tmp_path / "a.wav").reshape(-1, 2), signal)


@pytest.mark.parametrize("codec", LOSSY)
@pytest.mark.parametrize("seconds", (2, 1.2345))
@pytest.mark.parametrize("rate", (44100, 48000, 22050))
@pytest.mark.parametrize("channels", (1, 2))
def test_lossy_length_and_alignment(tmp_path, codec, seconds, rate, channels):
    path = tmp_path / f"a.{codec}"
    signal = music(seconds, channels)
    bitrate = 64000 if rate == 22050 or channels == 1 else 192000
    encode(path, signal, f"codec={codec}", f"bitrate={bitrate}", f"rate={rate}")
    file_rate = int(probe(path, "sample_rate"))
    assert file_rate == (48000 if codec == "opus" else rate)
    got = reference(path).reshape(-1, channels)
    extra = len(got) - len(signal)
    allowed = {"m4a": 1024, "wma": WMA_FRAME}.get(codec, 0)
    # Resampling to the file's rate and back rounds the length twice.
    rounding = 0 if file_rate == RATE else 2
    assert -rounding <= extra <= allowed * RATE / file_rate + rounding
    assert offset_of(signal, got) == 0


@pytest.mark.parametrize("codec, seconds", [(codec, seconds) for codec in LOSSY for seconds in (0.001, 0.02, 0.05)])
def test_very_short(tmp_path, codec, seconds):
    path = tmp_path / f"a.{codec}"
    signal = music(seconds)
    encode(path, signal, f"codec={codec}")
    content = path.read_bytes()
    # ffmpeg decodes an Ogg file of a single page a few samples too long or too short.
    if codec == "ogg":
        last_page = content.rindex(b"OggS")
        assert struct.unpack("<q", content[last_page + 6:last_page + 14]) == (len(signal),)
    else:
        extra = len(reference(path)) // 2 - len(signal)
        assert 0 <= extra <= {"m4a": 1024, "wma": WMA_FRAME, "opus": 1, "mp3": 3}[codec]


def test_m4a_states_its_length_to_the_sample(tmp_path):
    path = tmp_path / "a.m4a"
    encode(path, music(1.2345), "codec=m4a")
    content = path.read_bytes()
    at = content.index(b"elst")
    count, duration, media_time = struct.unpack(">III", content[at + 8:at + 20])
    at = content.index(b"mvhd")
    timescale = struct.unpack(">I", content[at + 16:at + 20])[0]
    assert (count, duration, media_time, timescale) == (1, len(music(1.2345)), 1024, RATE)


@pytest.mark.parametrize("codec", ("wav", "flac"))
@pytest.mark.parametrize("rate", (8000, 32000, 48000, 96000, 192000))
def test_resampling_is_ffmpegs(tmp_path, codec, rate):
    signal = music(1)
    path = tmp_path / f"a.{codec}"
    encode(path, signal, f"codec={codec}", "bits=24", f"rate={rate}")
    expected = ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 2, "-i", "-", "-ar", rate, "-f", "f32le", "-",
                      input=signal.tobytes())
    expected = rounded(samples(expected, 2), 24)
    got = samples(ffmpeg("-i", path, "-f", "f32le", "-"), 2)
    assert int(probe(path, "sample_rate")) == rate
    assert got.shape == expected.shape
    assert snr_db(expected, got) > 100


@pytest.mark.parametrize("codec", ("wav", "flac", "mp3", "ogg", "wma"))
def test_given_length(tmp_path, codec):
    """A minute that is resampled to 48,000 Hz and back is still a minute."""
    path = tmp_path / f"a.{codec}"
    length = 60 * 48000 - 5
    encode(path, np.resize(music(1), (60 * RATE, 2)), f"codec={codec}", "rate=48000", f"length={length}")
    got = len(ffmpeg("-i", path, "-f", "s16le", "-")) // 4
    assert 0 <= got - length <= (WMA_FRAME if codec == "wma" else 0)


@pytest.mark.parametrize("codec, wanted, rate", (("mp3", 96000, 48000), ("mp3", 46000, 48000), ("mp3", 4000, 8000),
                                                 ("ogg", 96000, 48000), ("opus", 44100, 48000), ("m4a", 192000, 96000),
                                                 ("m4a", 50000, 64000), ("wma", 96000, 48000)))
def test_a_rate_that_the_format_lacks_becomes_the_next(tmp_path, codec, wanted, rate):
    path = tmp_path / f"a.{codec}"
    encode(path, music(0.5), f"codec={codec}", f"rate={wanted}", "bitrate=" + ("16000" if wanted == 4000 else "128000"))
    assert int(probe(path, "sample_rate")) == rate


@pytest.mark.parametrize("codec", ("wav", "flac", "mp3", "ogg", "opus", "m4a", "wma"))
@pytest.mark.parametrize("rate", (44100, 48000))
def test_same_samples_same_bytes(tmp_path, codec, rate):
    signal = music(1)
    one, two = tmp_path / "1", tmp_path / "2"
    encode(one, signal, f"codec={codec}", f"rate={rate}")
    encode(two, signal, f"codec={codec}", f"rate={rate}")
    assert one.read_bytes() == two.read_bytes()
    assert b"Lavf5" not in one.read_bytes() and b"Lavc5" not in one.read_bytes()


@pytest.mark.parametrize("codec", ("wav", "flac", "mp3", "ogg", "opus"))
@pytest.mark.parametrize("rate", (44100, 48000))
def test_pipe(codec, rate):
    signal = music(1)
    with subprocess.Popen([TOOL, "encode", "-", f"codec={codec}", f"rate={rate}"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        content, log = process.communicate(signal.tobytes(), timeout=60)
    assert process.returncode == 0, log
    got = samples(ffmpeg("-i", "-", "-ar", RATE, "-f", "f32le", "-", input=content), 2)
    delay = 1105 * RATE // rate if codec == "mp3" else 0
    assert len(got) >= len(signal) - 2
    assert abs(offset_of(signal, got) - delay) <= 1
    if codec in ("wav", "flac"):
        assert abs(len(got) - len(signal)) <= 2


@pytest.mark.parametrize("codec", ("m4a", "wma"))
def test_formats_that_need_seeking_refuse_a_pipe(codec):
    done = tool("encode", "-", f"codec={codec}", input=music(0.1).tobytes())
    assert done.returncode == UNSUPPORTED and b"pipe" in done.stderr


@pytest.mark.parametrize("codec, rate", (("wav", 44100), ("wav", 48000), ("flac", 44100)))
def test_a_closed_pipe_is_an_error_not_a_signal(codec, rate):
    with subprocess.Popen([TOOL, "encode", "-", f"codec={codec}", f"rate={rate}"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        _, log = process.communicate(music(20).tobytes(), timeout=60)
    assert process.returncode == IO and b"Broken pipe" in log


@pytest.mark.parametrize("codec", ("wav", "flac", "mp3", "ogg", "m4a"))
def test_full_disk(codec):
    done = tool("encode", "/dev/full", f"codec={codec}", input=music(20).tobytes())
    assert done.returncode == NO_SPACE and b"No space left on device" in done.stderr


@pytest.mark.parametrize("options, status", ((["codec=mp3", "channels=3"], UNSUPPORTED),
                                             (["codec=wma", "channels=6"], UNSUPPORTED),
                                             (["codec=flac", "channels=9"], UNSUPPORTED),
                                             (["codec=flac", "bits=32"], UNSUPPORTED),
                                             (["codec=wav", "mask=7"], ARGUMENT),
                                             (["codec=wav", "rate=0"], ARGUMENT)))
def test_what_a_format_lacks_is_an_error(tmp_path, options, status):
    done = tool("encode", tmp_path / "a", *options, input=bytes(4800))
    assert done.returncode == status
    assert done.stderr.startswith(str(tmp_path / "a").encode() + b": ")


@pytest.mark.parametrize("codec", ("wav", "flac", "ogg", "opus", "m4a"))
def test_six_channels(tmp_path, codec):
    path = tmp_path / f"a.{codec}"
    signal = 0.2 * music(3, 6)
    for channel in range(6):
        signal[:, channel] += 0.3 * np.sin(np.arange(len(signal)) * 0.005 * (channel + 1)).astype("f4")
    encode(path, signal, f"codec={codec}", "bitrate=384000")
    got = reference(path).reshape(-1, 6)[:len(signal)]
    for channel in range(6):
        assert np.corrcoef(signal[:, channel], got[:, channel])[0, 1] > 0.9, channel


POSITIONS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")
LAYOUTS = {
    "2.1": "FL FR LFE", "3.0": "FL FR FC", "3.0(back)": "FL FR BC", "4.0": "FL FR FC BC", "quad": "FL FR BL BR",
    "quad(side)": "FL FR SL SR", "3.1": "FL FR FC LFE", "5.0": "FL FR FC BL BR", "5.0(side)": "FL FR FC SL SR",
    "4.1": "FL FR FC LFE BC", "5.1": "FL FR FC LFE BL BR", "5.1(side)": "FL FR FC LFE SL SR",
    "6.1": "FL FR FC LFE BC SL SR", "6.1(back)": "FL FR FC LFE BL BR BC", "7.1": "FL FR FC LFE BL BR SL SR",
    "7.1(wide)": "FL FR FC LFE BL BR FLC FRC",
}
IN_M4A = ("2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "5.0", "5.0(side)", "5.1", "5.1(side)", "7.1")
IN_OGG = ("3.0", "quad", "quad(side)", "5.0", "5.0(side)", "5.1", "5.1(side)", "6.1", "7.1")


def tones(positions):
    """Returns half a second with a different tone for each position. No tone is a multiple of
    another, and the LFE's is low."""
    time = np.arange(RATE // 2)[:, None] / RATE
    return (0.3 * np.sin(2 * np.pi * time * [tone_hz(position) for position in positions])).astype("f4")


def tone_hz(position):
    return 60 if position == "LFE" else 310 + 170 * POSITIONS.index(position)


def positions_heard(signal, rate, positions):
    """Returns the position whose tone each channel contains."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))[:, None], axis=0))
    peaks = np.argmax(spectrum, axis=0) * rate / len(signal)
    return [min(positions, key=lambda position: abs(tone_hz(position) - peak)) for peak in peaks]


def through_ffmpeg(path):
    """Returns the samples, their rate and the channel mask (0: unknown) as ffmpeg decodes them."""
    wav = ffmpeg("-i", path, "-c:a", "pcm_f32le", "-f", "wav", "-bitexact", "-")
    rate, = struct.unpack_from("<I", wav, 24)
    channels, = struct.unpack_from("<H", wav, 22)
    mask = struct.unpack_from("<I", wav, 40)[0] if wav[20:22] == b"\xfe\xff" else 0
    return samples(wav[wav.index(b"data") + 8:], channels), rate, mask


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", ("wav", "flac", "ogg", "opus", "m4a"))
def test_each_channel_stays_where_it_was(tmp_path, codec, layout):
    """Each channel keeps its name, or becomes part of the back pair instead of the side pair. A
    layout that a format cannot store is an error."""
    positions = LAYOUTS[layout].split()
    mask = sum(1 << POSITIONS.index(position) for position in positions)
    path = tmp_path / f"a.{codec}"
    options = [f"codec={codec}", f"channels={len(positions)}", f"mask={mask}", f"bitrate={64000 * len(positions)}"]
    done = tool("encode", path, *options, input=tones(positions).tobytes())
    if layout not in {"ogg": IN_OGG, "opus": IN_OGG, "m4a": IN_M4A}.get(codec, LAYOUTS):
        assert done.returncode == UNSUPPORTED
        assert f"no place for the channels {layout}; choose wav or flac" in done.stderr.decode()
        return
    assert done.returncode == 0, done.stderr
    got, rate, got_mask = through_ffmpeg(path)
    assert positions_heard(got[2000:18000], rate, positions) == positions
    renamed = codec != "wav" and layout in ("quad(side)", "5.0(side)", "5.1(side)") and (codec, layout) != ("m4a", "quad(side)")
    assert got_mask == (mask ^ (0x600 | 0x30) if renamed else mask)


@pytest.mark.parametrize("codec, rates, all_channels", (
    ("ogg", (4000, 8000, 11025, 16000, 22050, 32000, 44100), (1, 2, 5, 7, 8)), ("flac", (1000, 65535, 70001, 768000), (2,)),
    ("wav", (1000, 768000), (1, 64)), ("mp3", (1000, 768000), (1, 2)), ("wma", (1000, 768000), (1, 2)),
    ("opus", (1000, 768000), (1, 8)), ("m4a", (1000, 70001, 768000), (1, 8))))
def test_every_rate_and_number_of_channels_makes_a_file(tmp_path, codec, rates, all_channels):
    """With the command's default bit rate."""
    for rate in rates:
        for channels in all_channels:
            done = tool("encode", tmp_path / "a", f"codec={codec}", f"rate={rate}", f"channels={channels}",
                        input=bytes(4 * channels * 3000))
            assert done.returncode == 0, (rate, channels, done.stderr)


def test_the_bit_rate_is_the_nearest_there_is(tmp_path):
    """Vorbis at 8 kHz has at most 42 kbit/s per channel, and five channels need at least 160
    kbit/s."""
    few, many = tmp_path / "few.ogg", tmp_path / "many.ogg"
    encode(few, music(1, 1), "codec=ogg", "rate=8000", "bitrate=128000")
    encode(many, music(1, 5), "codec=ogg", "bitrate=128000", f"mask={0x37}")
    assert 30000 < int(probe(few, "bit_rate")) < 45000
    assert 128000 < int(probe(many, "bit_rate")) < 200000


def test_channel_mask_is_kept(tmp_path):
    signal = music(0.1, 6)
    side = 0x60f
    for bits in (16, 24, 32):
        encode(tmp_path / "a.wav", signal, "codec=wav", f"bits={bits}", f"mask={side}")
        assert probe(tmp_path / "a.wav", "channel_layout") == "5.1(side)"
    encode(tmp_path / "a.m4a", signal, "codec=m4a", f"mask={side}")
    assert probe(tmp_path / "a.m4a", "channels") == "6"


@pytest.mark.parametrize("bits, channels", ((16, 2), (24, 2), (32, 1), (16, 6)))
@pytest.mark.parametrize("data_bytes", (2**32 - 200, 2**32 - 24, 2**32 + 24, 5 * 2**30))
def test_rf64_from_4_gib(tmp_path, bits, channels, data_bytes):
    """The header, followed by a sparse file of zeros."""
    data_bytes -= data_bytes % (bits // 8 * channels)
    path = tmp_path / "a.wav"
    header = tool("header", data_bytes, f"bits={bits}", f"channels={channels}").stdout
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes)
    whole = len(header) + data_bytes - 8
    assert header[:4] == (b"RF64" if whole >= 2**32 - 1 else b"RIFF")
    assert header[4:8] == struct.pack("<I", min(whole, 2**32 - 1))
    assert len(header) == len(tool("header", 0, f"bits={bits}", f"channels={channels}").stdout)
    assert int(probe(path, "duration_ts")) == data_bytes // (bits // 8 * channels)


def test_odd_size_is_padded(tmp_path):
    path = tmp_path / "a.wav"
    encode(path, music(0.1, 1)[:33], "codec=wav", "bits=24")
    assert path.stat().st_size % 2 == 0
    assert len(reference(path)) == 33


def test_file_that_does_not_start_at_zero(tmp_path):
    """The tool writes from the descriptor's position and keeps the bytes before it."""
    path = tmp_path / "a"
    for codec in ("wav", "flac", "m4a"):
        with open(path, "wb") as file:
            file.write(b"before")
            file.flush()
            subprocess.run([TOOL, "encode", "-", f"codec={codec}"], input=music(0.5).tobytes(), stdout=file,
                           stderr=subprocess.DEVNULL, check=True)
        assert path.read_bytes()[:6] == b"before"
        # The offsets in an m4a file count from its start.
        if codec != "m4a":
            (tmp_path / "b").write_bytes(path.read_bytes()[6:])
            assert len(reference(tmp_path / "b")) == 2 * len(music(0.5))


def test_appended_file_is_written_as_a_pipe(tmp_path):
    path = tmp_path / "a.wav"
    with open(path, "ab") as file:
        subprocess.run([TOOL, "encode", "-", "codec=wav"], input=music(0.5).tobytes(), stdout=file,
                       stderr=subprocess.DEVNULL, check=True)
    assert len(reference(path)) == 2 * len(music(0.5))
