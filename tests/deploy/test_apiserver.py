# SPDX-License-Identifier: MIT
"""The chart with a real kube-apiserver and etcd: a server-side dry run in a namespace whose pods
must be "restricted". The pods themselves are part of it, since a Deployment only causes a warning.
CI does not run this, since kube-apiserver takes ten minutes to build:

    tests/deploy/install.sh apiserver
    pytest-3 tests/deploy/test_apiserver.py
"""
import json
import pathlib
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
import yaml

from conftest import TOOLS, free_port
from root import until
from test_kubernetes import VALUES, objects

CRDS = pathlib.Path(__file__).parent / "schemas/crds"
PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}


class Cluster:
    def __init__(self, port):
        self.base, self.tls = f"https://127.0.0.1:{port}", ssl._create_unverified_context()

    def ask(self, method, path, body=None, kind="application/json"):
        """Returns (status, answer, warnings)."""
        request = urllib.request.Request(self.base + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer admin-token", "Content-Type": kind})
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
                return answer.status, json.load(answer) if "json" in answer.headers.get("Content-Type", "") else None, answer.headers.get_all("Warning")
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else text, None
        except OSError:
            return 0, None, None

    def apply(self, item, namespace="stems", dry=True):
        group, _, version = item["apiVersion"].rpartition("/")
        plural = PLURALS.get(item["kind"], item["kind"].lower() + "s")
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        path = f"{root}/{f'namespaces/{namespace}/' if namespace else ''}{plural}/{item['metadata']['name']}"
        return self.ask("PATCH", f"{path}?fieldManager=test&force=true&fieldValidation=Strict{'&dryRun=All' if dry else ''}", item,
                        "application/apply-patch+yaml")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if not (TOOLS / "kube-apiserver").exists() or not shutil.which("etcd"):
        pytest.skip("kube-apiserver or etcd is not installed; see tests/deploy/install.sh")
    folder = tmp_path_factory.mktemp("cluster")
    store, peer, port = free_port(), free_port(), free_port()
    (folder / "tokens").write_text('admin-token,admin,1,"system:masters"\n')
    subprocess.run(["openssl", "genrsa", "-out", folder / "key", "2048"], check=True, capture_output=True)
    log = open(folder / "log", "w")
    commands = [["etcd", "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{store}", "--advertise-client-urls",
                 f"http://127.0.0.1:{store}", "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--unsafe-no-fsync"],
                [TOOLS / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{store}", "--cert-dir", folder / "certificates",
                 "--bind-address", "127.0.0.1", "--secure-port", port, "--token-auth-file", folder / "tokens", "--authorization-mode", "RBAC",
                 "--service-account-issuer", "https://test", "--service-account-key-file", folder / "key",
                 "--service-account-signing-key-file", folder / "key", "--service-cluster-ip-range", "10.0.0.0/24"]]
    processes = [subprocess.Popen(list(map(str, command)), stdout=log, stderr=log) for command in commands]
    try:
        cluster = Cluster(port)
        until(lambda: cluster.ask("GET", "/readyz")[0] == 200, 120, (folder / "log").read_text)
        for path in CRDS.glob("*.yaml"):
            item = yaml.safe_load(path.read_text())
            status, answer, _ = cluster.apply(item, namespace=None, dry=False)
            assert status in (200, 201), answer
            version = item["spec"]["versions"][0]["name"]
            until(lambda: cluster.ask("GET", f"/apis/{item['spec']['group']}/{version}/{item['spec']['names']['plural']}")[0] == 200, 60)
        restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stems", "labels": restricted}}
        assert cluster.apply(namespace, namespace=None, dry=False)[0] == 201
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        assert cluster.apply(account, dry=False)[0] in (200, 201)
        yield cluster
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_server_takes_all_of_it(cluster, values):
    for item in sorted(objects(values), key=lambda item: item["kind"] != "ServiceAccount"):
        status, answer, warnings = cluster.apply(item, dry=item["kind"] != "ServiceAccount")
        assert status in (200, 201) and not warnings, (item["kind"], answer, warnings)
    pods = [item for item in objects(values) if item["kind"] == "Deployment"]
    assert len(pods) == 2
    for item in pods:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": item["metadata"]["name"]}, "spec": item["spec"]["template"]["spec"]}
        pod["spec"].pop("priorityClassName", None)
        status, answer, _ = cluster.apply(pod)
        assert status == 201, answer


def test_server_refuses_what_is_wrong(cluster):
    (deployment,) = [item for item in objects(VALUES[0]) if item["metadata"]["name"] == "stems-spleeterd-api" and item["kind"] == "Deployment"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong"}, "spec": deployment["spec"]["template"]["spec"]}
    pod["spec"].pop("priorityClassName", None)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    status, answer, _ = cluster.apply(pod)
    assert status == 403 and "restricted" in answer["message"]
    deployment["spec"]["replica"] = 3
    assert cluster.apply(deployment)[0] >= 400
