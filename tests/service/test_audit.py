# SPDX-License-Identifier: MIT
"""The audit log of a real service: who did what, and detection of changes to the log."""
import json
import subprocess

from client import Client
from conftest import KEY, PROGRAM, environment


def verify(service, data):
    return subprocess.run([PROGRAM, "audit", "verify", "--data-dir", data], env=environment(**service.settings), capture_output=True, text=True)


def logs(service):
    return [path for data in service.data_folders for path in sorted((data / "audit").iterdir())]


def lines(service):
    return [json.loads(line) for path in logs(service) for line in path.read_text().splitlines()]


def test_who_did_what_is_kept(service, song):
    id = service.separate(song)["id"]
    service.delete(f"/v1/jobs/{id}")
    Client(service.port, "a-wrong-key-0123456789").get("/v1/jobs")
    events = {(line["action"], line["outcome"]): line for line in lines(service) if "outcome" in line}
    created = events["job.create", "ok"]
    assert (created["actor"], created["object"], created["address"]) == ("key:default", id, "127.0.0.1")
    assert created["request_id"]
    assert events["job.delete", "ok"]["object"] == id
    assert events["auth.refused", "unauthorized"]["actor"] == "anonymous"
    text = "".join(path.read_text() for path in logs(service))
    assert KEY not in text and "a-wrong-key" not in text
    for data in service.data_folders:
        done = verify(service, data)
        assert done.returncode == 0 and "whole so far" in done.stdout, done


def test_changes_show(service, song):
    service.wait(service.submit(song)["id"])
    assert service.stop() == 0
    for data in service.data_folders:
        done = verify(service, data)
        assert done.returncode == 0 and "whole, last mac" in done.stdout, done
    path, = (path for path in logs(service) if "key:default" in path.read_text())
    path.chmod(0o600)
    path.write_text(path.read_text().replace("key:default", "key:another"))
    done = verify(service, path.parent.parent)
    assert done.returncode == 4 and "WRONG at line 2" in done.stdout, done


def test_a_kill_does_not_break_the_chain(service, song):
    service.wait(service.submit(song)["id"])
    service.kill()
    service.start()
    service.submit(song)
    assert service.stop() == 0
    for data in service.data_folders:
        done = verify(service, data)
        assert done.returncode == 0 and done.stdout.count("\n") == 2, done


def test_the_folder_is_closed_to_others(service):
    assert service.data.stat().st_mode & 0o077 == 0 or (service.data / "audit").stat().st_mode & 0o077 == 0
    for path in (*logs(service), *service.data.glob("secret")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_file_that_is_read_by_many_ranges(service, song):
    """Requests of one client for one file are one line a minute."""
    id = service.separate(song)["id"]
    for number in range(10):
        assert service.get(f"/v1/jobs/{id}/stems/vocals.wav", Range=f"bytes={number}-{number}").status == 206
        assert service.request("HEAD", f"/v1/jobs/{id}/stems/vocals.wav").status == 200
    service.get(f"/v1/jobs/{id}/stems/accompaniment.wav")
    read = [line["detail"] for line in lines(service) if line["action"] == "file.read" and line["object"] == id]
    assert 1 <= read.count("vocals.wav") <= service.replicas and read.count("accompaniment.wav") == 1


def test_what_strangers_cause_is_bounded(service, song):
    """Refusals and reads by link write a limited number of audit lines and count the rest. The same
    holds for lines of the service's log."""
    job = service.separate(song)["id"]
    link = service.post_json(f"/v1/jobs/{job}/links", {"file": "manifest.json"}).json()["url"]
    stem = service.post_json(f"/v1/jobs/{job}/links", {"file": "vocals.wav"}).json()["url"]
    stranger = Client(service.port, None)
    asked = 300
    for _ in range(asked):
        assert stranger.get("/v1/jobs").status == 401
    for _ in range(100):
        assert stranger.get(stem, Range="bytes=0-1").status == 206
    assert stranger.get(link).status == 200
    assert service.stop() == 0
    written = lines(service)

    def counted(action):
        single = [line for line in written if line["action"] == action and line["actor"] in ("anonymous", "link")]
        more = [int(line["detail"].split()[0]) for line in written if line["action"] == f"{action}.more"]
        return len(single), sum(more)

    for action, all, most in (("auth.refused", asked, 20), ("file.read", 100, 60)):
        single, more = counted(action)
        assert single + more == all and single <= most * service.replicas, (action, single, more)
    logged = [line for line in service.log("http.request") if line["status"] == 401]
    assert 0 < len(logged) <= 120 * service.replicas and service.log("http.request.more")
    for data in service.data_folders:
        assert verify(service, data).returncode == 0
