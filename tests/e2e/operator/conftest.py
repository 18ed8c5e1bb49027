"""An API server of the tests' own, with the definitions and one operator on it; pods are run by hand.

What real containers do is in tests/e2e/session. Here come the fates that a healthy cluster seldom has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_crds.generate import FOLDERS
from support.controlplane import ControlPlane, free_port
from support.handkubelet import API, HandSession
from support.kubectl import Kubectl

HOME = "home"
ACCOUNT = "codesessions-operator"
# What the operator may do, and no more (docs: the chart's ClusterRole and Role).
RULES: list[tuple[str, str, list[str]]] = [
    ("codesessions.dev", "codesessions", ["get", "list", "watch", "delete"]),
    ("codesessions.dev", "codesessions/status", ["patch"]),
    ("codesessions.dev", "apps/status", ["patch"]),
    ("codesessions.dev", "builds/status", ["patch"]),
    ("codesessions.dev", "apps", ["get", "list", "watch"]),
    ("codesessions.dev", "builds", ["get", "list", "watch", "create", "delete"]),
    ("apps", "deployments", ["list", "watch", "create", "patch"]),
    ("", "services", ["create", "patch"]),
    ("", "pods/log", ["get"]),
    ("networking.k8s.io", "ingresses", ["create", "patch"]),
    ("", "pods", ["get", "list", "watch", "create", "delete"]),
    ("", "persistentvolumeclaims", ["get", "list", "watch", "create"]),
    ("", "secrets", ["get", "create"]),
    ("", "events", ["create"]),
    ("networking.k8s.io", "networkpolicies", ["create", "patch"]),
    ("discovery.k8s.io", "endpointslices", ["get"]),
    ("coordination.k8s.io", "leases", ["get", "create", "update"]),
]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With the definitions, and the operator's account."""
    found = ControlPlane(tmp_path_factory.mktemp("operator"))
    try:
        found.start()
        kubectl = found.kubectl()
        kubectl("apply", "-f", str(FOLDERS[0]))
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": verbs} for group, resource, verbs in RULES]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT}
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}
        rbac, name = "rbac.authorization.k8s.io/v1", {"name": ACCOUNT}
        kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}},
            {"apiVersion": rbac, "kind": "ClusterRole", "metadata": name, "rules": rules},
            {
                "apiVersion": rbac,
                "kind": "ClusterRoleBinding",
                "metadata": name,
                "roleRef": role,
                "subjects": [subject],
            },
        )
        found.kubectl(HOME).apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name})
        yield found
    finally:
        found.stop()


class OperatorProcess:
    """`python -m codesessions_operator`, as its account."""

    def __init__(self, kubeconfig: Path, folder: Path, variables: dict[str, str]) -> None:
        key = folder / "master-key"
        key.write_bytes(b"k" * 32)
        self.port = free_port()
        self.log = folder / f"operator-{self.port}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CODESESSIONS_")}
        environment |= {
            "KUBECONFIG": str(kubeconfig),
            "CODESESSIONS_MASTER_KEY_FILE": str(key),
            "CODESESSIONS_NAMESPACE": HOME,
            "CODESESSIONS_WORKSPACE_IMAGE": "workspace:1",
            "CODESESSIONS_SIDECAR_IMAGE": "sidecar:1",
            "CODESESSIONS_LISTEN": f"127.0.0.1:{self.port}",
            "CODESESSIONS_LOG_FORMAT": "text",
            **variables,
        }
        with self.log.open("wb") as log:
            argv = [sys.executable, "-m", "codesessions_operator"]
            self._process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def words(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    def leads(self) -> bool:
        """Whether it has said so of itself; one that waits names another."""
        return any(line.endswith(" leads") and " waits: " not in line for line in self.words.splitlines())

    def end(self, number: int = signal.SIGTERM, *, seconds: float = 60) -> int:
        """Send a signal; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(seconds)

    def wait(self, *, seconds: float) -> int:
        return self._process.wait(seconds)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None


Start = Callable[..., OperatorProcess]


@pytest.fixture
def start(plane: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts operators; all are ended afterwards, and if the test failed, their logs are shown."""
    made: list[OperatorProcess] = []

    def begin(*, port: int | None = None, **variables: str) -> OperatorProcess:
        kubeconfig = plane.log_in(HOME, ACCOUNT)
        if port is not None:
            config = json.loads(kubeconfig.read_text())
            config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
            kubeconfig = tmp_path / "proxied.kubeconfig"
            kubeconfig.write_text(json.dumps(config))
        found = OperatorProcess(kubeconfig, tmp_path, variables)
        made.append(found)
        return found

    yield begin
    for each in made:
        each.end(signal.SIGTERM)
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        for each in made:
            print(each.words[-5000:])


Make = Callable[..., HandSession]


@pytest.fixture
def kubectl(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of this test."""
    name = f"t{time.monotonic_ns()}"
    found = plane.kubectl(name)
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield found
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print(found.tries("get", "codesessions,pods", "-o", "yaml").stdout[-8000:])
        print(found.tries("get", "events").stdout)
    found("delete", "codesessions", "--all", "--wait=false")
    found("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")


@pytest.fixture
def make(kubectl: Kubectl) -> Make:
    """Makes sessions."""

    def begin(name: str, **spec: Any) -> HandSession:
        metadata = {"name": name, "namespace": kubectl.namespace}
        spec = {"projectName": "test", **spec}
        kubectl.apply({"apiVersion": API, "kind": "CodeSession", "metadata": metadata, "spec": spec})
        return HandSession(kubectl, name)

    return begin
