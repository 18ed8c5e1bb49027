"""The programs, with the roles of the chart and no others, on an API server that notes every call (audit)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from codesessions_crds.credentials import new_api_key
from codesessions_dev.shell import wait_until
from support.controlplane import ControlPlane, free_port
from support.helm import CHART, URL, helm
from support.kubectl import Kubectl
from support.programs import start

API_VERSION = "codesessions.dev/v1alpha1"
NAMESPACE, ORGANIZATION = "system", "demo"


OPERATOR = {
    *(
        ("list", "codesessions"),
        ("watch", "codesessions"),
        ("delete", "codesessions"),
        ("patch", "codesessions/status"),
    ),
    *(("create", "secrets"), ("get", "secrets")),
    *(("create", "persistentvolumeclaims"), ("get", "persistentvolumeclaims"), ("watch", "persistentvolumeclaims")),
    *(("create", "pods"), ("watch", "pods"), ("delete", "pods")),
    *(("create", "events"), ("patch", "networkpolicies"), ("get", "endpointslices")),
    *(("create", "leases"), ("get", "leases"), ("update", "leases")),
    *(("list", "apps"), ("watch", "apps"), ("patch", "apps/status")),
    *(("list", "builds"), ("watch", "builds"), ("patch", "builds/status")),
    *(("watch", "deployments"), ("patch", "deployments"), ("patch", "services")),
}
"""What the life of a session and of an App takes."""
API = {
    *(("list", "codesessions"), ("watch", "codesessions"), ("create", "codesessions"), ("patch", "codesessions")),
    *(("list", "apikeys"), ("watch", "apikeys"), ("list", "namespaces"), ("watch", "namespaces")),
    *(("list", "apps"), ("watch", "apps"), ("list", "builds"), ("watch", "builds")),
    ("get", "codesessions"),
}


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With the chart and an organisation."""
    values = {**URL, "organizations": [{"name": ORGANIZATION}]}
    words = ("install", "codesessions", CHART, "--create-namespace", f"--namespace={NAMESPACE}")
    answer = helm(*words, f"--kubeconfig={control_plane.kubeconfig}", values=values)
    assert answer.returncode == 0, answer.stderr
    control_plane.kubectl()("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    return control_plane


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Kubectl:
    return plane.kubectl(ORGANIZATION)


@pytest.fixture
def api(plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """The REST API; yields a function that asks it something."""
    port = free_port()
    process = start(plane, NAMESPACE, "api", tmp_path, port=port)

    def ask(method: str, path: str, key: str = "", body: object = None) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        try:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            return 0, ""
        finally:
            connection.close()

    try:
        wait_until("the API is not ready", lambda: ask("GET", "/readyz")[0] == 200, seconds=120, hint=str(tmp_path))
        yield ask
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def operator(plane: ControlPlane, tmp_path: Path) -> Iterator[Path]:
    """The operator; yields its log."""
    process = start(plane, NAMESPACE, "operator", tmp_path)
    try:
        yield tmp_path / "operator.log"
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, (tmp_path / "operator.log").read_text()


def done_by(plane: ControlPlane, component: str) -> set[tuple[str, str]]:
    return {(call.verb, call.resource) for call in plane.calls() if call.account == f"codesessions-{component}"}


def refused_to(plane: ControlPlane, component: str) -> set[tuple[str, str, str]]:
    return {
        (call.verb, call.resource, call.name)
        for call in plane.calls()
        if call.account == f"codesessions-{component}" and call.code in {401, 403}
    }


def session(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "codesessions.dev/v1alpha1",
        "kind": "CodeSession",
        "metadata": {"name": name},
        "spec": {"projectName": "hello", **spec},
    }


def phase(kubectl: Kubectl, name: str) -> str:
    found = kubectl.get("codesession", name) or {}
    return str((found.get("status") or {}).get("phase"))


def uid_of_pod(kubectl: Kubectl, name: str) -> str:
    return str(((kubectl.get("pod", name) or {}).get("metadata") or {}).get("uid") or "")


def play_kubelet(kubectl: Kubectl, pod: str) -> None:
    """Say that a pod runs."""
    status = {
        "phase": "Running",
        "podIP": "192.0.2.7",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                **{"name": "workspace", "ready": True, "restartCount": 0, "image": "x", "imageID": "x"},
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
        ],
    }
    patch = {"status": status}
    kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps(patch))


