#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the service's throughput under a full queue, relative to the command, and its response
times meanwhile.

    bench/service/load.py [--program build/spleeterd] [--jobs 50] [--seconds 60] [--workers 1,2]
                          [--output docs/service-load.md]

Makes songs from the bundled one. One run of the command separates half of them; services on
loopback, one for each number of workers, separate all of them as queued jobs; the command then
separates the other half, so that changes in the machine's speed show. While the jobs run, a client
requests the state of a job 20 times a second, each time on a new connection. The songs differ in
one sample, so that no result is reused. Prints a table in Markdown, or writes
docs/service-load.md.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench/peers")]
from ports import free_port  # noqa: E402
from process import memory_of_all_mib  # noqa: E402

KEY = "the-key-of-the-load-benchmark"
ASKED_EVERY_S = 0.05
STEMS = 2
METHOD = """# The service under load

How much of the command's speed the service keeps while its queue is full, and how fast it answers status calls meanwhile.
The command separates half of the songs before the service does all of them as jobs, and the other half after it, on the same
machine. Status calls come 20 times a second, each on a new connection; their time counts from the moment they were due. The
client that sends the songs and asks is on the same machine, and takes its part of it.

One worker (the default) has all CPUs for each job, so a single job is done soonest; between two jobs CPUs wait for files. A worker for each CPU
(`SPLEETER_WORKERS`) gives the most under a queue, and each job takes longer.

    {command}

"""


