# SPDX-License-Identifier: MIT
"""The layout of the sources: headers compile alone, modules include only lower modules, only the
codec helper links libav, no unsafe C functions, one formatting."""

import collections
import json
import os
import platform
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

# Every module, from the bottom up, with the modules that it may include besides itself and the
# public headers. These must come earlier in the table, so there are no cycles.
LIB = ["base"]
APP = ["base"]
SERVICE = ["base", "service/core", "service/outbound", "service/observe"]
MODULES = {
    "base": [],
    "lib/kernels": LIB,
    "lib/dsp": LIB + ["lib/kernels"],
    "lib/formats": LIB,
    "lib/networks/unet": LIB + ["lib/kernels", "lib/formats"],
    "lib/model": LIB + ["lib/formats", "lib/networks/unet"],
    "lib/engine": LIB + ["lib/kernels", "lib/dsp", "lib/model"],
    "app/audio": APP,
    "app/models": APP,
    "app/pipeline": APP + ["app/audio"],
    "app/request": APP + ["app/audio", "app/pipeline"],
    "app/evaluate": APP + ["app/audio", "app/pipeline"],
    "app/download": APP,
    "codec": ["base", "app/audio/codec_protocol.h", "app/audio/pcm.h", "app/audio/wav.h"],
    "service/outbound": ["base"],
    "service/core": ["base", "service/outbound"],
    "service/observe": ["base", "service/core"],
    "service/auth": SERVICE,
    "service/scan": ["base", "service/outbound"],
    "service/store": ["base"],
    "service/blobs": ["base", "service/outbound", "service/core", "service/observe"],
    "service/jobs": SERVICE + ["service/auth", "service/scan", "service/store", "service/blobs", "app/audio",
                               "app/models", "app/pipeline", "app/request"],
    "service/http/connection": SERVICE + ["service/auth", "service/jobs"],
    "service/http/routes": SERVICE + ["service/auth", "service/jobs", "service/http/connection"],
    "service": SERVICE + ["service/auth", "service/blobs", "service/jobs", "service/scan", "service/store", "service/http/connection",
                          "service/http/routes", "app/audio", "app/download"],
    "cli": ["base", "app/audio", "app/models", "app/pipeline", "app/request", "app/evaluate", "app/download",
            "service/core", "service/observe", "service/auth", "service"],
}

# Libraries, and the modules that may include their headers.
LIBRARIES = {
    "libav": {"codec"},
    "libsw": {"codec"},
    "seccomp": {"codec"},
    "openssl": {"base", "service"},
    "jansson": {"base", "lib/formats", "lib/model", "app/download", "app/request", "service", "cli"},
    "sqlite3": {"service"},
    "libpq": {"service"},
    "microhttpd": {"service"},
    "cjose": {"service"},
    "curl": {"app/download", "service"},
    "archive": {"app/download", "service"},
}

# The files whose spelling is checked, and those of others or in other languages.
TEXTS = (".c", ".h", ".py", ".sh", ".md", ".build", ".yml", ".yaml", ".ts", ".tsx", ".1", ".toml", "Makefile", ".gitmessage")
FOREIGN = ("README.fr.md", "tests/deploy/schemas/", "web/dist/", "web/src/i18n/")

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


def module_of(path):
    """Returns the module of a path below src/."""
    return max((name for name in MODULES if path.startswith(f"{name}/")), key=len)


def sources():
    for path in (ROOT / "src").rglob("*.[ch]"):
        yield str(path.relative_to(ROOT / "src")), path.read_text()


def test_modules_include_only_modules_below_them():
    order = list(MODULES)
    for name, below in MODULES.items():
        assert all(order.index(module_of(f"{other}/") if other in MODULES else module_of(other)) < order.index(name)
                   for other in below), name
    wrong = []
    for path, text in sources():
        module = module_of(path)
        for included in re.findall(r'^#include "([^"]+)"', text, re.M):
            target = module_of(included)
            if target != module and target not in MODULES[module] and included not in MODULES[module]:
                wrong.append(f"src/{path} includes {included}")
    assert not wrong, "\n".join(wrong)


def circles(includes):
    """Returns the circles of a graph {file: files that it includes}, as lists of its nodes."""
    found, done = [], set()

    def visit(node, way):
        if node in way:
            found.append(way[way.index(node):] + [node])
        elif node not in done:
            for target in sorted(includes.get(node, ())):
                visit(target, way + [node])
            done.add(node)

    for node in sorted(includes):
        visit(node, [])
    return found


def test_files_of_a_module_include_each_other_without_circles():
    """A .c file and its header count as one file."""
    includes = {}
    for path, text in sources():
        for included in re.findall(r'^#include "([^"]+)"', text, re.M):
            if included[:-2] != path[:-2]:
                includes.setdefault(path[:-2], set()).add(included[:-2])
    assert circles({"a": {"b"}, "b": {"c", "d"}, "d": {"a"}}) == [["a", "b", "d", "a"]]
    assert not circles(includes), "\n".join(" includes ".join(circle) for circle in circles(includes))


def test_public_headers_include_only_public_headers():
    for path in (ROOT / "include").rglob("*.h"):
        for included in re.findall(r'^#include [<"]([^">]+)', path.read_text(), re.M):
            assert included.startswith("spleeter/") or "/" not in included, f"{path}: {included}"


