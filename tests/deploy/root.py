# SPDX-License-Identifier: MIT
"""Debian roots to install into: one is made by debootstrap and kept. Layers above it are removed
after use."""
import contextlib
import fcntl
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import time

SUITE = "bookworm"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "spleeterd-tests"
ARCHIVES = CACHE / "apt"


def base():
    """Returns a minimal system of SUITE, which is made if it does not exist."""
    root = CACHE / SUITE
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        aside = CACHE / f"{SUITE}.{os.getpid()}"
        made = subprocess.run(["debootstrap", "--variant=minbase", SUITE, aside], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
        shutil.rmtree(aside / "var/cache/apt/archives")
        (aside / "var/cache/apt/archives/partial").mkdir(parents=True)
        aside.rename(root)
    (ARCHIVES / "archives/partial").mkdir(parents=True, exist_ok=True)
    (ARCHIVES / "conf").write_text('Dir::Cache::archives "/mnt/archives";\nAPT::Sandbox::User "root";\n'
                                   'APT::Keep-Downloaded-Packages "true";\nBinary::apt::APT::Keep-Downloaded-Packages "true";\n'
                                   'Dpkg::Options { "--force-unsafe-io"; };\n')
    return root


class Root:
    """A layer above other roots. Each command mounts it in its own mount namespace, so nothing
    stays mounted."""

    def __init__(self, folder, lowers):
        self.lowers, self.upper, self.work, self.top = lowers, folder / "upper", folder / "work", folder / "root"
        for path in (self.upper, self.work, self.top):
            path.mkdir(parents=True)

    def mounts(self, binds=(), read_only=False):
        lower = ":".join(map(str, self.lowers))
        if read_only:
            lines = [f"mount -t overlay overlay -o ro,lowerdir={self.upper}:{lower} {self.top}"]
        else:
            lines = [f"mount -t overlay overlay -o lowerdir={lower},upperdir={self.upper},workdir={self.work} {self.top}"]
        for source, target, *options in binds:
            place = shlex.quote(f"{self.top}/{target.strip('/')}")
            if not read_only:
                lines.append(f"mkdir -p {place}")
            lines.append(f"mount --bind {shlex.quote(str(source))} {place}" if source else f"mount -t tmpfs tmpfs {place}")
            if "ro" in options:
                lines.append(f"mount -o remount,ro,bind {place}")
        return lines

    def command(self, arguments, env=None, user=None, cwd="/", binds=(), read_only=False):
        """Returns the command line that runs `arguments` in the root with its own /proc and this
        machine's /dev and network: as root, or as `user` (a number) without any capability."""
        lines = self.mounts(binds, read_only) + [f"mount -t proc proc {self.top}/proc", f"mount --rbind /dev {self.top}/dev"]
        inside = ["env", "-i", "--chdir", cwd, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        inside += [f"{name}={value}" for name, value in (env or {}).items()]
        if user is not None:
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                       "--inh-caps=-all"]
        lines.append(shlex.join(["exec", "chroot", str(self.top), *inside, *map(str, arguments)]))
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", "\n".join(lines)]

    def run(self, *arguments, check=True, apt=False, env=None, binds=(), **keywords):
        if apt:
            env = {**(env or {}), "APT_CONFIG": "/mnt/conf", "DEBIAN_FRONTEND": "noninteractive"}
            binds = (*binds, (ARCHIVES, "/mnt"))
        with open(ARCHIVES / "in-use" if apt else os.devnull, "w") as turn:
            if apt:
                # Other tests on this machine may use apt's archives at the same time.
                fcntl.flock(turn, fcntl.LOCK_EX)
            done = subprocess.run(self.command(arguments, env=env, binds=binds, **keywords), capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{shlex.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    @contextlib.contextmanager
    def booted(self, log):
        """Boots the root under its own systemd, with this machine's network. Yields a function that
        runs a command in it."""
        # systemd-nspawn denies Landlock by default, which kernels and container engines allow.
        nspawn = ["systemd-nspawn", "-D", str(self.top), "--register=no", "--keep-unit", "--boot", "--console=pipe",
                  "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"]
        with open(log, "w") as out:
            process = subprocess.Popen(["unshare", "--mount", "sh", "-ec", "\n".join([*self.mounts(), shlex.join(["exec", *nspawn])])],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")

            def inside(*arguments, check=True):
                leader = children.read_text().split()[0]
                done = subprocess.run(["nsenter", "-t", leader, "-m", "-u", "-i", "-n", "-p", "-C", *map(str, arguments)],
                                      capture_output=True, text=True)
                assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
                return done

            until(lambda: children.read_text().split() and
                  inside("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), 60, log.read_text)
            yield inside
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(condition, seconds, said=lambda: ""):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s\n{said()}"
        time.sleep(0.1)
