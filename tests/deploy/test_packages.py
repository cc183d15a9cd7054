# SPDX-License-Identifier: MIT
"""The Debian packages, from build to purge, in a clean system under its own systemd."""
import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import REPOSITORY, SONG, Client, missing
from root import until


def test_lintian(packages):
    if not shutil.which("lintian"):
        missing("lintian is not installed")
    # The project has no e-mail address.
    done = subprocess.run(["lintian", "--fail-on", "error,warning", "--suppress-tags", "bogus-mail-host,bogus-mail-host-in-debian-changelog",
                           *packages.glob("*.changes")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(packages, debian):
    root = debian("system")
    root.run("apt-get", "update", apt=True)
    root.run("sh", "-c", "apt-get install -y --no-install-recommends /packages/spleeterd_*.deb /packages/spleeterd-models_*.deb "
             "/packages/libspleeter0_*.deb /packages/libspleeter-dev_*.deb", apt=True, binds=[(packages, "/packages", "ro")])
    shutil.copy(SONG, root.upper / "root/song.mp3")
    shutil.copy(next(packages.glob("spleeterd_*.deb")), root.upper / "root")
    return root


def test_what_is_installed(installed):
    installed.run("ls", "/usr/share/man/man1/spleeterd.1.gz", "/usr/share/zsh/vendor-completions/_spleeterd",
                  "/usr/share/fish/vendor_completions.d/spleeterd.fish", "/lib/systemd/system/spleeterd.service",
                  "/lib/systemd/system/spleeterd.socket", "/etc/spleeterd/environment", "/usr/include/spleeter/spleeter.h")
    completed = installed.run("bash", "-c", "source /usr/share/bash-completion/completions/spleeterd; complete -p spleeterd").stdout
    assert "spleeterd" in completed
    assert installed.run("stat", "-c", "%U %G %a", "/var/lib/spleeterd").stdout == "spleeterd spleeterd 700\n"
    assert "RUNPATH" not in subprocess.run(["readelf", "-d", installed.upper / "usr/bin/spleeterd"], capture_output=True, text=True).stdout


def test_command(installed):
    installed.run("spleeterd", "separate", "song.mp3", "-o", "out", "--duration", "10", cwd="/root")
    assert 0 <= (installed.upper / "root/out/song/vocals.wav").stat().st_size - 10 * 44100 * 4 < 100, "ten seconds and a header"


def test_library_for_other_programs(installed, tmp_path):
    """examples/separate_raw.c, built with libspleeter-dev, runs in the clean system."""
    config = next(installed.upper.glob("usr/lib/*/pkgconfig"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "spleeter"], check=True, capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_LIBDIR": str(config), "PKG_CONFIG_SYSROOT_DIR": str(installed.upper)})
    subprocess.run(["cc", REPOSITORY / "examples/separate_raw.c", "-o", installed.upper / "root/separate_raw", *flags.stdout.split(),
                    "-Wl,--unresolved-symbols=ignore-in-shared-libs"], check=True)
    installed.run("sh", "-c", "head -c 8000000 /dev/zero | ./separate_raw 2stems", cwd="/root")
    assert (installed.upper / "root/vocals.f32").stat().st_size == 8000000


def test_service_until_purge(installed, port, tmp_path):
    with installed.booted(tmp_path / "console") as inside:
        assert inside("systemctl", "is-enabled", "spleeterd", check=False).stdout == "disabled\n", "it has no key yet"
        as_its_user = ("setpriv", "--reuid=spleeterd", "--regid=spleeterd", "--clear-groups", "env", "SPLEETER_DATA_DIR=/var/lib/spleeterd")
        key = inside(*as_its_user, "spleeterd", "keys", "add", "me").stdout.strip()
        inside("sh", "-c", f"echo SPLEETER_PORT={port} >> /etc/spleeterd/environment")
        inside("systemctl", "enable", "--now", "spleeterd")
        journal = lambda: inside("journalctl", "--no-pager", "-u", "spleeterd").stdout
        client = Client(port, key)
        until(client.ready, 30, journal)
        inside("env", f"SPLEETER_PORT={port}", "spleeterd", "health")

        inside("spleeterd", "separate", "/root/song.mp3", "-o", "/root/whole")
        stem = (installed.upper / "root/whole/song/vocals.wav").read_bytes()
        assert client.separate(SONG) == stem

        # For dpkg, installing the same package again is an upgrade: the service restarts, and
        # settings, keys and jobs stay.
        pid = inside("systemctl", "show", "-P", "MainPID", "spleeterd").stdout
        inside("sh", "-c", "dpkg -i /root/spleeterd_*.deb")
        assert inside("systemctl", "show", "-P", "MainPID", "spleeterd").stdout != pid
        until(client.ready, 30, journal)
        assert len(json.loads(client.get("/v1/jobs"))["jobs"]) == 1

        # As in docs/guides/backup.md: the data folder is all that a backup needs.
        inside("sh", "-c", "systemctl stop spleeterd && tar -C /var/lib -czf /root/backup.tar.gz spleeterd && rm -rf /var/lib/spleeterd")
        inside("sh", "-c", "tar -C /var/lib -xzf /root/backup.tar.gz && chown -R spleeterd: /var/lib/spleeterd && systemctl start spleeterd")
        until(client.ready, 30, journal)
        (job,) = json.loads(client.get("/v1/jobs"))["jobs"]
        assert client.get(f"{job['urls']['self']}/stems/vocals.wav") == stem

        inside("sh", "-c", "apt-get remove -y spleeterd spleeterd-models libspleeter0 libspleeter-dev")
        assert inside("systemctl", "is-active", "spleeterd", check=False).stdout == "inactive\n"
        assert inside("sh", "-c", "ls /usr/bin/spleeterd /usr/share/spleeterd /usr/include/spleeter 2>/dev/null", check=False).stdout == ""
        assert inside("ls", "/var/lib/spleeterd", "/etc/spleeterd/environment").stdout, "only a purge takes data and settings"
        inside("apt-get", "purge", "-y", "spleeterd")
        left = inside("sh", "-c", "find / -xdev -name '*spleeter*' -not -path '/root/*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*'").stdout
        assert not left, left
        assert not re.search(r"^..\s+\S*spleeter", inside("dpkg", "-l").stdout, re.M)
