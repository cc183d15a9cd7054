# SPDX-License-Identifier: MIT
"""What clients share is shared fairly: one that holds all that it may have does not make another wait."""
import concurrent.futures
import contextlib
import os

import pytest

from conftest import wait_until

HELPER = r"""#!/bin/sh
# The codec helper, but that it stands still while it is told to.
cd FOLDER || exit 1
if [ "$1" = decode ] && [ -e hold ]; then
    touch held.$$
    while [ ! -e release ]; do sleep 0.05; done
    rm held.$$
fi
[ "$1" = decode ] && touch decoded.$$
exec HELPER "$@"
"""


class Helper:
    """A codec helper that can be made to stand still."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.path = folder / "helper"
        self.path.write_text(HELPER.replace("FOLDER", str(folder)).replace("HELPER", os.environ["SPLEETER_CODEC"]))
        self.path.chmod(0o755)

    def hold(self):
        """Those that start from now on stand still."""
        (self.folder / "hold").touch()

    def let_pass(self):
        """Those that start from now on do not; those that stand still go on doing so."""
        (self.folder / "hold").unlink()

    def release(self):
        with contextlib.suppress(FileNotFoundError):
            self.let_pass()
        (self.folder / "release").touch()

    @property
    def held(self):
        return len(list(self.folder.glob("held.*")))

    @property
    def decoded(self):
        return len(list(self.folder.glob("decoded.*")))


@pytest.fixture
def helper(tmp_path):
    helper = Helper(tmp_path / "helper")
    yield helper
    helper.release()


@pytest.fixture
def shared(serve, helper):
    """A service with that helper, and a second client."""
    service = serve(CODEC=helper.path)
    service.bob = service.add_key("bob")
    return service


@contextlib.contextmanager
def in_background(function, arguments):
    """Calls function(argument) for all arguments at once; gives the futures."""
    with concurrent.futures.ThreadPoolExecutor(len(arguments)) as pool:
        yield [pool.submit(function, argument) for argument in arguments]


def test_one_clients_probes_do_not_keep_another_waiting(shared, helper, song):
    helper.hold()
    try:
        with in_background(lambda n: shared.post("/v1/jobs", {"metadata": n}, file=song), range(12)) as answers:
            wait_until(lambda: helper.held >= 4, what="probes that stand still")
            helper.let_pass()
            assert shared.bob.submit(song)["status"] in ("queued", "running", "succeeded")
            assert helper.held == 4 and not any(answer.done() for answer in answers)
            helper.release()
            assert [answer.result().status for answer in answers] == [202] * 12
    finally:
        helper.release()


def test_one_clients_peaks_do_not_keep_another_waiting(shared, helper, song):
    mine, other = (client.separate(song, options={"codec": "mp3"}) for client in (shared, shared.bob))

    def peaks(samples_per_peak, client=shared, job=mine):
        return client.get(f"/v1/jobs/{job['id']}/stems/vocals.mp3/peaks?samples_per_peak={samples_per_peak}")

    helper.hold()
    try:
        # Each of them is no multiple of what is kept, so that each needs a helper.
        with in_background(peaks, range(65, 73)) as answers:
            wait_until(lambda: helper.held >= 2, what="helpers that stand still")
            helper.let_pass()
            assert peaks(1024, shared.bob, other).status == 200
            assert helper.held == 2 and not any(answer.done() for answer in answers)
            helper.release()
            assert [answer.result().status for answer in answers] == [200] * 8
    finally:
        helper.release()


def test_peaks_are_computed_once(shared, helper, song):
    job = shared.separate(song, options={"codec": "mp3"})
    url = f"/v1/jobs/{job['id']}/stems/vocals.mp3/peaks"
    before = helper.decoded
    helper.hold()
    try:
        with in_background(lambda n: shared.get(f"{url}?samples_per_peak={64 * n}"), range(1, 9)) as answers:
            wait_until(lambda: helper.held == 1, what="a helper")
            helper.release()
            assert [answer.result().status for answer in answers] == [200] * 8
    finally:
        helper.release()
    assert shared.get(f"{url}?samples_per_peak=64&first=100&count=20").status == 200
    assert helper.decoded == before + 1
