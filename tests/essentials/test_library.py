# SPDX-License-Identifier: MIT
"""libspleeter through ctypes, as a binding sees it: no macros, no compiler, the structs of the headers by hand."""
import array
import ctypes
import math
import os

import pytest
from ctypes import CFUNCTYPE, POINTER, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p

OK, ARGUMENT, NOT_FOUND, CANCELED = 0, -1, -4, -8


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("message", c_char * 1024), ("reserved", c_uint64 * 4)]


class Choice(ctypes.Structure):
    _fields_ = [("path", c_char * 4096), ("bandwidth", c_int), ("as_spleeter", c_bool), ("reserved", c_uint64 * 8)]


class Stem(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("group", c_char_p), ("network", c_char_p), ("sha256", c_char_p),
                ("conv_activation", c_int), ("deconv_activation", c_int), ("parameters", c_uint64),
                ("reserved", c_uint64 * 4)]


class Info(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("path", c_char_p), ("architecture", c_int), ("frames", c_uint), ("bins", c_uint),
                ("mask_extension", c_int), ("separation_exponent", c_double), ("licence", c_char_p),
                ("source", c_char_p), ("stem_count", c_uint), ("group_count", c_uint), ("reserved", c_uint64 * 8),
                ("stems", Stem * 16)]


class Progress(ctypes.Structure):
    _fields_ = [("samples_done", c_uint64), ("samples_total", c_uint64), ("pass_number", c_uint), ("passes", c_uint),
                ("reserved", c_uint64 * 4)]


Read = CFUNCTYPE(c_int, c_void_p, POINTER(c_float), c_size_t, POINTER(c_size_t))
Rewind = CFUNCTYPE(c_int, c_void_p)
Write = CFUNCTYPE(c_int, c_void_p, POINTER(POINTER(c_float)), c_size_t)
Report = CFUNCTYPE(c_int, c_void_p, POINTER(Progress))


class Source(ctypes.Structure):
    _fields_ = [("user", c_void_p), ("read", Read), ("rewind", Rewind), ("total_samples", c_uint64),
                ("reserved", c_uint64 * 4)]


class Sink(ctypes.Structure):
    _fields_ = [("user", c_void_p), ("write", Write), ("reserved", c_uint64 * 4)]


class Options(ctypes.Structure):
    _fields_ = [("bandwidth", c_int), ("wiener", c_bool), ("threads", c_uint), ("stems", c_uint64),
                ("progress", Report), ("progress_user", c_void_p), ("timings", c_void_p), ("reserved", c_uint64 * 8)]


@pytest.fixture(scope="module")
def library():
    loaded = ctypes.CDLL(os.environ["LIBSPLEETER"])
    loaded.spl_model_get_info.restype = POINTER(Info)
    loaded.spl_status_text.restype = c_char_p
    return loaded


@pytest.fixture
def model(library):
    choice, opened = Choice(), c_void_p()
    assert library.spl_model_resolve(b"2stems", None, byref(choice), None) == OK
    assert not choice.as_spleeter
    assert library.spl_model_open(choice.path, byref(opened), None) == OK
    yield opened
    library.spl_model_unref(opened)


def separate(library, model, samples, options):
    """Returns the status, the stems and the error for `samples` (stereo floats)."""
    position, stems, error = 0, [array.array("f"), array.array("f")], Error()

    def read(_, to, capacity, ret_count):
        nonlocal position
        ret_count[0] = count = min(capacity, (len(samples) - position) // 2)
        ctypes.memmove(to, samples[position : position + 2 * count].tobytes(), 8 * count)
        position += 2 * count
        return OK

    def write(_, buffers, count):
        for stem, buffer in zip(stems, buffers):
            stem.frombytes(ctypes.string_at(buffer, 8 * count))
        return OK

    source, sink = Source(read=Read(read), total_samples=len(samples) // 2), Sink(write=Write(write))
    status = library.spl_separate(model, byref(options), byref(source), byref(sink), byref(error))
    return status, stems, error


def tone(count):
    return array.array("f", (0.3 * math.sin(0.05 * (n // 2)) for n in range(2 * count)))


def test_version_and_texts(library):
    assert library.spl_api_version() >> 16 == 0
    assert library.spl_status_text(CANCELED) == b"canceled"


def test_a_song_is_separated(library, model):
    info = library.spl_model_get_info(model).contents
    assert [info.stems[i].name for i in range(info.stem_count)] == [b"vocals", b"accompaniment"]
    assert info.bins % 64 == 0 and info.stems[1].parameters > 1e6
    samples, options = tone(30000), Options(bandwidth=3)  # full: the stems sum to the mixture
    status, stems, error = separate(library, model, samples, options)
    assert status == OK, error.message
    assert [len(stem) for stem in stems] == [len(samples)] * 2
    assert max(abs(a + b - c) for a, b, c in zip(*stems, samples)) < 1e-4


def test_progress_cancels(library, model):
    status, _, error = separate(library, model, tone(30000), Options(progress=Report(lambda _, progress: CANCELED)))
    assert (status, error.status) == (CANCELED, CANCELED)


def test_unknown_fields_are_refused(library, model):
    status, _, error = separate(library, model, tone(100), Options(reserved=(c_uint64 * 8)(1)))
    assert status == ARGUMENT and b"spl_separate_options" in error.message


def test_errors_say_what_was_wrong(library):
    error, info = Error(), POINTER(Info)()
    assert library.spl_model_describe(b"/nowhere", byref(info), byref(error)) == NOT_FOUND
    assert b"/nowhere" in error.message
