# SPDX-License-Identifier: MIT
import time


def wait_until(condition, timeout=120, what="it"):
    """Waits until `condition` returns a true value, and returns that. Fails after `timeout`
    seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout} s"
        time.sleep(0.05)
