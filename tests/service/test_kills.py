# SPDX-License-Identifier: MIT
"""Kills the service repeatedly, whatever it is doing, and checks that nothing that it acknowledged
is lost: jobs, cancels, deletions, results, webhooks. 6 kills; 100 with SPLEETERD_SOAK=1."""
import collections
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time

from client import Answer, form
from conftest import PROGRAM, environment, wait_until, wav_bytes

KILLS = 100 if os.environ.get("SPLEETERD_SOAK") else 6
HOW = ["at work", "at work", "in its start", "at work", "while it drains", "at work"]
AT_ONCE = 3
ENDED = ("succeeded", "failed", "canceled", "expired")


class Promises:
    """What the service has acknowledged to clients."""

    def __init__(self):
        self.jobs = {}          # id: {"song", "duration", "key"}
        self.canceled = {}      # id: time of the answer
        self.deleted = set()
        self.asked = set()      # ids to cancel or delete; without an answer either outcome is right
        self.results = {}       # id: outputs of a job that a client saw succeed
        self.lock = threading.Lock()


class Submitter(threading.Thread):
    """A client that creates jobs and requests their cancel, deletion and results, and continues
    while the service is down."""

    def __init__(self, service, songs, promises, webhook, number):
        super().__init__(daemon=True)  # does not outlive a test that fails
        self.service, self.songs, self.promises, self.webhook = service, songs, promises, webhook
        self.random, self.number, self.ended = random.Random(number), number, threading.Event()
        self.failure, self.sent, self.own = None, 0, set()

    def run(self):
        try:
            while not self.ended.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.send()
                    self.act()
                self.ended.wait(self.random.uniform(0, 0.3))
        except BaseException as error:
            self.failure = error

    def running(self):
        with self.promises.lock:
            return [id for id in self.promises.jobs if id not in self.promises.results and id not in self.promises.asked]

    def send(self):
        """Creates a job; retries with the same Idempotency-Key until it is acknowledged."""
        if len(self.running()) >= 6:
            return
        self.sent += 1
        fields = {"options": {"duration": 0.5 + self.random.randrange(100) / 100, "codec": self.random.choice(["wav", "flac"])},
                  "webhook_url": f"{self.webhook}/{self.number}"}
        song = self.random.choice(list(self.songs))
        key = f"{self.number}-{self.sent}"
        while not self.ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.slowly(form(fields, self.songs[song]), key)
                if answer.status != 202:
                    # An earlier attempt is still in progress, or the service is draining.
                    assert answer.status in (409, 503), answer
                    self.ended.wait(0.2)
                    continue
                with self.promises.lock:
                    id = answer.json()["id"]
                    assert self.promises.jobs.setdefault(id, {"key": key})["key"] == key
                    self.promises.jobs[id].update(song=song, **fields["options"])
                self.own.add(id)
                return
            self.ended.wait(0.1)

    def slowly(self, body, key):
        """Uploads in two parts, so that kills can come in between."""
        content, type = body
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
        try:
            connection.putrequest("POST", "/v1/jobs")
            for name, value in (("X-API-KEY", self.service.key), ("Content-Type", type), ("Content-Length", str(len(content))),
                                ("Idempotency-Key", key)):
                connection.putheader(name, value)
            connection.endheaders(content[:len(content) // 2])
            time.sleep(self.random.choice([0, 0, 0.1]))
            connection.send(content[len(content) // 2:])
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def act(self):
        """Queries, cancels or deletes one of its own jobs; other clients may be canceling
        theirs."""
        running = [id for id in self.running() if id in self.own]
        if not running:
            return
        id = self.random.choice(running)
        choice = self.random.random()
        if choice < 0.97:
            job = self.service.job(id)
            if job["status"] == "succeeded":
                with self.promises.lock:
                    self.promises.results[id] = job["outputs"]
            assert job["status"] in ("queued", "running", "succeeded"), job
            return
        with self.promises.lock:
            self.promises.asked.add(id)
        method, path = ("POST", f"/v1/jobs/{id}/cancel") if choice < 0.985 else ("DELETE", f"/v1/jobs/{id}")
        answer = self.service.request(method, path)
        with self.promises.lock:
            if method == "DELETE":
                assert answer.status == 204, answer
                self.promises.deleted.add(id)
            elif answer.status == 200 and answer.json()["status"] == "succeeded":
                pass  # it had already ended
            else:
                assert answer.status in (200, 202, 409), answer
                if answer.status != 409:
                    self.promises.canceled[id] = time.time()


def phase(service):
    """Returns what the service is doing, judging by its disk and its answers."""
    try:
        uploads = len(service.files("incoming"))
        listed = service.request("GET", "/v1/jobs?status=running", timeout=5).json()["jobs"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return "away"
    if not listed:
        return "upload" if uploads else "no job"
    return "upload and job" if uploads else "job"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def check(service, promises):
    """Checks that all that was acknowledged still holds."""
    with promises.lock:
        jobs, deleted, canceled, results = dict(promises.jobs), set(promises.deleted), dict(promises.canceled), dict(promises.results)
    for id in jobs:
        answer = service.get(f"/v1/jobs/{id}")
        if id in deleted:
            assert answer.status == 404, (id, answer)
        elif id not in promises.asked:  # a client may just have added it
            assert answer.status == 200, (id, answer)
            assert answer.json()["status"] in ("queued", "running", "succeeded"), answer
        if id in results and answer.status == 200:
            assert answer.json()["status"] == "succeeded" and answer.json()["outputs"] == results[id], (id, answer)
        if id in canceled and answer.status == 200:
            job = answer.json()
            assert job["status"] != "queued" and (job["status"] == "canceled" or moment(job["started"]) < canceled[id]), (id, job)


def test_kills_lose_nothing(serve, receiver, command):
    songs = {f"song{n}": wav_bytes(3, seed=n) for n in range(4)}
    service = serve(WEBHOOK_ALLOW="127.0.0.0/8", ATTEMPTS=100, JOBS_PER_KEY=1000, DRAIN_S=1)
    promises, chance, phases = Promises(), random.Random(1), collections.Counter()
    submitters = [Submitter(service, songs, promises, receiver.url, n) for n in range(AT_ONCE)]
    for submitter in submitters:
        submitter.start()
    for number in range(KILLS):
        how = HOW[number % len(HOW)]
        if how == "at work":
            if number % 2:  # some jobs must end, however slow the machine is
                seen = len(promises.results)
                wait_until(lambda: len(promises.results) > seen or any(submitter.failure for submitter in submitters), what="a result")
            time.sleep(chance.uniform(0, 2))
            phases[phase(service)] += 1
        elif how == "in its start":
            service.kill()
            service.start(wait=False)
            time.sleep(chance.uniform(0, 0.3))
            phases["start"] += 1
        else:
            time.sleep(chance.uniform(0, 1))
            service.send_signal(signal.SIGTERM)
            time.sleep(chance.uniform(0, 1.2))
            phases["drain"] += 1
        service.kill()
        service.start()
        check(service, promises)
    for submitter in submitters:
        submitter.ended.set()
    for submitter in submitters:
        submitter.join()
        assert not submitter.failure, submitter.failure
        assert submitter.sent > 0
    assert promises.results
    print(f"{KILLS} kills: {dict(phases)}; {len(promises.jobs)} jobs, {len(promises.canceled)} cancels, {len(promises.deleted)} deletions, "
          f"{len(promises.results)} results seen")

    # All jobs end, and their outputs are those of the command.
    ended = {}
    for id in promises.jobs:
        if service.get(f"/v1/jobs/{id}").status == 404:
            assert id in promises.asked
            continue
        ended[id] = service.wait(id, *ENDED)
        assert ended[id]["status"] == "succeeded" or (id in promises.asked and ended[id]["status"] == "canceled"), ended[id]
    check(service, promises)
    succeeded = [id for id in ended if ended[id]["status"] == "succeeded"]
    for id in succeeded:
        for output in ended[id]["outputs"]:
            content = service.stem(id, output["file"]).body
            assert len(content) == output["bytes"] and hashlib.sha256(content).hexdigest() == output["sha256"]
    for id in chance.sample(succeeded, min(12, len(succeeded))):
        job = promises.jobs[id]
        made = command(songs[job["song"]], "--duration", str(job["duration"]), "--codec", job["codec"])
        assert {name: hashlib.sha256(content).hexdigest() for name, content in made.items()} == \
               {output["file"]: output["sha256"] for output in ended[id]["outputs"]}

    # No Idempotency-Key created two jobs.
    listed, cursor = [], ""
    while cursor is not None:
        page = service.get(f"/v1/jobs?limit=100{cursor and '&cursor=' + cursor}").json()
        listed += [job["id"] for job in page["jobs"]]
        cursor = page.get("next_cursor")
    # Each client may have one job that was created but not acknowledged.
    assert set(ended) <= set(listed) and len(listed) - len(ended) <= AT_ONCE

    # The end of each job is delivered, by retries if necessary.
    def delivered():
        return {json.loads(request["body"])["data"]["id"] for request in list(receiver.requests)}

    wait_until(lambda: set(ended) <= delivered(), timeout=120, what="a webhook for each end")

    # The requests and jobs that the kills interrupted leave no files.
    wait_until(lambda: service.orphans(listed) == [], what="an end of orphans")
    wait_until(lambda: service.leftovers() == [], what="an end of temporary files")
    for data in service.data_folders:
        done = subprocess.run([PROGRAM, "audit", "verify", "--data-dir", data], env=environment(**service.settings), capture_output=True, text=True)
        assert done.returncode == 0, done
