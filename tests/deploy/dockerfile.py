# SPDX-License-Identifier: MIT
"""Reads a Dockerfile and runs its steps in a Root. Unknown instructions and options are errors."""
import json
import pathlib
import re
import shlex
import subprocess


def read(path):
    """Returns the stages. Each is a list of (instruction, text) that starts with FROM."""
    text = re.sub(r"^#.*\n", "", pathlib.Path(path).read_text(), flags=re.M)
    stages = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, rest.strip()))
    return stages


def name_of(stage):
    found = re.search(r" AS (\w+)$", stage[0][1])
    return found.group(1) if found else None


def options(text):
    """Splits --name=value options from the rest of the text."""
    found = {}
    while match := re.match(r"--(\w+)=(\S+)\s+", text):
        found[match.group(1)] = match.group(2)
        text = text[match.end():]
    return found, text


class Image:
    """The result of a stage: files in `root`, and how to run it."""

    def __init__(self, root):
        self.root, self.env, self.config, self.cwd, self.user = root, {}, {}, "/", None


def build(stage, root, context, others, ignore=()):
    """Runs `stage` in `root`. `context` is the folder that it is built from, without the patterns
    `ignore` (lines of its .dockerignore). `others` has the folders of earlier stages by name."""
    image = Image(root)
    for name, text in stage[1:]:
        text = re.sub(r"\$(\w+)", lambda match: image.env.get(match.group(1), match.group()), text) if name != "RUN" else text
        if name == "ARG":
            key, _, value = text.partition("=")
            image.env.setdefault(key, value)
        elif name == "ENV":
            image.env.update(pair.split("=", 1) for pair in shlex.split(text))
            image.config.setdefault("env", {}).update(pair.split("=", 1) for pair in shlex.split(text))
        elif name == "WORKDIR":
            image.cwd = text
            root.run("mkdir", "-p", text)
        elif name == "USER":
            image.user = text
        elif name == "RUN":
            run(image, text, others)
        elif name == "COPY":
            copy(image, text, context, ignore)
        elif name in ("CMD", "ENTRYPOINT"):
            image.config[name.lower()] = json.loads(text)
        elif name == "HEALTHCHECK":
            image.config["healthcheck"] = json.loads(re.search(r"CMD (\[.*\])$", text).group(1))
        elif name in ("VOLUME", "EXPOSE", "STOPSIGNAL"):
            image.config[name.lower()] = text
        elif name != "LABEL":
            raise AssertionError(f"{name} is not known to this test")
    return image


def run(image, text, others):
    found, command = options(text)
    binds = []
    if mount := found.pop("mount", None):
        parts = dict(part.split("=") for part in mount.split(","))
        assert parts.pop("type") == "bind", mount
        binds.append((f"{others[parts.pop('from')]}{parts.pop('source')}", parts.pop("target"), "ro"))
        assert not parts, mount
    assert not found, found
    image.root.run("sh", "-c", command, apt=True, env=image.env, cwd=image.cwd, binds=binds)


def copy(image, text, context, ignore):
    found, rest = options(text)
    assert not found, found
    *sources, target = shlex.split(rest)
    place = pathlib.Path(image.root.upper, str(pathlib.PurePosixPath(image.cwd, target)).strip("/"))
    place.mkdir(parents=True, exist_ok=True)
    for source in sources:
        base = context / source
        folder, what = (base, ".") if base.is_dir() else (base.parent, base.name)
        excluded = [["--no-anchored", f"--exclude={pattern[3:]}"] if pattern.startswith("**/") else ["--anchored", f"--exclude=./{pattern}"]
                    for pattern in ignore]
        pack = subprocess.Popen(["tar", "-C", folder, "-c", *sum(excluded, []), what], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-C", place, "-x", "--no-same-owner"], stdin=pack.stdout, check=True)
        assert pack.wait() == 0
