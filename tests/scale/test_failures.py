# SPDX-License-Identifier: MIT
"""Every acknowledged job ends exactly once, whatever fails under load: the database's primary,
workers, or the storage."""
import hashlib
import random
import signal
import time

import pytest

from cluster import SOAK, Load, short_song, wait_until


# Frozen servers accept connections but do not answer.
DEATHS = ["killed", "frozen"] if SOAK else ["killed"]


def acknowledged(load, count):
    wait_until(lambda: len(load.acknowledged) >= count, timeout=300, what=f"{count} acknowledged jobs")


@pytest.mark.parametrize("death", DEATHS)
def test_primary_dies_and_its_standby_takes_over(cluster, death):
    jobs = 1000 if SOAK and death == "killed" else 80
    service = cluster()
    load = Load(service.apis, jobs).start()
    acknowledged(load, jobs // 3)
    if death == "killed":
        service.primary.kill()
    else:
        service.primary.signal(signal.SIGSTOP)
    time.sleep(1)
    service.standby.promote()
    promoted = time.monotonic()
    if death == "frozen":
        time.sleep(1)
        service.primary.kill()  # fenced before it resumes, as in every failover
    load.finish(900 if SOAK else 240)
    late = [when - promoted for when, _ in load.failures if when > promoted]
    print(f"{jobs} jobs, {len(load.failures)} requests failed and were sent again, the last {max(late, default=0):.1f} s after the promotion; "
          f"most attempts at a job {max(seen['attempts'] for seen in load.seen.values())}")


def test_workers_are_killed(cluster):
    kills, jobs = (100, 1000) if SOAK else (8, 40)
    service = cluster(ATTEMPTS=30)
    load = Load(service.apis, jobs, seconds=5).start()
    acknowledged(load, 5)
    chance = random.Random(jobs)
    for number in range(kills):  # spread the kills over all jobs
        wait_until(lambda: sum(len(worker.log("job.finished")) for worker in service.workers) >= number * jobs // (kills + 1), what="progress")
        time.sleep(chance.uniform(0.05, 0.6))
        worker = chance.choice(service.workers)
        worker.kill()
        worker.start(wait=False)
    load.finish(900 if SOAK else 240)
    attempts = [seen["attempts"] for seen in load.seen.values()]
    print(f"{kills} kills, {jobs} jobs, {sum(attempts) - jobs} attempts were lost with a worker")
    assert sum(attempts) > jobs, "no kill hit a job"


def test_a_stopped_worker_that_wakes_past_its_lease_commits_nothing(cluster):
    service = cluster(apis=1, workers=1)
    first, client = service.workers[0], service.apis[0].client()
    job = client.submit(short_song(1, 240), model="tiny")
    wait_until(lambda: client.job(job["id"])["progress"] > 0.05, what="progress")
    first.process.send_signal(signal.SIGSTOP)
    service.add("worker")
    done = client.wait(job["id"])
    assert (done["status"], done["attempts"]) == ("succeeded", 2)
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: first.log("job.lease_lost"), what="the end of its work")
    time.sleep(1)
    after = client.job(job["id"])
    assert Load.facts(after) == Load.facts(done)
    for output in done["outputs"]:
        assert hashlib.sha256(client.stem(job["id"], output["file"]).body).hexdigest() == output["sha256"]
    assert not [key for key in service.s3.objects() if "/1-" in key], "the stopped worker stored something"


def test_a_database_without_the_jobs_costs_no_object(cluster):
    """With a wrong URL or an old backup, neither running nor starting processes remove the objects
    of unknown jobs."""
    service = cluster(apis=1, workers=1, standby=False, DRAIN_S=0)
    client = service.apis[0].client()
    client.wait(client.submit(short_song(1), model="tiny")["id"])
    running = client.submit(short_song(2, 240), model="tiny")
    wait_until(lambda: client.job(running["id"])["progress"] > 0, what="progress")
    before = service.s3.objects()
    service.primary.sql("DELETE FROM jobs")
    wait_until(lambda: service.workers[0].log("job.lease_lost"), what="the end of its work")
    for role in ("serve", "worker"):
        service.add(role)
    client.wait(client.submit(short_song(3), model="tiny")["id"])
    assert f"{running['id']}/input" in before and set(before) <= set(service.s3.objects())


@pytest.mark.parametrize("death", DEATHS)
def test_without_a_database_nothing_is_promised(cluster, death):
    service = cluster(standby=False, workers=1)
    load = Load(service.apis, 20).start()
    acknowledged(load, 10)
    if death == "killed":
        service.primary.kill()
    else:
        service.primary.signal(signal.SIGSTOP)
    for number in range(1000, 1006):
        answer = service.apis[number % 2].client().post("/v1/jobs", {}, file=short_song(number))
        assert answer.status == 503 and answer.problem() == "unavailable", answer
        assert answer.headers["Retry-After"]
    assert service.apis[0].client().get("/health").status == 200
    assert service.apis[0].client().get("/ready").status == 503
    if death == "killed":
        service.primary.start()
    else:
        service.primary.signal(signal.SIGCONT)
    load.finish(240)


@pytest.mark.parametrize("death", DEATHS)
def test_storage_dies_and_nothing_is_lost(cluster, death):
    jobs = 40
    service = cluster(standby=False)
    load = Load(service.apis, jobs, seconds=2).start()
    acknowledged(load, jobs // 3)
    if death == "killed":
        service.s3.kill()
        answer = wait_until(lambda: [a for a in [service.apis[0].client().post("/v1/jobs", {}, file=short_song(1000))] if a.status != 202],
                            timeout=60, what="a refusal")[0]
        assert answer.status == 503 and answer.problem() == "unavailable"
    else:
        service.s3.signal(signal.SIGSTOP)
    time.sleep(8)
    if death == "killed":
        service.s3.start()
    else:
        service.s3.signal(signal.SIGCONT)
    load.finish(300)
    print(f"{len(load.failures)} requests failed and were sent again")
    assert max(seen["attempts"] for seen in load.seen.values()) <= 3


def test_a_frozen_storage_holds_up_no_cancel_and_no_drain(cluster):
    """Without a cancel, a stalled upload would last 20 s for each of four tries."""
    service = cluster(apis=1, workers=1, standby=False, DRAIN_S=0)
    client, worker = service.apis[0].client(), service.workers[0]

    def stall(number):
        job = client.submit(short_song(number, 240), model="tiny")
        wait_until(lambda: client.job(job["id"])["progress"] > 0.05, what="progress")
        service.s3.signal(signal.SIGSTOP)
        wait_until(lambda: client.job(job["id"])["progress"] == 1, what="the end of the separation")
        return job["id"]

    job = stall(1)
    assert client.cancel(job).status == 202
    assert client.wait(job, timeout=15)["status"] == "canceled"
    service.s3.signal(signal.SIGCONT)

    job = stall(2)
    worker.process.terminate()
    assert worker.process.wait(timeout=15) == 0
    service.s3.signal(signal.SIGCONT)
    assert (client.job(job)["status"], client.job(job)["attempts"]) == ("queued", 0)
    worker.start()
    assert client.wait(job)["status"] == "succeeded"
