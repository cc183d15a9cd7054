# SPDX-License-Identifier: MIT
"""Peaks match the samples, in every format, for any range, and while a stem grows."""
import struct
import subprocess

import numpy as np
import pytest

from client import Client
from service_fixtures import wait_until, wav_bytes


def read_peaks(body):
    """Returns (samples per peak, sample rate, [peaks, 2])."""
    version, flags, rate, samples, count, channels = struct.unpack_from("<iIiiIi", body)
    assert (version, flags, channels) == (2, 1, 1)
    peaks = np.frombuffer(body, np.int8, offset=24).reshape(-1, 2)
    assert len(peaks) == count
    return samples, rate, peaks


def get_peaks(client, id, file, **query):
    answer = client.get(f"/v1/jobs/{id}/stems/{file}/peaks?" + "&".join(f"{name}={value}" for name, value in query.items()))
    assert answer.status == 200, answer
    return read_peaks(answer.body)


def decode(path):
    """Decodes with ffmpeg. Returns [samples, channels], from -1 to 1."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "-ac", "2", "-ar", "44100", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, 2)


def expected(samples, per_peak):
    parts = [samples[at:at + per_peak] for at in range(0, len(samples), per_peak)]
    return np.array([[part.min(), part.max()] for part in parts]) * 127


@pytest.mark.parametrize("options", [{}, {"bit_depth": "24"}, {"bit_depth": "float"}, {"codec": "flac"}, {"codec": "mp3"}, {"codec": "opus"}],
                         ids=lambda options: " ".join(options.values()) or "wav")
def test_peaks_are_those_of_the_samples(service, song, options, tmp_path):
    job = service.separate(song, options=options)
    file = job["outputs"][1]["file"]
    (tmp_path / file).write_bytes(service.stem(job["id"], file).body)
    samples = np.clip(decode(tmp_path / file), -1, 1)
    for per_peak in (1024, 100):
        found, rate, peaks = get_peaks(service, job["id"], file, samples_per_peak=per_peak)
        assert (found, rate) == (per_peak, 44100)
        right = expected(samples, per_peak)
        # Decoders may differ by a sample at the end of a lossy file.
        assert abs(len(peaks) - len(right)) <= (options.get("codec") in ("mp3", "opus"))
        both = min(len(peaks), len(right)) - 1
        assert np.abs(peaks[:both] - right[:both]).max() <= 1.01
        assert np.abs(peaks).max() > 10


def test_a_part_of_the_peaks(service, song):
    job = service.separate(song)
    _, _, all = get_peaks(service, job["id"], "accompaniment.wav", samples_per_peak=512)
    _, _, part = get_peaks(service, job["id"], "accompaniment.wav", samples_per_peak=512, first=17, count=40)
    assert np.array_equal(part, all[17:57])
    _, _, end = get_peaks(service, job["id"], "accompaniment.wav", samples_per_peak=512, first=len(all) - 2, count=40)
    assert np.array_equal(end, all[-2:])
    _, _, nothing = get_peaks(service, job["id"], "accompaniment.wav", samples_per_peak=512, first=2**31)
    assert len(nothing) == 0


def test_more_channels_and_another_rate(service):
    content = wav_bytes(2, rate=48000, channels=6)
    job = service.separate(content, options={"keep_format": True})
    _, rate, peaks = get_peaks(service, job["id"], "accompaniment.wav", samples_per_peak=4800)
    assert rate == 48000 and len(peaks) == 20


def test_peaks_of_a_stem_that_grows(service):
    job = service.submit(wav_bytes(600))
    wait_until(lambda: service.job(job["id"])["outputs"], what="an output")
    seen = []

    def grown():
        if service.get(f"/v1/jobs/{job['id']}/stems/accompaniment.wav/peaks").status == 409:
            # Nothing is written yet.
            return False
        _, _, peaks = get_peaks(service, job["id"], "accompaniment.wav")
        seen.append(peaks)
        return len(peaks) > 0

    wait_until(grown, what="a first peak")
    running = service.job(job["id"])["status"] == "running"
    service.wait(job["id"])
    _, _, all = get_peaks(service, job["id"], "accompaniment.wav")
    assert running and 0 < len(seen[-1]) < len(all)
    assert np.array_equal(seen[-1], all[:len(seen[-1])])


def test_a_compressed_stem_has_peaks_when_it_is_complete(service):
    job = service.submit(wav_bytes(120), options={"codec": "flac"})
    wait_until(lambda: service.job(job["id"])["outputs"], what="an output")
    answer = service.get(f"/v1/jobs/{job['id']}/stems/accompaniment.flac/peaks")
    assert (answer.status, answer.problem()) == (409, "conflict") and int(answer.headers["Retry-After"]) > 0
    assert service.get(f"/v1/jobs/{job['id']}/stems/none.flac/peaks").status == 409
    assert service.metric('spleeter_errors_total{code="conflict"}') == 0, "to ask too early is no fault"
    service.request("DELETE", f"/v1/jobs/{job['id']}")


def test_tags(service, song):
    job = service.separate(song)
    path = f"/v1/jobs/{job['id']}/stems/accompaniment.wav/peaks"
    answer = service.get(path)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert service.get(path, If_None_Match=answer.headers["ETag"]).status == 304


def test_who_may_see_them_and_what_can_be_asked(service, song):
    job = service.separate(song)
    path = f"/v1/jobs/{job['id']}/stems/accompaniment.wav/peaks"
    assert Client(service.port, None).get(path).problem() == "unauthorized"
    assert service.add_key("another").get(path).problem() == "not-found"
    assert service.get(f"/v1/jobs/{job['id']}/stems/none.wav/peaks").problem() == "not-found"
    for query in ("samples_per_peak=15", "samples_per_peak=16777217", "samples_per_peak=x", "samples_per_peak=-1", "first=-1",
                  "first=2147483649", "count=0", "count=1048577", "count=99999999999999999999"):
        answer = service.get(f"{path}?{query}")
        assert (answer.status, answer.json()["field"]) == (422, query.split("=")[0]), query
