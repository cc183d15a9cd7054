# SPDX-License-Identifier: MIT
"""Observability: metrics, a real Prometheus, logs."""
import re
import shutil
import subprocess

import pytest

from client import Client
from conftest import KEY, REPOSITORY, wait_until


def series(text):
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")}


def test_metrics_count_a_job(service, song):
    service.separate(song)
    text = service.get("/metrics")
    assert text.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.body, capture_output=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    for name, least in (('spleeter_requests_total{method="POST",route="/v1/jobs",status="202"}', 1),
                        ('spleeter_request_latency_seconds_count{route="/v1/jobs/{id}"}', 1),
                        ('spleeter_files_processed_total{outcome="succeeded"}', 1), ("spleeter_audio_seconds_total", 1.9),
                        ("spleeter_real_time_factor_count", 1), ("spleeter_stored_bytes", len(song)), ("spleeter_ready", 1),
                        ("spleeter_disk_free_bytes", 1), ("spleeter_connections", 1),
                        *((f'spleeter_phase_seconds_count{{phase="{phase}"}}', 1)
                          for phase in ("upload", "probe", "decode", "separate", "encode"))):
        wait_until(lambda: service.metric(name) >= least, what=name)
    assert service.metric("spleeter_current_jobs") == 0 and service.metric("spleeter_queue_depth") == 0


def test_gauges_follow_the_queue(service, busy, endless):
    ids = busy(service) + [endless(service, n)["id"] for n in range(2)]
    wait_until(lambda: service.metric("spleeter_current_jobs") == service.at_once and service.metric("spleeter_queue_depth") == 2,
               what="the queue in metrics")
    wait_until(lambda: service.metric("spleeter_queue_oldest_seconds") > 0, what="its age")
    for id in ids:
        service.delete(f"/v1/jobs/{id}")
    wait_until(lambda: service.metric("spleeter_current_jobs") == 0 and service.metric("spleeter_queue_depth") == 0,
               what="an empty queue in metrics")


def test_the_number_of_series_does_not_grow_with_requests(service, song):
    ids = [service.submit(song, options={"duration": 1 + n / 10})["id"] for n in range(2)]
    for id in ids:
        service.wait(id)

    client = Client(service.port, KEY)  # always the same process

    def visit(n):
        for path in ("/metrics", f"/v1/jobs/{ids[0]}", f"/nowhere/{n}", f"/v1/jobs/{n}", f"/v1/jobs/{ids[1]}/stems/{n}.wav"):
            client.get(path)
        client.request(f"METHOD{n}", "/v1/jobs")

    visit(0)
    before = series(client.get("/metrics").body.decode())
    for n in range(1, 30):
        visit(n)
    assert series(client.get("/metrics").body.decode()) == before


def test_prometheus_scrapes(service, prometheus, song):
    server = prometheus(service, service.add_key("prometheus", "--role", "metrics").key)
    wait_until(lambda: server.query('sum(up{job="spleeterd"})') == len(service.ports), what="a scrape")
    service.separate(song)
    wait_until(lambda: server.query('sum(spleeter_files_processed_total{outcome="succeeded"})') == 1, what="a job in Prometheus")
    rules = wait_until(lambda: [rule for group in server.api("rules")["groups"] for rule in group["rules"]
                                if rule["health"] != "unknown"], what="the rules' evaluation")
    alerts = re.findall(r"- alert: (\w+)", (REPOSITORY / "deploy/prometheus/spleeterd.rules.yml").read_text())
    wait_until(lambda: all(rule["health"] == "ok" for group in server.api("rules")["groups"] for rule in group["rules"]),
               what="healthy rules")
    assert {rule["name"] for rule in rules} <= set(alerts)
    assert not [alert for alert in server.api("alerts")["alerts"] if alert["state"] == "firing"]


def test_logs_follow_a_job(service, song):
    job = service.submit(song, headers={"X-Request-Id": "r-1"})
    service.wait(job["id"])
    lines = wait_until(lambda: service.log("job.finished"), what="the end in the log")
    assert lines[0]["job"] == job["id"] and lines[0]["key"] == "key:default"
    created, = service.log("job.created")
    assert created["request_id"] == "r-1"
    assert lines[0]["request_id"] == "r-1", "the worker's lines belong to the request"


def test_no_secret_is_logged(service, song):
    service.get("/v1/jobs", Authorization="Bearer leaked-token-0123456789")
    url = service.post_json(f"/v1/jobs/{service.separate(song)['id']}/links", {"file": "vocals.wav"}).json()["url"]
    service.get(url)
    text = service.log_path.read_text()
    assert KEY not in text and "leaked-token" not in text and url.split("signature=")[1] not in text


@pytest.mark.parametrize("name", ["a\"b\\.wav", "x\r\ny.wav", "\u202e.wav", "é🎵.wav", "../../up.wav"], ids=ascii)
def test_hostile_names_stay_data(service, song, name):
    body_name = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", "%0D%0A")
    answer = service.post("/v1/jobs", {}, file=song, name=body_name)
    assert answer.status in (202, 400, 415, 422), answer
    assert service.log(), "each line is JSON"
    if answer.status == 202:
        id = service.wait(answer.json()["id"])["id"]
        shown = service.stem(id, "vocals.wav").headers["Content-Disposition"]
        assert "\n" not in shown and "/" not in shown.split("filename")[1]
        assert all(32 <= ord(character) < 127 for character in shown)
