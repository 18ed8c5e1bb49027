"""A second release beside the one of this cluster: it runs, and goes without a trace.

Its operator has no pod: two would work on the same sessions.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from codesessions_dev import install
from codesessions_dev.envfile import Access
from support.helm import CHART, helm
from support.kubectl import Kubectl
from support.session import until

RELEASE = "scratch"
CLUSTER_WIDE = ("clusterrole", "clusterrolebinding")
CRDS = ("codesessions.codesessions.dev", "apikeys.codesessions.dev")

SESSION: dict[str, Any] = {
    "apiVersion": "codesessions.dev/v1alpha1",
    "kind": "CodeSession",
    "metadata": {"name": "cs-kept"},
    "spec": {"projectName": "kept", "state": "Completed"},
}


@pytest.fixture
def scratch(access: Access) -> Iterator[Kubectl]:
    """A namespace that enforces Pod Security restricted, with whatever is in it removed afterwards."""
    kubectl = Kubectl(access.kubeconfig, f"chart-{secrets.token_hex(3)}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": kubectl.namespace, "labels": labels}
    Kubectl(access.kubeconfig, "default").apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield kubectl
    helm("uninstall", RELEASE, f"--kubeconfig={access.kubeconfig}", f"--namespace={kubectl.namespace}")
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def images(access: Access) -> Any:
    """Those of the main release, which are on the node."""
    words = ("get", "values", install.RELEASE, f"--namespace={install.NAMESPACE}", "--output=json")
    answer = helm(*words, f"--kubeconfig={access.kubeconfig}")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["images"]


def marks(kubectl: Kubectl) -> dict[str, str]:
    """What changes when somebody changes a definition."""
    return {name: (kubectl.get("crd", name) or {})["metadata"]["resourceVersion"] for name in CRDS}


def of_release(kubectl: Kubectl, kind: str) -> list[str]:
    return [each["metadata"]["name"] for each in kubectl.list(kind, f"-l=app.kubernetes.io/instance={RELEASE}")]


@pytest.mark.timeout(600)
def test_a_second_release_comes_and_goes(access: Access, scratch: Kubectl) -> None:
    before = marks(scratch)
    scratch.apply(SESSION)
    values: dict[str, Any] = {
        "ptyBaseUrl": "https://pty.example.com",
        "images": images(access),
        "crds": {"install": False},
        "operator": {"replicas": 0},
        "api": {"replicas": 1},
        "gateway": {"replicas": 1},
        "networkPolicy": {"enabled": True},
    }
    words = (f"--kubeconfig={access.kubeconfig}", f"--namespace={scratch.namespace}", "--wait", "--timeout=300s")
    installed = helm("install", RELEASE, CHART, *words, values=values)
    assert installed.returncode == 0, installed.stderr + scratch("get", "pods,events")
    for component in ("api", "gateway"):
        service = f"/api/v1/namespaces/{scratch.namespace}/services/{RELEASE}-codesessions-{component}:http"
        ready = lambda service=service: scratch.tries("get", "--raw", f"{service}/proxy/readyz").returncode == 0  # noqa: E731
        until(f"the {component} is reached", ready)
    for kind in CLUSTER_WIDE:
        assert of_release(scratch, kind)

    values["api"] = {"replicas": 2}
    upgraded = helm("upgrade", RELEASE, CHART, *words, values=values)
    assert upgraded.returncode == 0, upgraded.stderr
    api = scratch.get("deployment", f"{RELEASE}-codesessions-api")
    assert api is not None
    assert api["status"]["readyReplicas"] == 2
    assert scratch.get("pdb", f"{RELEASE}-codesessions-api") is not None

    removed = helm("uninstall", RELEASE, *words)
    assert removed.returncode == 0, removed.stderr
    for kind in (*CLUSTER_WIDE, "deployment", "service", "role", "networkpolicy"):
        assert of_release(scratch, kind) == []
    assert marks(scratch) == before
    assert scratch.get("codesession", "cs-kept") is not None
