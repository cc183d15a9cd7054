# SPDX-License-Identifier: MIT
"""Everything that the guides mention exists: links, settings, targets, values, alerts."""
import re

import pytest
import yaml

from conftest import REPOSITORY

GUIDES = sorted((REPOSITORY / "docs/guides").glob("*.md"))
PAGES = [*GUIDES, REPOSITORY / "README.md", REPOSITORY / "README.fr.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def anchors(path):
    """Returns the anchors that GitHub makes of the headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_runbook_of_each_alert():
    rules = yaml.safe_load((REPOSITORY / "deploy/prometheus/spleeterd.rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) > 20
    for rule in alerts:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor in anchors(REPOSITORY / path), rule["alert"]
        text = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", (REPOSITORY / path).read_text(), re.M | re.S).group(1)
        assert len(text.split()) > 10, f"{rule['alert']}: what to do"


@pytest.mark.parametrize("page", GUIDES, ids=lambda path: path.name)
def test_what_is_named_exists(page):
    text = page.read_text()
    settings = (REPOSITORY / "docs/settings.md").read_text()
    for name in re.findall(r"\bSPLEETER_[A-Z0-9_]*[A-Z0-9]\b", text):
        assert f"`{name}`" in settings or name == "SPLEETER_X", name
    if "without `SPLEETER_`" in text:
        for name in re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|CLAMD|SECRET)[`=]", text):
            assert f"`SPLEETER_{name}`" in settings, name
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for path in re.findall(r"\b(?!deploy/stems)((?:deploy|tests|tools|docs)/[\w./-]*\w)", text):
        assert (REPOSITORY / path).exists(), path
    alerts = (REPOSITORY / "docs/alerts.md").read_text()
    for alert in re.findall(r"\bSpleeterd[A-Z]\w+", text):
        assert f"## {alert}\n" in alerts, alert


def test_values_that_guides_name_exist():
    values = yaml.safe_load((REPOSITORY / "deploy/helm/spleeterd/values.yaml").read_text())
    text = (REPOSITORY / "docs/guides/kubernetes.md").read_text() + (REPOSITORY / "docs/guides/hardening.md").read_text()
    named = re.findall(r"(?:--set |`)((?:image|secret|s3|api|worker|ingress|networkPolicy|topologySpread|serviceMonitor)\.[\w.]+)", text)
    assert len(named) > 10
    for name in named:
        found = values
        for part in name.split("."):
            assert part in found, name
            found = found[part]
