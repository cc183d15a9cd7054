# SPDX-License-Identifier: MIT
"""Measures throughput against the number of workers, and the network traffic of a job. Each worker
runs in its own network namespace and shares only PostgreSQL and S3, behind a bridge, with the
others. Needs root.

    python3 bench/cluster/measure_workers.py JOBS WORKERS...

SPLEETERD and SPLEETER_CODEC are set as for the tests.
"""
import contextlib
import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/scale"))
import cluster  # noqa: E402
from servers import Postgres, Versitygw  # noqa: E402

BRIDGE, ADDRESS = "spleeter0", "10.77.0.1"
SONG_S = 60


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def network(workers):
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number in range(workers):
            name = f"spleeter{number + 1}"
            ip("netns", "add", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"10.77.0.{number + 2}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for number in range(workers):
            subprocess.run(["ip", "netns", "del", f"spleeter{number + 1}"], check=False)
        ip("link", "del", BRIDGE)


def traffic(workers):
    """Returns (bytes to, bytes from) all workers."""
    folders = [pathlib.Path(f"/sys/class/net/spleeter{number + 1}/statistics") for number in range(workers)]
    return [sum(int((folder / name).read_text()) for folder in folders) for name in ("tx_bytes", "rx_bytes")]


def measure(jobs, workers, codec):
    with tempfile.TemporaryDirectory(prefix="spleeterd-scale-", ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as ends:
        folder = pathlib.Path(folder)
        os.chmod(folder, 0o755)
        ends.enter_context(network(workers))
        database = Postgres(folder / "postgres", address=ADDRESS)
        ends.callback(database.stop)
        storage = Versitygw(folder / "s3", address=ADDRESS)
        ends.callback(storage.stop)
        settings = {"DATABASE_URL": database.url(), **storage.settings(), "SECRET": "shared-secret-of-the-tests-0123456789", "API_KEY": cluster.KEY,
                    "MODEL_PATH": REPOSITORY / "models", "MIN_FREE_DISK_MB": 64, "JOBS_PER_KEY": 10000, "THREADS": 1}
        api = cluster.Process("serve", folder / "api", {**settings, "WORKERS": 0}).start()
        ends.callback(api.stop)
        client = api.client()
        ids = [client.submit(cluster.short_song(number, SONG_S), codec=codec)["id"] for number in range(jobs)]
        commits = int(database.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'spleeterd'")[0][0])
        before = traffic(workers)
        for number in range(workers):
            process = cluster.Process("worker", folder / f"worker{number}", settings, prefix=["ip", "netns", "exec", f"spleeter{number + 1}"])
            process.start(wait=False)
            ends.callback(process.stop)
        done = []
        while len(done) < jobs:
            time.sleep(1)
            done = client.get("/v1/jobs?limit=200&status=succeeded").json()["jobs"]
        connections = database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'spleeterd'")[0][0]
        time.sleep(1.5)
        after = traffic(workers)
        commits = int(database.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'spleeterd'")[0][0]) - commits

        def moment(text):
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

        # The rate starts when every worker has begun its first job, so that reading the model is
        # not counted.
        ended = sorted(moment(job["finished"]) for job in done if job["id"] in ids)
        rate = (jobs - workers) / (ended[-1] - ended[workers - 1])
        stems = sum(output["bytes"] for output in client.job(ids[0])["outputs"])
        print(f"{workers} workers, {codec}: {rate:.3f} jobs/s, {rate * SONG_S:.1f} s of music a second; "
              f"{(after[0] - before[0]) / jobs / 2**20:.2f} MiB to and {(after[1] - before[1]) / jobs / 2**20:.2f} MiB from a worker for each job "
              f"(input {SONG_S * 176400 / 2**20:.2f}, stems {stems / 2**20:.2f}); {connections} connections", flush=True)
        return rate


if __name__ == "__main__":
    rates = [measure(int(sys.argv[1]), int(workers), "wav") for workers in sys.argv[2:]]
    print("ratios: " + ", ".join(f"{rate / rates[0]:.2f}" for rate in rates))
