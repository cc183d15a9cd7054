# SPDX-License-Identifier: MIT
"""The house keeps its plan: headers compile alone, rooms include only rooms below them, only the
codec helper links libav, no unsafe C functions, one formatting."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SPLEETERD_BUILD", ROOT / "build"))
SOURCES = sorted(
    path
    for folder in ("include", "src", "tests", "fuzz", "examples")
    for path in (ROOT / folder).rglob("*.[ch]")
)
HEADERS = [path for path in SOURCES if path.suffix == ".h" and path.parts[len(ROOT.parts)] in ("include", "src")]

# Which rooms a room may include besides itself and the public headers.
ARROWS = {
    "base": set(),
    "kernels": {"base"},
    "dsp": {"kernels", "base"},
    "model": {"kernels", "base"},
    "engine": {"dsp", "model", "kernels", "base"},
    "audio": {"base"},
    "codec": {"base", "audio/codec_protocol.h", "audio/pcm.h", "audio/wav.h"},
    "pipeline": {"audio", "base"},
    "evaluate": {"pipeline", "audio", "base"},
    "download": {"base"},
    "service": {"download", "pipeline", "audio", "base"},
    "cli": {"evaluate", "download", "service", "pipeline", "audio", "base"},
}

# Inside the service, which of its rooms a room may include; all may include the headers in the service's own folder.
SERVICE_ARROWS = {
    "observe": set(),
    "net": set(),
    "scan": set(),
    "store": set(),
    "blobs": set(),
    "auth": {"net", "observe"},
    "jobs": {"auth", "net", "scan", "store", "blobs", "observe"},
    "http": {"auth", "jobs", "net", "observe"},
}

# Libraries whose headers stay in the rooms that are built around them.
LIBRARIES = {
    "libav": {"codec"},
    "libsw": {"codec"},
    "seccomp": {"codec"},
    "openssl": {"base", "service"},
    "jansson": {"base", "model", "download", "service", "cli"},
    "sqlite3": {"service"},
    "libpq": {"service"},
    "microhttpd": {"service"},
    "cjose": {"service"},
    "curl": {"download", "service"},
    "archive": {"download", "service"},
}

BANNED = r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|system|popen|alloca|tmpnam|mktemp|rand|setjmp)\s*\("


def compiler(*arguments):
    flags = ["-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    return subprocess.run(
        [*arguments, *flags, f"-I{ROOT}/include", f"-I{ROOT}/src"], capture_output=True, text=True
    )


@pytest.mark.parametrize("header", HEADERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_header_compiles_alone(header):
    if header.name.endswith("_body.h"):
        pytest.skip("a body is included by the file that names it")
    flags = ["-mavx2", "-mfma"] if header.parent.name == "x86" else []
    done = compiler(os.environ.get("CC", "cc"), "-std=gnu17", *flags, "-Wno-unused-function", "-x", "c", str(header))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", [h for h in HEADERS if "include" in h.parts], ids=lambda p: p.name)
def test_public_header_compiles_as_cxx(header):
    done = compiler(os.environ.get("CXX", "c++"), "-std=c++17", "-x", "c++", str(header))
    assert done.returncode == 0, done.stderr


def test_includes_follow_the_arrows():
    wrong = []
    for path in (ROOT / "src").rglob("*.[ch]"):
        room = path.relative_to(ROOT / "src").parts[0]
        for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            target = included.split("/")[0]
            if target != room and target not in ARROWS[room] and included not in ARROWS[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {included}")
    assert not wrong, "\n".join(wrong)


def test_includes_within_the_service_follow_its_arrows():
    wrong = []
    for room, below in SERVICE_ARROWS.items():
        for path in (ROOT / "src/service" / room).rglob("*.[ch]"):
            for target in re.findall(r'^#include "service/(\w+)/', path.read_text(), re.M):
                if target != room and target not in below:
                    wrong.append(f"{path.relative_to(ROOT)} includes service/{target}")
    assert not wrong, "\n".join(wrong)


def test_public_headers_include_only_public_headers():
    for path in (ROOT / "include").rglob("*.h"):
        for included in re.findall(r'^#include [<"]([^">]+)', path.read_text(), re.M):
            assert included.startswith("spleeter/") or "/" not in included, f"{path}: {included}"


def test_libraries_stay_in_their_rooms():
    wrong = []
    for path in (ROOT / "src").rglob("*.[ch]"):
        room = path.relative_to(ROOT / "src").parts[0]
        for included in re.findall(r"^#include <([^>]+)", path.read_text(), re.M):
            for library, rooms in LIBRARIES.items():
                if included.startswith(library) and room not in rooms:
                    wrong.append(f"{path.relative_to(ROOT)} includes <{included}>")
    assert not wrong, "\n".join(wrong)


def needed_libraries(binary):
    return subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout


def test_only_the_codec_helper_links_libav():
    for binary in ("src/engine/libspleeter.so.0", "spleeterd"):
        linked = needed_libraries(BUILD / binary)
        assert "libav" not in linked and "libsw" not in linked, linked
    assert "libavformat" in needed_libraries(BUILD / "spleeterd-codec")


def test_library_exports_only_its_api():
    done = subprocess.run(
        ["nm", "-D", "--defined-only", BUILD / "src/engine/libspleeter.so.0"],
        capture_output=True, text=True, check=True,
    )
    exported = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}
    declared = set()
    for path in (ROOT / "include").rglob("*.h"):
        declared |= set(re.findall(r"SPL_API[^;]*?\b(spl_\w+)\(", path.read_text()))
    assert exported == declared


def test_no_banned_functions():
    wrong = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(BANNED, line) and not line.lstrip().startswith(("*", "/*", "//")):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_json_is_parsed_in_one_place():
    """src/base/json.c limits the depth, on which all later recursion depends."""
    wrong = [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.[ch]")
             if re.search(r"\bjson_load(s|b|f|fd|_file|_callback)\s*\(", path.read_text())]
    assert wrong == ["src/base/json.c"]


def test_every_source_names_its_licence():
    for path in SOURCES:
        assert "SPDX-License-Identifier: MIT" in path.read_text()[:200], path


def test_formatting():
    """Each major version of clang-format has a formatting of its own; ours is that of 14."""
    if not shutil.which("clang-format"):
        pytest.skip("clang-format is not installed")
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    if " version 14." not in version:
        pytest.skip(f"the formatting is that of clang-format 14; this is {version.strip()}")
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", *SOURCES], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