def test_the_operator_lives_with_what_it_may_do(plane: ControlPlane, kubectl: Kubectl, operator: Path) -> None:
    hint = str(operator)
    kubectl.apply(session("cs-one", ttlSecondsAfterFinished=1))
    wait_until("there is no pod", lambda: uid_of_pod(kubectl, "ws-one") != "", seconds=120, hint=hint)
    first = uid_of_pod(kubectl, "ws-one")
    play_kubelet(kubectl, "ws-one")
    wait_until("it does not run", lambda: phase(kubectl, "cs-one") == "Running", seconds=120, hint=hint)
    policy = lambda: kubectl.get("networkpolicy", "codesessions-workspaces") is not None  # noqa: E731
    wait_until("there is no policy", policy, seconds=120, hint=hint)
    assert kubectl.get("pvc", "ws-one") is not None

    # A lost pod is replaced: by then Secret and claim are there already, and are looked at.
    kubectl("delete", "pod", "ws-one", "--wait=false")
    replaced = lambda: uid_of_pod(kubectl, "ws-one") not in {"", first}  # noqa: E731
    wait_until("the pod is not replaced", replaced, seconds=120, hint=hint)

    # Completed on request: the pod goes, and after its time the record too.
    kubectl("patch", "codesession", "cs-one", "--type=merge", "-p", json.dumps({"spec": {"state": "Completed"}}))
    wait_until("the pod stays", lambda: kubectl.get("pod", "ws-one") is None, seconds=120, hint=hint)
    wait_until("the record stays", lambda: kubectl.get("codesession", "cs-one") is None, seconds=120, hint=hint)

    # An App of an image takes no registry; a Build does, and says so.
    meta, image = {"name": "app-one"}, "registry.test/x@sha256:" + "0" * 64
    kubectl.apply({"apiVersion": API_VERSION, "kind": "App", "metadata": meta, "spec": {"image": image}})
    build = {"appName": "app-one", "sessionName": "cs-one"}
    kubectl.apply({"apiVersion": API_VERSION, "kind": "Build", "metadata": {"name": "bld-one"}, "spec": build})
    wait_until("no Deployment", lambda: kubectl.get("deployment", "app-one") is not None, seconds=120, hint=hint)
    reason = "{.status.conditions[0].reason}"
    failed = lambda: kubectl("get", "build", "bld-one", "-o", f"jsonpath={reason}") == "RegistryNotConfigured"  # noqa: E731
    wait_until("the Build goes on", failed, seconds=120, hint=hint)

    wait_until("not all was asked for", lambda: done_by(plane, "operator") >= OPERATOR, seconds=120, hint=hint)
    assert refused_to(plane, "operator") == set(), operator.read_text()


def test_the_api_lives_with_what_it_may_do(
    plane: ControlPlane, kubectl: Kubectl, api: Callable[..., tuple[int, str]]
) -> None:
    key = new_api_key()
    spec = {"hash": key.hash, "scopes": ["code-sessions:read", "code-sessions:write"], "userId": "user_1"}
    metadata = {"name": f"csk-{key.id}"}
    kubectl.apply({"apiVersion": "codesessions.dev/v1alpha1", "kind": "APIKey", "metadata": metadata, "spec": spec})
    sessions = "/api/v1/code-sessions"
    wait_until("the key is not taken", lambda: api("GET", sessions, key.text)[0] == 200, seconds=120)
    wanted = {"projectName": "hello", "projectDescription": "x"}
    status, text = api("POST", sessions, key.text, wanted)
    assert status == 201, text
    made = json.loads(text)["sessionId"]
    assert api("GET", f"{sessions}/{made}", key.text)[0] == 200
    assert api("DELETE", f"{sessions}/{made}", key.text)[0] == 204
    assert api("GET", f"{sessions}/cs_nosuch", key.text)[0] == 404
    wait_until("not all was asked for", lambda: done_by(plane, "api") >= API, seconds=120)
    assert refused_to(plane, "api") == set()


@pytest.mark.parametrize("component", ["operator", "api", "gateway"])
def test_no_program_lists_secrets_or_gets_into_pods(plane: ControlPlane, component: str) -> None:
    kubectl = plane.kubectl(ORGANIZATION)
    account = f"system:serviceaccount:{NAMESPACE}:codesessions-{component}"
    for verb, *resource in (
        *(("list", "secrets"), ("watch", "secrets"), ("delete", "secrets"), ("update", "secrets")),
        *(("create", "pods", "--subresource=exec"), ("get", "pods", "--subresource=exec")),
        *(("create", "pods", "--subresource=attach"), ("create", "pods", "--subresource=portforward")),
        *(("create", "clusterrolebindings"), ("create", "rolebindings"), ("impersonate", "users")),
        ("create", "serviceaccounts", "--subresource=token"),
        *(("create", "apikeys"), ("patch", "apikeys"), ("delete", "namespaces"), ("list", "configmaps")),
    ):
        answer = kubectl.tries("auth", "can-i", verb, *resource, f"--as={account}", "--all-namespaces")
        assert answer.stdout.strip() == "no", f"{account} may {verb} {resource}: {answer.stderr}"
