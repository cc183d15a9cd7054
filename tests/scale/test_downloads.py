# SPDX-License-Identifier: MIT
"""Downloads of stems from a cluster."""
import hashlib
import urllib.error
import urllib.request

import pytest

from cluster import short_song
from waiting import wait_until


def test_stems_come_whole_or_by_a_signed_address(cluster):
    service = cluster(apis=1, workers=1, standby=False)
    client = service.apis[0].client()
    job = client.submit(short_song(1, 30), name="Some song.wav")
    # The response lasts until the job ends, or is a 409 if there is no stem yet.
    early = client.get(f"/v1/jobs/{job['id']}/stems/vocals.wav")
    assert early.status in (200, 409)
    done = client.wait(job["id"])
    output = next(each for each in done["outputs"] if each["file"] == "vocals.wav")
    if early.status == 200:
        assert hashlib.sha256(early.body).hexdigest() == output["sha256"]
    part = client.stem(job["id"], "vocals.wav", Range="bytes=100-199")
    whole = client.stem(job["id"], "vocals.wav")
    assert (part.status, part.body) == (206, whole.body[100:200])
    assert whole.headers["ETag"] == f'"{output["sha256"]}"'

    away = service.add("serve", WORKERS=0, S3_PUBLIC_ENDPOINT=service.s3.endpoint).client()
    answer = away.stem(job["id"], "vocals.wav")
    assert (answer.status, answer.body) == (307, b"") and answer.headers["Cache-Control"] == "no-store"
    location = answer.headers["Location"]
    with urllib.request.urlopen(location, timeout=30) as fetched:
        assert fetched.headers["Content-Type"] == "audio/wav" and "Some song - vocals.wav" in fetched.headers["Content-Disposition"]
        assert fetched.read() == whole.body
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(location.replace("vocals.wav", "accompaniment.wav", 1), timeout=30)
    assert refused.value.code == 403
    assert away.request("HEAD", f"/v1/jobs/{job['id']}/stems/vocals.wav").status == 200
    assert away.request("GET", f"/v1/jobs/{job['id']}/stems/vocals.wav", headers={"X-API-KEY": "not-a-key-of-this-one"}).status == 401
    assert away.get(f"/v1/jobs/{job['id']}/stems.zip").status == 200

    assert client.delete(f"/v1/jobs/{job['id']}").status == 204
    assert not [key for key in service.s3.objects() if key.startswith(job["id"])]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(location, timeout=30)


def test_a_key_has_half_of_the_cache_open_at_once(cluster):
    service = cluster(apis=1, workers=1, standby=False, CACHE_MB=64)
    client = service.apis[0].client()
    job = client.wait(client.submit(short_song(1, 55), bit_depth="float")["id"])["id"]
    connection, read = client.open("GET", f"/v1/jobs/{job}/stems/vocals.wav")
    size = int(read.headers["Content-Length"])
    assert 16 << 20 < size < 32 << 20
    refused = client.stem(job, "accompaniment.wav")
    assert refused.status == 503 and int(refused.headers["Retry-After"]) > 0
    assert refused.problem() == "unavailable" and "one after the other" in refused.json()["detail"]
    assert client.stem(job, "vocals.wav", Range="bytes=100-199").status == 206  # the same copy
    assert len(read.read()) == size
    connection.close()
    wait_until(lambda: client.stem(job, "accompaniment.wav").status == 200)