def test_libraries_stay_in_their_modules():
    wrong = []
    for path, text in sources():
        for included in re.findall(r"^#include <([^>]+)", text, re.M):
            for library, modules in LIBRARIES.items():
                if included.startswith(library) and not any(path.startswith(f"{module}/") for module in modules):
                    wrong.append(f"src/{path} includes <{included}>")
    assert not wrong, "\n".join(wrong)


def needed_libraries(binary):
    return subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout


def test_only_the_codec_helper_links_libav():
    for binary in ("src/lib/engine/libspleeter.so.0", "spleeterd"):
        linked = needed_libraries(BUILD / binary)
        assert "libav" not in linked and "libsw" not in linked, linked
    assert "libavformat" in needed_libraries(BUILD / "spleeterd-codec")


def test_library_exports_only_its_api():
    done = subprocess.run(
        ["nm", "-D", "--defined-only", BUILD / "src/lib/engine/libspleeter.so.0"],
        capture_output=True, text=True, check=True,
    )
    exported = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if " A " not in line}
    declared = set()
    for path in (ROOT / "include").rglob("*.h"):
        declared |= set(re.findall(r"SPL_API[^;]*?\b(spl_\w+)\(", path.read_text()))
    assert exported == declared


def test_debian_lists_the_exported_symbols():
    """With versions, from which dpkg-shlibdeps derives the dependencies of programs."""
    done = subprocess.run(
        ["nm", "-D", "--defined-only", BUILD / "src/lib/engine/libspleeter.so.0"],
        capture_output=True, text=True, check=True,
    )
    exported = {line.split()[-1].replace("@@", "@") for line in done.stdout.splitlines() if " A " not in line}
    listed = re.findall(r"^ (spl_\S+)", (ROOT / "debian/libspleeter0.symbols").read_text(), re.M)
    assert exported == set(listed)


def test_abi_is_the_committed_one():
    """A change of the ABI is announced by a new API version and a new src/lib/engine/libspleeter.abi."""
    if not shutil.which("abidiff"):
        pytest.skip("abigail-tools is not installed")
    if platform.machine() != "x86_64":
        pytest.skip("the committed ABI is that of amd64")
    done = subprocess.run([ROOT / "tools/abi.sh", "check", BUILD], capture_output=True, text=True)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nThe ABI of libspleeter changed. docs/releasing.md says which number of "
        "SPL_API_VERSION to increase; then run: make abi"
    )


def macros_of(path):
    return re.findall(r"^# *define (\w+)", path.read_text(), re.M)


def external_symbols():
    """Yields each symbol that a source of src/ exports to other files, with that source."""
    sources = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        source, compiled = (Path(entry["directory"], entry[key]).resolve() for key in ("file", "output"))
        if source.is_relative_to(ROOT / "src") and compiled.exists():
            sources[str(compiled)] = source
    done = subprocess.run(["nm", "--defined-only", "--extern-only", "--print-file-name", *sources],
                          capture_output=True, text=True, check=True)
    for compiled, symbol in (line.split(":", 1) for line in done.stdout.splitlines()):
        yield symbol.split()[-1], sources[compiled]


def test_names_are_unique():
    """A function, variable, type or macro that other files can see is defined by one file only, even if the
    definitions are never in one program. Files that replace each other may define the same macros and main()."""
    definitions = collections.defaultdict(set)
    for name, source in external_symbols():
        definitions[name].add(source)
    assert "spl_separate" in definitions
    del definitions["main"]
    shared_macros = {name for path in HEADERS for name in macros_of(path)}
    for path in SOURCES:
        if path.is_relative_to(ROOT / "src") or path in HEADERS:
            for name in re.findall(r"^} (spl_\w+);", path.read_text(), re.M):
                definitions[name].add(path)
            for name in shared_macros.intersection(macros_of(path)):
                definitions[name].add(path)
    wrong = [f"{name}: {', '.join(sorted(str(path.relative_to(ROOT)) for path in paths))}"
             for name, paths in definitions.items() if len(paths) > 1]
    assert not wrong, "\n".join(wrong)


def test_lines_have_at_most_100_columns():
    wrong = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if len(line) > 100:
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {len(line)} columns")
    assert not wrong, "\n".join(wrong)


def test_no_banned_functions():
    wrong = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(BANNED, line) and not line.lstrip().startswith(("*", "/*", "//")):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_json_is_parsed_in_one_place():
    """src/base/json.c limits the depth, which all later recursion relies on."""
    wrong = [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.[ch]")
             if re.search(r"\bjson_load(s|b|f|fd|_file|_callback)\s*\(", path.read_text())]
    assert wrong == ["src/base/json.c"]


def test_every_source_names_its_licence():
    for path in SOURCES:
        assert "SPDX-License-Identifier: MIT" in path.read_text()[:200], path


def test_spelling():
    """Sources and documents have no common misspellings. .codespellrc lists exceptions."""
    if not shutil.which("codespell") or not (ROOT / ".git").exists():
        pytest.skip("codespell is not installed, or this is no git repository")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    english = [path for path in listed if path.endswith(TEXTS) and not path.startswith(FOREIGN)]
    done = subprocess.run(["codespell", *english], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_formatting():
    """The result differs between major versions of clang-format. Ours is that of version 14."""
    if not shutil.which("clang-format"):
        pytest.skip("clang-format is not installed")
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    if " version 14." not in version:
        pytest.skip(f"the formatting is that of clang-format 14; this is {version.strip()}")
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", *SOURCES], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