def make_songs(program, folder, count, seconds):
    """Makes WAV files of the looped bundled song, each with a different first sample."""
    subprocess.run([program, "separate", ROOT / "examples/audio_example.mp3", "-o", folder, "-f", "whole.wav",
                    "--mix", "whole=vocals+accompaniment"], check=True, stderr=subprocess.DEVNULL)
    with wave.open(str(folder / "whole.wav")) as whole:
        parameters, once = whole.getparams(), whole.readframes(whole.getnframes())
    size = seconds * parameters.framerate * parameters.nchannels * parameters.sampwidth
    samples = bytearray((once * (size // len(once) + 1))[:size])
    songs = []
    for number in range(count):
        samples[0:2] = number.to_bytes(2, "little")
        songs.append(folder / f"song{number}.wav")
        with wave.open(str(songs[-1]), "wb") as song:
            song.setparams(parameters)
            song.writeframes(samples)
    return songs


def time_command(program, songs, folder):
    start = time.monotonic()
    subprocess.run([program, "separate", *songs, "-o", folder], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


class Service:
    def __init__(self, program, folder, workers):
        self.port = free_port()
        environment = {
            **os.environ, "SPLEETER_API_KEY": KEY, "SPLEETER_PORT": str(self.port),
            "SPLEETER_DATA_DIR": str(folder), "SPLEETER_RATE_PER_MINUTE": "1000000", "SPLEETER_WORKERS": str(workers),
            "SPLEETER_JOBS_PER_KEY": "1000", "SPLEETER_MIN_FREE_DISK_MB": "0",
        }
        folder.mkdir()
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([program, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=self.log)
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.request("GET", "/ready")[0] == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the service does not start: " + Path(self.log.name).read_text())
            time.sleep(0.1)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"X-API-KEY": KEY, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def submit(self, song):
        with open(song, "rb") as body:
            size = str(os.fstat(body.fileno()).st_size)
            status, answer = self.request("POST", "/v1/jobs", body,
                                          {"Content-Type": "audio/wav", "Content-Length": size})
        if status != 202:
            sys.exit(f"a job was not taken: {status} {answer.decode()}")
        return json.loads(answer)["id"]

    def job(self, number):
        status, answer = self.request("GET", f"/v1/jobs/{number}")
        if status != 200:
            sys.exit(f"a job was not told: {status} {answer.decode()}")
        return json.loads(answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Asker(threading.Thread):
    """Requests the state of one job after another at a steady rate. Latency counts from the
    scheduled time."""

    def __init__(self, service, ids):
        super().__init__()
        self.service, self.ids, self.seconds, self.ended = service, ids, [], threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            self.service.job(self.ids[len(self.seconds) % len(self.ids)])
            self.seconds.append(time.monotonic() - due)
            due += ASKED_EVERY_S
            time.sleep(max(due - time.monotonic(), 0))


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def run_jobs(service, songs):
    ids = [service.submit(songs[0])]
    asker = Asker(service, ids)
    asker.start()
    for song in songs[1:]:
        ids.append(service.submit(song))
    most_mib = 0
    while any(service.job(number)["status"] in ("queued", "running") for number in reversed(ids)):
        most_mib = max(most_mib, memory_of_all_mib(service.process.pid)[1])
        time.sleep(0.2)
    jobs = [service.job(number) for number in ids]
    asker.ended.set()
    asker.join()
    failed = [job for job in jobs if job["status"] != "succeeded" or len(job["outputs"]) != STEMS or job["reused"]]
    if failed:
        sys.exit(f"a job did not succeed: {json.dumps(failed[0], indent=2)}")
    took = max(moment(job["finished"]) for job in jobs) - min(moment(job["started"]) for job in jobs)
    return took, asker.seconds, most_mib


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "build/spleeterd")
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=lambda text: [int(number) for number in text.split(",")], default=[1, os.cpu_count()])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    program, count = arguments.program.resolve(), arguments.jobs
    with tempfile.TemporaryDirectory(prefix="spleeterd-load.") as name:
        folder = Path(name)
        songs = make_songs(program, folder, count, arguments.seconds)
        before = time_command(program, songs[:count // 2], folder / "before")
        runs = []
        for workers in arguments.workers:
            service = Service(program, folder / f"service{workers}", workers)
            try:
                runs.append(run_jobs(service, songs))
            finally:
                service.stop()
        after = time_command(program, songs[count // 2:], folder / "after")
    audio = count * arguments.seconds
    command = audio / (before + after)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    percentiles = [statistics.quantiles(asked, n=100) for _, asked, _ in runs]
    rows = [
        ("from the first start to the last end", [f"{took:.1f} s" for took, *_ in runs]),
        ("speed", [f"{audio / took:.1f} x real time" for took, *_ in runs]),
        ("**service / command**", [f"**{100 * audio / took / command:.0f} %**" for took, *_ in runs]),
        ("status calls meanwhile", [f"{len(asked)}" for _, asked, _ in runs]),
        ("their median", [f"{1e3 * times[49]:.1f} ms" for times in percentiles]),
        ("**their p99**", [f"**{1e3 * times[98]:.1f} ms**" for times in percentiles]),
        ("the slowest", [f"{1e3 * max(asked):.1f} ms" for _, asked, _ in runs]),
        ("memory of all its processes, at most", [f"{most_mib:.0f} MiB" for *_, most_mib in runs]),
    ]
    names = ["1 worker" if number == 1 else f"{number} workers" for number in arguments.workers]
    report = (f"{version}, {os.cpu_count()} CPUs, {platform.machine()}, {datetime.date.today()}: "
              f"{count} jobs of {arguments.seconds} s. The command: {before:.1f} s for the first half of the songs, {after:.1f} s for the "
              f"second, {command:.1f} x real time.\n\n"
              + "".join("| " + " | ".join(cells) + " |\n" for cells in [["", *names], ["---"] * (len(runs) + 1)])
              + "".join(f"| {name} | {' | '.join(values)} |\n" for name, values in rows))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        workers = ",".join(map(str, arguments.workers))
        command = (f"bench/service/load.py --jobs {count} --seconds {arguments.seconds} --workers {workers} "
                   "--output docs/service-load.md")
        arguments.output.write_text(METHOD.format(command=command) + report)
    print(report, end="")


if __name__ == "__main__":
    main()
