# SPDX-License-Identifier: MIT
"""Measures the load of the job store on PostgreSQL: transactions, write-ahead log and CPU time per
job and heartbeat, and the statements whose cost grows with the tables.

    python3 bench/cluster/measure_store.py BUILD_FOLDER     # calls
    python3 bench/cluster/measure_store.py ROWS             # growing tables

It counts CPU seconds and bytes instead of wall-clock time, so other load hardly affects the
results. The server is a new one with fsync and a synchronous standby.
"""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/scale"))
from cluster import wait_until  # noqa: E402
from servers import Postgres  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(server):
    """CPU seconds of the server and its processes, including those that have ended."""
    total = 0
    for pid in [str(server.process.pid), *subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True).stdout.split()]:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15] if pid == str(server.process.pid) else fields[11:13]))
    return total / TICK


def counters(server):
    server.sql("SELECT pg_sleep(1.2)")  # statistics are delayed
    commits, wal = server.sql("SELECT xact_commit, pg_current_wal_lsn() - '0/0'::pg_lsn FROM pg_stat_database WHERE datname = 'spleeterd'")[0]
    return int(commits), int(wal), cpu_s(server)


def load(build, server, jobs, workers, heartbeats, queued=0):
    """Returns (transactions, WAL bytes, CPU seconds) per job, the rate in jobs/s, and the output of
    store_load."""
    before = counters(server)
    done = subprocess.run([build / "tests/scale/store_load", server.url(), str(jobs), str(workers), str(heartbeats), str(queued)],
                          capture_output=True, text=True, check=True)
    after = counters(server)
    rate = float(re.search(r": (\d+) jobs/s", done.stdout)[1])
    return [(a - b) / jobs for a, b in zip(after, before)], rate, done.stdout


def explain(server, statement):
    """Milliseconds inside the server, from the second of two runs."""
    text = ""
    for _ in range(2):
        text = "\n".join(row[0] for row in server.sql(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}"))
    return float(re.search(r"Execution Time: ([\d.]+)", text)[1])


SCHEMA = "".join((REPOSITORY / f"src/service/store/{name}.sql").read_text() for name in ("schema", "schema_2", "postgres", "schema_3", "schema_4", "schema_5"))

FILL = """
INSERT INTO jobs (id, owner, state, priority, created_ms, started_ms, finished_ms, expires_ms, available_ms, attempts, cancel_requested, dead_letter,
                  reused, options, model, model_sha256, input_name, input_sha256, input_bytes, input_s, cache_key, progress, result, fence, version, stored_bytes)
SELECT '0190d5a0-0000-7000-9000-' || lpad(n::text, 12, '0'), 'filled:' || n % {owners}, {state}, 0, 1, 1, 1, 9e15, 0, 1, 0, 0, 0, '{{"codec":"mp3"}}', '2stems',
       repeat('a', 64), 'A song.mp3', md5(n::text) || md5(n::text), 4194304, 240, md5(n::text) || md5(n::text), 1, repeat('x', 2000), 1, 20, 8388608
FROM generate_series({first}, {last}) n"""

GROWING = {
    "usage of an owner (each submit, twice)":
        "SELECT coalesce(sum(CASE WHEN state IN (0, 1) THEN 1 ELSE 0 END), 0), coalesce(sum(stored_bytes), 0) FROM jobs WHERE owner = 'filled:0'",
    "length of the queue (each submit, twice)": "SELECT count(*) FROM jobs WHERE state = 0",
    "bytes stored by all (gauges, every 5 s a replica)": "SELECT coalesce(sum(stored_bytes), 0) FROM jobs WHERE stored_bytes > 0",
    "the next job (each claim)":
        "SELECT j.id FROM jobs j LEFT JOIN owners o ON o.owner = j.owner WHERE j.state = 0 AND j.available_ms <= 9000000000000"
        " ORDER BY j.suspect DESC, j.priority DESC, coalesce(o.last_claim, 0), j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED",
    "a page of 50 jobs": "SELECT * FROM jobs WHERE owner = 'filled:0' AND id < '~' ORDER BY id DESC LIMIT 51",
}


def measure_calls(build):
    with tempfile.TemporaryDirectory(prefix="spleeterd-scale-") as folder, contextlib.ExitStack() as ends:
        os.chmod(folder, 0o755)
        server = Postgres(f"{folder}/primary")
        ends.callback(server.stop)
        standby = Postgres(f"{folder}/standby", server)
        ends.callback(standby.stop)
        server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.sql("SELECT pg_reload_conf()")
        wait_until(lambda: server.sql("SELECT sync_state FROM pg_stat_replication") == [["sync"]])
        load(build, server, 20, 4, 0)
        print("| a job | transactions | WAL, KiB | CPU of the primary, ms |\n|---|---|---|---|")
        (short, _, _), (long, _, _) = load(build, server, 200, 4, 0), load(build, server, 200, 4, 20)
        print(f"| from submit to end, without heartbeats | {short[0]:.1f} | {short[1] / 1024:.1f} | {1000 * short[2]:.2f} |")
        print(f"| each heartbeat | {(long[0] - short[0]) / 20:.2f} | {(long[1] - short[1]) / 20480:.2f} | {50 * (long[2] - short[2]):.3f} |")
        for workers in (4, 64):
            cost, rate, text = load(build, server, 200, workers, 20)
            print(f"{workers} workers at once: {rate:.0f} jobs/s, {rate * 28:.0f} calls/s, {1000 * cost[2]:.1f} ms CPU a job", flush=True)


def measure_growth(rows):
    """Uses a separate server with fsync off, because only execution time inside the server is
    measured."""
    with tempfile.TemporaryDirectory(prefix="spleeterd-scale-") as folder, contextlib.ExitStack() as ends:
        os.chmod(folder, 0o755)
        server = Postgres(f"{folder}/growth", fsync="off", shared_buffers="512MB")
        ends.callback(server.stop)
        server.sql(SCHEMA)
        for owners, state, label in ((1, 2, "one owner"), (1000, 2, "1,000 owners")):
            server.sql("TRUNCATE jobs CASCADE")
            server.sql(FILL.format(owners=owners, state=state, first=1, last=rows))
            server.sql("VACUUM ANALYZE jobs")
            print(f"{rows} finished jobs of {label}:")
            for name, statement in GROWING.items():
                print(f"  {name}: {explain(server, statement):.2f} ms")
        server.sql("TRUNCATE jobs CASCADE")
        for queued in (1000, 10000, 100000):
            server.sql("TRUNCATE jobs CASCADE")
            server.sql(FILL.format(owners=1000, state=0, first=1, last=queued))
            server.sql("VACUUM ANALYZE jobs")
            print(f"{queued} queued jobs: the next one takes {explain(server, GROWING['the next job (each claim)']):.2f} ms, "
                  f"their number {explain(server, GROWING['length of the queue (each submit, twice)']):.2f} ms", flush=True)


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        measure_growth(int(sys.argv[1]))
    else:
        measure_calls(pathlib.Path(sys.argv[1]).resolve())
