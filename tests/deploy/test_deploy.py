# SPDX-License-Identifier: MIT
"""Files for operators: the alert rules, dashboard and unit files are well formed and use existing
metrics."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["SPLEETERD_BUILD"])
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "spleeterd.rules.yml"
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


def run(program, *arguments, **keywords):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def exposed():
    """Returns the metrics that the service exposes."""
    program = BUILD / "tests/unit/observe_metrics_test"
    return subprocess.run([program, "print"], capture_output=True, text=True, check=True).stdout


def test_metrics_are_as_they_should(exposed):
    assert run("promtool", "check", "metrics", input=exposed) == ""


def test_metrics_that_were_promised_exist(exposed):
    for name in ("spleeter_requests_total", "spleeter_request_latency_seconds", "spleeter_errors_total",
                 "spleeter_files_processed_total", "spleeter_current_jobs"):
        assert f"# TYPE {name} " in exposed, name


def test_rules_are_well_formed():
    run("promtool", "check", "rules", RULES)
    run("promtool", "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def test_rules_fire_when_they_should():
    run("promtool", "test", "rules", "spleeterd.rules.test.yml", cwd=PROMETHEUS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_and_explained(alert):
    tests = (PROMETHEUS / "spleeterd.rules.test.yml").read_text()
    assert re.search(rf"alertname: {alert}, exp_alerts: \[\]", tests), "it is not tested to keep quiet"
    assert re.search(rf"alertname: {alert}\n +exp_alerts:\n +- exp_labels", tests), "it is not tested to fire"
    rule = re.search(rf"- alert: {alert}\n(?: +.*\n)+", RULES.read_text()).group()
    assert f"runbook: docs/alerts.md#{alert.lower()}\n" in rule
    assert f"## {alert}\n" in (ROOT / "docs/alerts.md").read_text()


def dashboard_expressions():
    dashboard = json.loads((ROOT / "deploy/grafana/spleeterd.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return found + [item["query"]["query"] for item in dashboard["templating"]["list"] if item["type"] == "query"]


def rule_expressions():
    return re.findall(r"expr: ([^|\n]+\n|\|\n(?: {10}.*\n)+)", RULES.read_text())


@pytest.mark.parametrize("expressions", [dashboard_expressions, rule_expressions], ids=["dashboard", "rules"])
def test_only_existing_metrics_are_queried(expressions, exposed):
    names = set(re.findall(r"^(\w+)", exposed, re.M)) | {"up"}
    found = expressions()
    assert len(found) > 20
    for expression in found:
        asked = re.findall(r"\b(?:spleeter|process)_\w+|\bup\b", expression)
        assert asked, expression
        for name in asked:
            assert name in names, f"{name} in {expression}"


@pytest.mark.parametrize("name", ["code", "outcome", "status", "route", "phase"])
def test_labels_have_values_that_exist(name, exposed):
    texts = " ".join(dashboard_expressions() + rule_expressions())
    known = set(re.findall(rf'{name}="([^"]*)"', exposed)) | {"/v1/jobs/{id}"}
    for value in re.findall(rf'\b{name}="([^"]*)"', texts):
        assert value in known, value


def test_dashboard_panels_do_not_overlap():
    panels = json.loads((ROOT / "deploy/grafana/spleeterd.json").read_text())["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not taken & cells and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.fixture
def units(tmp_path):
    """The unit files, with the program's path in the build folder."""
    service = (BUILD / "deploy/systemd/spleeterd.service").read_text()
    service = re.sub(r"=\S+/spleeterd (?=serve|config)", f"={BUILD}/spleeterd ", service)
    (tmp_path / "spleeterd.service").write_text(service)
    shutil.copy(ROOT / "deploy/systemd/spleeterd.socket", tmp_path)
    return tmp_path


def test_units_are_well_formed(units):
    said = run("systemd-analyze", "verify", "--man=no", units / "spleeterd.service", units / "spleeterd.socket")
    assert "spleeterd" not in said, said


def test_service_is_locked_up(units):
    """The exposure is 1.4 of 10. The rest is due to the network."""
    run("systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", units / "spleeterd.service")


def test_service_may_do_what_the_sandbox_needs(units):
    unit = (units / "spleeterd.service").read_text()
    allowed = re.search(r"^SystemCallFilter=([^~].*)", unit, re.M).group(1).split()
    source = (ROOT / "src/codec/sandbox_landlock.c").read_text()
    for call in set(re.findall(r"SYS_(\w+)", source)) | {"seccomp"}:
        assert call in allowed, call


def test_memory_that_runs_out_ends_the_helper_alone(units):
    unit = (units / "spleeterd.service").read_text().splitlines()
    assert "OOMPolicy=continue" in unit, "systemd would end the service with its helper"
    assert any(line.startswith("MemoryMax=") for line in unit)


def test_packages_are_built_from_what_is_installed():
    build = re.search(r"^build='([^']*)'", (ROOT / "tools/install-deps.sh").read_text(), re.M).group(1).split()
    needed = re.search(r"^Build-Depends:\n((?: .*\n)*)", (ROOT / "debian/control").read_text(), re.M).group(1)
    # The packages are built with -Dtests=disabled.
    tests_only = {"libcmocka-dev"}
    assert {name for name in build if name.endswith("-dev")} - tests_only == set(re.findall(r"^ (lib[\w.+-]+-dev)", needed, re.M))
