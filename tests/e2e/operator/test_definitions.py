"""What the API server takes and refuses by our definitions, and in which words."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from support.controlplane import ControlPlane
from support.handkubelet import API
from support.kubectl import Kubectl

HASH = "0" * 64


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Kubectl:
    return plane.kubectl()


def create(kubectl: Kubectl, body: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return kubectl.tries("create", "-f", "-", *words, stdin=json.dumps(body))


def session(name: str = "cs-table", **spec: Any) -> dict[str, Any]:
    spec = {"projectName": "p", **spec}
    return {"apiVersion": API, "kind": "CodeSession", "metadata": {"name": name}, "spec": spec}


def key(**spec: Any) -> dict[str, Any]:
    spec = {"hash": HASH, "scopes": ["code-sessions:read"], "userId": "u", **spec}
    return {"apiVersion": API, "kind": "APIKey", "metadata": {"name": "csk-table"}, "spec": spec}


ALL_OF_IT: dict[str, Any] = {
    "projectDescription": "d",
    "userId": "user_1",
    "state": "Running",
    "startTimeoutSeconds": 60,
    "maxDurationSeconds": 3600,
    "ttlSecondsAfterFinished": 0,
    "workspace": {
        "image": "registry/x:1",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "x"}],
        "shell": ["/bin/bash", "-l"],
        "runAsUser": 1000,
        "env": [{"name": "A", "value": "b"}, {"name": "B"}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": 1, "memory": "1.5Gi"}},
        "storage": {"size": "1Gi", "storageClassName": "fast", "ephemeral": False},
        "runtimeClassName": "gvisor",
        "hostUsers": False,
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
    },
}


@pytest.mark.parametrize(
    "body",
    [
        session(),
        session("cs-" + "a" * 40),
        session("cs-0"),
        session(**ALL_OF_IT),
        session(projectName="Übung 1 🎉"),
        session(state="Completed"),
        session(workspace={}),
        key(),
        key(expiresAt="2027-01-01T00:00:00Z", disabled=True, description="ci"),
    ],
)
def test_taken(kubectl: Kubectl, body: Any) -> None:
    answer = create(kubectl, body, "--dry-run=server", "--validate=strict")
    assert answer.returncode == 0, answer.stderr


WORKSPACE: list[tuple[dict[str, Any], str]] = [
    ({"image": ""}, "spec.workspace.image"),
    ({"hostUsers": True}, "spec.workspace.hostUsers"),
    ({"imagePullPolicy": "Sometimes"}, "supported values"),
    ({"shell": []}, "at least 1 items"),
    ({"runAsUser": 0}, "greater than or equal to 1"),
    ({"env": [{"name": "1A", "value": ""}]}, "spec.workspace.env[0].name"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, "Duplicate value"),
    ({"env": [{"name": f"A{number}"} for number in range(65)]}, "at most 64 items"),
    ({"resources": {"limits": {"memory": "1GB"}}}, "spec.workspace.resources.limits.memory"),
    ({"resources": {"limits": {"cpu": "-1"}}}, "spec.workspace.resources.limits.cpu"),
    ({"storage": {"size": "big"}}, "spec.workspace.storage.size"),
    ({"storage": {"storageClassName": "Fast"}}, "spec.workspace.storage.storageClassName"),
    ({"tolerations": [{"operator": "Maybe"}]}, "supported values"),
]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (session("abc"), "the name must be cs- and 1 to 40 lower-case letters or digits"),
        (session("cs-a-b"), "the name must be cs-"),
        (session("cs-" + "a" * 41), "the name must be cs-"),
        (session("cs-"), "lower case alphanumeric"),
        ({**session(), "spec": {}}, "spec.projectName: Required value"),
        (session(projectName=""), "at least 1 chars"),
        (session(projectName="p" * 129), "may not be more than 128"),
        (session(projectDescription="p" * 4097), "may not be more than 4096"),
        (session(userId="u" * 129), "may not be more than 128"),
        (session(state="Paused"), 'supported values: "Running", "Suspended", "Completed"'),
        (session(startTimeoutSeconds=1), "greater than or equal to 5"),
        (session(maxDurationSeconds=-1), "greater than or equal to 0"),
        (session(ttlSecondsAfterFinished="soon"), "must be of type integer"),
        *((session(workspace=workspace), words) for workspace, words in WORKSPACE),
        (key(hash="short"), "spec.hash"),
        (key(hash="A" * 64), "spec.hash"),
        (key(scopes=[]), "at least 1 items"),
        (key(scopes=["everything"]), "supported values"),
        (key(scopes=["code-sessions:read"] * 2), "Duplicate value"),
        (key(userId=""), "at least 1 chars"),
        (key(expiresAt="tomorrow"), "spec.expiresAt"),
    ],
)
def test_refused(kubectl: Kubectl, body: Any, words: str) -> None:
    answer = create(kubectl, body, "--dry-run=server", "--validate=ignore")
    assert answer.returncode != 0
    assert words in answer.stderr


@pytest.fixture(scope="module")
def made(kubectl: Kubectl) -> list[str]:
    """Three sessions and a key, as they were made."""
    workspace = {"image": "x:1", "resources": {"limits": {"cpu": 1}}}
    bodies = [session("cs-plain"), session("cs-full", workspace=workspace, userId="user_1"), session("cs-done"), key()]
    kubectl.apply(*bodies)
    patch = json.dumps({"spec": {"state": "Completed"}})
    kubectl("patch", "codesession", "cs-done", "--type=merge", "-p", patch)
    return [body["metadata"]["name"] for body in bodies]


@pytest.mark.parametrize(
    ("what", "spec", "words"),
    [
        ("codesession/cs-plain", {"projectName": "q"}, "projectName is immutable: create a new session"),
        ("codesession/cs-plain", {"userId": "u"}, "userId is immutable"),
        ("codesession/cs-plain", {"workspace": {"image": "y:1"}}, "workspace is immutable"),
        ("codesession/cs-plain", {"workspace": {}}, "workspace is immutable"),
        ("codesession/cs-full", {"workspace": None}, "workspace is immutable"),
        ("codesession/cs-full", {"workspace": {"image": None}}, "workspace is immutable"),
        ("codesession/cs-full", {"workspace": {"shell": ["/bin/sh"]}}, "workspace is immutable"),
        ("codesession/cs-full", {"userId": None}, "userId is immutable"),
        ("codesession/cs-done", {"state": "Running"}, "state Completed is final: create a new session"),
        ("codesession/cs-done", {"state": "Suspended"}, "state Completed is final"),
        ("codesession/cs-done", {"state": None}, "state Completed is final"),
        ("apikey/csk-table", {"hash": "1" * 64}, "hash is immutable: create a new APIKey"),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_cannot_be_changed(kubectl: Kubectl, what: str, spec: Any, words: str) -> None:
    answer = kubectl.tries("patch", what, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": spec}))
    assert answer.returncode != 0
    assert words in answer.stderr


@pytest.mark.parametrize(
    ("what", "spec"),
    [
        ("codesession/cs-plain", {"state": "Suspended"}),
        ("codesession/cs-plain", {"state": "Completed"}),
        ("codesession/cs-plain", {"projectDescription": "other"}),
        ("codesession/cs-plain", {"maxDurationSeconds": 60}),
        ("codesession/cs-full", {"workspace": {"image": "x:1"}}),
        ("codesession/cs-done", {"ttlSecondsAfterFinished": 1}),
        ("apikey/csk-table", {"disabled": True}),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_can_be_changed(kubectl: Kubectl, what: str, spec: Any) -> None:
    answer = kubectl.tries("patch", what, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": spec}))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.usefixtures("made")
def test_defaults_are_written_into_the_object(kubectl: Kubectl) -> None:
    assert (kubectl.get("codesession", "cs-plain") or {})["spec"] == {
        "projectName": "p",
        "projectDescription": "",
        "userId": "",
        "state": "Running",
        "startTimeoutSeconds": 120,
        "maxDurationSeconds": 0,
        "ttlSecondsAfterFinished": 604800,
    }


@pytest.mark.usefixtures("made")
def test_a_name_is_made_from_a_prefix(kubectl: Kubectl) -> None:
    body = {**session(), "metadata": {"generateName": "cs-"}}
    answer = create(kubectl, body, "--dry-run=server", "-o", "name")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.usefixtures("made")
def test_kubectl_selects_lists_and_explains(kubectl: Kubectl) -> None:
    found = kubectl("get", "codesessions", "--field-selector=spec.userId=user_1", "-o", "name")
    assert found.split() == ["codesession.codesessions.dev/cs-full"]
    assert kubectl("get", "csess", "-o", "wide").splitlines()[0].split() == [
        "NAME",
        "PROJECT",
        "PHASE",
        "REASON",
        "EXIT",
        "AGE",
        "USER",
        "POD",
        "NODE",
        "RESTARTS",
        "TRANSCRIPT",
        "MESSAGE",
    ]
    assert "apikey" not in kubectl("get", "codesessions", "-o", "name")
    both = kubectl("get", "codesessions-all", "-o", "name").split()
    assert {"codesession.codesessions.dev/cs-full", "apikey.codesessions.dev/csk-table"} <= set(both)
    explained = kubectl("explain", "codesession.spec.workspace")
    assert "storage" in explained
    assert "The volume at /workspace." in explained
    assert "<no description>" not in kubectl("explain", "codesession", "--recursive=false")


@pytest.mark.usefixtures("made")
def test_the_status_is_not_written_through_the_object(kubectl: Kubectl) -> None:
    kubectl("patch", "codesession", "cs-plain", "--type=merge", "-p", json.dumps({"status": {"phase": "Running"}}))
    assert "status" not in (kubectl.get("codesession", "cs-plain") or {})
