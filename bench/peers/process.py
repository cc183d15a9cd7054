# SPDX-License-Identifier: MIT
"""Runs a command and measures its time, its memory and the load from other processes.

Memory covers the command and all its descendants, sampled from /proc: the largest sum of RSS, and
the largest sum of PSS, which counts a page shared by several of them only once. Sampling takes
time, so it is off in timed runs.

The share of others is the CPU time that everything else on the machine, including the hypervisor,
used while the command ran.
"""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CPUS = len(os.sched_getaffinity(0))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
SAMPLE_INTERVAL_S = 0.05


@dataclass
class Run:
    seconds: float  # wall-clock time from start to end of the command
    # Share of all CPUs' time that others used, 0 to 1.
    others: float
    peak_rss_mib: float  # 0 if not sampled
    peak_pss_mib: float
    output: str


def busy_s():
    """CPU seconds that all CPUs together have been busy, including time taken by the hypervisor."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def own_s():
    times = os.times()
    return times.user + times.system


def descendants(pid):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def memory_kib(pid):
    """(RSS, PSS) in KiB; zeros if the process has ended."""
    try:
        rss = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return rss, int(line.split()[1])
    except OSError:
        pass
    return 0, 0


def memory_of_all_mib(pid):
    """(RSS, PSS) in MiB of the process and its descendants together."""
    sizes = [memory_kib(each) for each in descendants(pid)]
    return sum(rss for rss, _ in sizes) / 1024, sum(pss for _, pss in sizes) / 1024


def run(command, environment=None, sample_memory=False):
    """Returns a Run with the standard output of the command. Raises SystemExit if it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        busy, own, start = busy_s(), own_s(), time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                   env={**os.environ, **(environment or {})})
        peak_rss = peak_pss = 0
        if sample_memory:
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                rss, pss = memory_of_all_mib(process.pid)
                peak_rss, peak_pss = max(peak_rss, rss), max(peak_pss, pss)
                time.sleep(SAMPLE_INTERVAL_S)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        foreign_s = busy_s() - busy - (usage.ru_utime + usage.ru_stime) - (own_s() - own)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{errors.read()[-4000:]}")
        return Run(seconds, max(0.0, foreign_s / (seconds * CPUS)), peak_rss, peak_pss, output.read())


def wait_until_quiet(limit, patience_s):
    """Waits until others use less than `limit` of the CPUs for two seconds, for about `patience_s`
    at most."""
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        busy, own, start = busy_s(), own_s(), time.monotonic()
        time.sleep(2)
        if (busy_s() - busy - (own_s() - own)) / ((time.monotonic() - start) * CPUS) < limit:
            return


def run_undisturbed(command, environment, limit, patience_s, tries=3):
    """Returns the first of `tries` runs in which others used less than `limit`, or else the least
    disturbed run."""
    best = None
    for _ in range(tries):
        wait_until_quiet(limit, patience_s)
        this = run(command, environment)
        if best is None or this.others < best.others:
            best = this
        if best.others < limit:
            break
    return best
