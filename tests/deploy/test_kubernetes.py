# SPDX-License-Identifier: MIT
"""The Helm chart: its values, and its output checked with the schemas of Kubernetes and the
operators, and with policies."""
import json
import os
import pathlib
import re
import tempfile

import pytest
import yaml

from conftest import REPOSITORY, tool

CHART = REPOSITORY / "deploy/helm/spleeterd"
SCHEMAS = pathlib.Path(__file__).parent / "schemas/kubernetes"
VALUES = sorted((CHART / "ci").glob("*.yaml"))
LEAST = CHART / "ci/least-values.yaml"
ALL = CHART / "ci/all-values.yaml"


def render(*arguments, **keywords):
    return tool("helm", "template", "stems", CHART, "--namespace", "stems", "--kube-version", "1.37.0", *arguments, **keywords)


def objects(values=ALL, *arguments):
    return [item for item in yaml.safe_load_all(render("--values", values, *arguments).stdout) if item]


def one(kind, name, values=ALL, *arguments):
    (found,) = [item for item in objects(values, *arguments) if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def valid(text):
    location = f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    return tool("kubeconform", "-strict", "-summary", "-output", "json", "-schema-location", location, "-", input=text, check=False)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_chart_is_valid(values):
    tool("helm", "lint", "--strict", "--kube-version", "1.37.0", "--values", values, CHART)
    done = valid(render("--values", values).stdout)
    summary = json.loads(done.stdout)["summary"]
    assert done.returncode == 0 and summary["valid"] >= 6 and not summary["skipped"], done.stdout


@pytest.mark.parametrize("good, bad", [("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
                                       ("minReplicas: 2", "minReplicas: two"), ("maxReplicaCount: 50", "maxReplicas: 50"),
                                       ("- port: http", "- porte: http")])
def test_validation_can_fail(good, bad):
    text = render("--values", ALL).stdout
    assert good in text
    assert valid(text.replace(good, bad)).returncode != 0


@pytest.mark.parametrize("value, says", [
    ("image.tag=latest", "image"), ("drainSeconds=1", "drainSeconds"), ("settings.API_KEY=secret", "API_KEY"),
    ("settings.DATABASE_URL=postgresql://u:p@h/d", "DATABASE_URL"), ("workers=3", "workers"), ("api.replicas=-1", "replicas"),
    ("s3.endpoint=s3.example", "endpoint"), ("s3.bucket=", "s3.bucket"), ("worker.podDisruptionBudget.minAvailable=1", "podDisruptionBudget")])
def test_wrong_values_are_refused(value, says):
    done = render("--values", LEAST, "--set", value, check=False)
    assert done.returncode != 0 and says in done.stderr, done.stderr


def test_policies():
    """Checkov's policies for Kubernetes and Dockerfiles, except three: the namespace is given at
    installation, a CPU limit would throttle, and the access key's name, which is not secret, comes
    from its Secret."""
    tool("checkov", "--skip-download", "--quiet", "--compact", "--framework", "kubernetes", "dockerfile", "--skip-check",
         "CKV_K8S_21,CKV_K8S_11,CKV_K8S_35", "--file", write(render("--values", ALL).stdout),
         REPOSITORY / "deploy/docker/Dockerfile")


def write(text):
    path = pathlib.Path(tempfile.mkdtemp()) / "rendered.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("part", ["api", "worker"])
def test_the_data_folder_is_the_services(part):
    """An emptyDir is open to everybody. Its subfolder, made by the service's user, is not."""
    spec = one("Deployment", f"stems-spleeterd-{part}")["spec"]["template"]["spec"]
    (made,), (container,) = spec["initContainers"], spec["containers"]
    (data,) = [mount for mount in container["volumeMounts"] if mount["name"] == "data"]
    (place,) = made["volumeMounts"]
    assert made["command"] == ["install", "-d", "-m", "0700", f"{place['mountPath']}/{data['subPath']}"]
    assert place["name"] == "data" and made["image"] == container["image"] and made["securityContext"] == container["securityContext"]


@pytest.mark.parametrize("part", ["api", "worker"])
def test_drain_is_longer_than_asked_for(part):
    spec = one("Deployment", f"stems-spleeterd-{part}")["spec"]["template"]["spec"]
    settings = one("ConfigMap", "stems-spleeterd")["data"]
    pause = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    lease = re.search(r"`SPLEETER_LEASE_S` \| `--lease-s` \| `(\d+)`", (REPOSITORY / "docs/settings.md").read_text()).group(1)
    assert spec["terminationGracePeriodSeconds"] >= int(settings["SPLEETER_DRAIN_S"]) + int(lease) + pause + 15


def test_the_ingress_is_trusted_with_addresses():
    """Behind the ingress, each client has its own address, without further values. Without an
    ingress, no proxy is trusted."""
    def trusted(*values):
        done = render("--values", LEAST, "--set", "ingress.host=stems.example", *values)
        (settings,) = (item["data"] for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == "ConfigMap")
        return settings.get("SPLEETER_TRUSTED_PROXIES")

    assert "10.0.0.0/8" in trusted("--set", "ingress.enabled=true").split(",")
    assert trusted("--set", "ingress.enabled=true", "--set", "ingress.trustedProxies=10.244.0.0/16") == "10.244.0.0/16"
    assert trusted("--set", "ingress.enabled=true", "--set", "settings.TRUSTED_PROXIES=10.1.0.0/16") == "10.1.0.0/16"
    assert trusted() is None


def test_no_secret_is_rendered():
    for item in objects():
        assert item["kind"] != "Secret"
    names = {match for values in VALUES for match in re.findall(r"SPLEETER_(\w+)", render("--values", values).stdout)}
    assert {"DATABASE_URL_FILE", "S3_SECRET_ACCESS_KEY_FILE", "SECRET_FILE", "API_KEY_FILE"} <= names
    assert not names & {"DATABASE_URL", "S3_SECRET_ACCESS_KEY", "SECRET", "API_KEY"}


def test_settings_exist():
    """Every name that the chart, the Compose files and the image set is a setting."""
    known = set(re.findall(r"`(SPLEETER_\w+)`", (REPOSITORY / "docs/settings.md").read_text()))
    files = [CHART / "values.yaml", *CHART.glob("templates/*.yaml"), *CHART.glob("templates/*.tpl"),
             *(REPOSITORY / "deploy/compose").rglob("*.y*ml"), REPOSITORY / "deploy/docker/Dockerfile"]
    for path in files:
        for name in re.findall(r"\b(SPLEETER_[A-Z0-9_]*[A-Z0-9])\b", path.read_text()):
            assert name in known or name.removesuffix("_FILE") in known, f"{name} in {path}"
    for values in VALUES:
        for name in (yaml.safe_load(values.read_text()).get("settings") or {}):
            assert f"SPLEETER_{name}" in known, name


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
@pytest.mark.parametrize("part", ["api", "worker"])
def test_program_takes_the_settings(values, part, tmp_path):
    settings = dict(one("ConfigMap", "stems-spleeterd", values)["data"])
    container = one("Deployment", f"stems-spleeterd-{part}", values)["spec"]["template"]["spec"]["containers"][0]
    settings.update((item["name"], item.get("value", "an-id")) for item in container["env"])
    for name in ("database-url", "s3-secret-access-key", "secret", "api-key"):
        (tmp_path / name).write_text("postgresql://u:p@host/db" if name == "database-url" else "d41f8a7c3be95062a1c7e4f09b8d6235")
    settings = {name: value.replace("/etc/spleeterd/secrets", str(tmp_path)) for name, value in settings.items()}
    done = tool(os.environ["SPLEETERD"], "config", "check", "--offline", env={**settings, "SPLEETER_DATA_DIR": str(tmp_path)})
    assert "SPLEETER_DATABASE_URL" in done.stdout and "d41f8a7c3be95062" not in done.stdout


def test_selectors_find_the_pods():
    items = objects()
    pods = {item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: item["spec"]["template"]["metadata"]["labels"]
            for item in items if item["kind"] == "Deployment"}
    assert set(pods) == {"api", "worker"}

    def found(selector):
        return {part for part, labels in pods.items() if selector.items() <= labels.items()}

    for item in items:
        name, spec = item["metadata"]["name"], item.get("spec", {})
        if item["kind"] == "Service":
            assert found(spec["selector"]) == ({"api", "worker"} if name.endswith("metrics") else {"api"})
        elif item["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert found(spec["selector"]["matchLabels"]) == {name.rpartition("-")[2]}
        elif item["kind"] == "NetworkPolicy":
            assert found(spec["podSelector"]["matchLabels"]) == ({"api"} if name.endswith("api") else {"api", "worker"})
        elif item["kind"] == "ServiceMonitor":
            services = [other for other in items if other["kind"] == "Service"
                        and spec["selector"]["matchLabels"].items() <= other["metadata"]["labels"].items()]
            assert len(services) == 1
    assert one("ScaledObject", "stems-spleeterd-worker")["spec"]["scaleTargetRef"]["name"] == "stems-spleeterd-worker"


def test_policy_of_network_denies_first():
    policies = [item["spec"] for item in objects() if item["kind"] == "NetworkPolicy"]
    assert {"podSelector": policies[0]["podSelector"], "policyTypes": ["Ingress", "Egress"]} in policies
    open_to_all = [rule for spec in policies for rule in spec.get("ingress", []) if "from" not in rule]
    assert not open_to_all
    outside = [peer["ipBlock"] for spec in policies for rule in spec.get("egress", []) for peer in rule.get("to", []) if "ipBlock" in peer]
    (internet,) = [block for block in outside if block["cidr"] == "0.0.0.0/0"]
    assert "169.254.0.0/16" in internet["except"], "metadata services of clouds"
    for rule in one("NetworkPolicy", "stems-spleeterd-egress")["spec"]["egress"]:
        assert {port["port"] for port in rule["ports"]} <= {53, 5432, 7070}, "workers reach PostgreSQL and S3 alone"


def test_backlog_is_counted_in_the_tables_that_exist():
    query = one("ScaledObject", "stems-spleeterd-worker")["spec"]["triggers"][0]["metadata"]["query"]
    assert re.fullmatch(r"SELECT COUNT\(\*\) FROM jobs WHERE state IN \(0, 1\)", query)
    schema = (REPOSITORY / "src/service/store/schema.sql").read_text()
    assert "CREATE TABLE jobs (" in schema and "0 queued, 1 running" in schema


def test_alerts_are_those_of_the_rules():
    rules = (REPOSITORY / "deploy/prometheus/spleeterd.rules.yml").read_text()
    linked = rules.replace("runbook: docs/alerts.md", "runbook_url: https://stems.example/alerts.md")
    assert one("PrometheusRule", "stems-spleeterd")["spec"] == yaml.safe_load(linked)
    assert one("PrometheusRule", "stems-spleeterd", ALL, "--set", "prometheusRule.runbookUrl=")["spec"] == yaml.safe_load(rules)
    dashboard = one("ConfigMap", "stems-spleeterd-dashboard")["data"]["spleeterd.json"]
    assert dashboard == (REPOSITORY / "deploy/grafana/spleeterd.json").read_text()
