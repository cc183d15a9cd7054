# SPDX-License-Identifier: MIT
"""What tests observe of processes."""
import contextlib
import os
import pathlib
import resource


def helpers_of(pid):
    """Returns the PIDs of a program's codec helpers."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, fields = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            if name == "spleeterd-codec" and int(fields.split()[1]) == pid:
                found.append(int(folder.name))
    return found


def processor_time_of_children():
    """Returns the processor time of all ended child processes and their children in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_terminal(master):
    """Returns what was written to a terminal, given the descriptor of its master side, which it
    closes. Returns when no process has the other side open."""
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while chunk := os.read(master, 4096):
            shown += chunk
    os.close(master)
    return shown
