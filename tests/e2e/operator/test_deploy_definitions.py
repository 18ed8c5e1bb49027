"""What the API server takes and refuses of Apps and Builds, and in which words."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from support.controlplane import ControlPlane
from support.handkubelet import API
from support.kubectl import Kubectl

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Kubectl:
    return plane.kubectl()


def app(name: str = "app-table", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "App", "metadata": {"name": name}, "spec": spec or {"sessionName": "cs-a"}}


def build(name: str = "bld-table", **spec: Any) -> dict[str, Any]:
    spec = {"appName": "app-table", **(spec or {"sessionName": "cs-a"})}
    return {"apiVersion": API, "kind": "Build", "metadata": {"name": name}, "spec": spec}


def create(kubectl: Kubectl, body: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return kubectl.tries("create", "-f", "-", *words, stdin=json.dumps(body))


ALL_OF_IT: dict[str, Any] = {
    "image": f"registry:5000/demo/x@{DIGEST}",
    "host": "shop.example.com",
    "port": 3000,
    "env": [{"name": "A", "value": "b"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "imagePullSecrets": [{"name": "x"}],
    "replicas": 3,
    "resources": {"limits": {"memory": "1Gi"}},
    "readiness": {"path": "/healthz?full=1", "initialDelaySeconds": 5},
    "rolloutTimeoutSeconds": 60,
    "revision": 2,
    "revisionHistoryLimit": 3,
}


@pytest.mark.parametrize(
    "body",
    [
        app(),
        app("app-" + "a" * 40),
        app(**ALL_OF_IT),
        app(source=DIGEST),
        build(),
        build(sourceDigest=DIGEST, engine="layers", userId="u", requestedAt="2027-01-01T00:00:00.123456Z"),
        build(sessionName="cs-a", cancelled=True),
    ],
)
def test_taken(kubectl: Kubectl, body: Any) -> None:
    answer = create(kubectl, body, "--dry-run=server", "--validate=strict")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (app("cs-a"), "the name must be app- and 1 to 40 lower-case letters or digits"),
        (app(port=8080), "set one of sessionName, source and image"),
        (app(sessionName="cs-a", source=DIGEST), "set one of sessionName, source and image"),
        (app(sessionName="abc"), "spec.sessionName"),
        (app(image="nginx:1"), "spec.image"),
        (app(source="sha256:abc"), "spec.source"),
        (app(sessionName="cs-a", host="UPPER.example.com"), "spec.host"),
        (app(sessionName="cs-a", port=80), "greater than or equal to 1024"),
        (app(sessionName="cs-a", replicas=51), "less than or equal to 50"),
        (app(sessionName="cs-a", readiness={"path": "healthz"}), "spec.readiness.path"),
        (app(sessionName="cs-a", revision=0), "greater than or equal to 1"),
        (build("build-1"), "the name must be bld-"),
        (build(engine="layers"), "set one of sessionName and sourceDigest"),
        (build(sessionName="cs-a", sourceDigest=DIGEST), "set one of sessionName and sourceDigest"),
        (build(sessionName="cs-a", engine="magic"), "supported values"),
        (build(sessionName="cs-a", appName="x"), "spec.appName"),
        (build(sessionName="cs-a", requestedAt="now"), "spec.requestedAt"),
        (build(sessionName="cs-a", deadlineSeconds=1), "greater than or equal to 30"),
    ],
)
def test_refused(kubectl: Kubectl, body: Any, words: str) -> None:
    answer = create(kubectl, body, "--dry-run=server", "--validate=ignore")
    assert answer.returncode != 0
    assert words in answer.stderr


@pytest.fixture(scope="module")
def made(kubectl: Kubectl) -> None:
    """An App and two Builds."""
    kubectl.apply(app(), build(), build("bld-off", sessionName="cs-a", cancelled=True))


@pytest.mark.parametrize(
    ("what", "spec", "words"),
    [
        ("csapp/app-table", {"sessionName": "cs-b"}, "sessionName is immutable: create a new App"),
        ("csapp/app-table", {"sessionName": None, "source": DIGEST}, "sessionName is immutable"),
        ("build/bld-table", {"appName": "app-b"}, "appName is immutable: create a new Build"),
        ("build/bld-table", {"sessionName": "cs-b"}, "sessionName is immutable"),
        ("build/bld-table", {"engine": "buildah"}, "engine is immutable"),
        ("build/bld-off", {"cancelled": False}, "cancelled is final"),
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
        ("csapp/app-table", {"revision": 1}),
        ("csapp/app-table", {"replicas": 2, "env": [{"name": "A", "value": "c"}]}),
        ("build/bld-table", {"cancelled": True}),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_can_be_changed(kubectl: Kubectl, what: str, spec: Any) -> None:
    answer = kubectl.tries("patch", what, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": spec}))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.usefixtures("made")
def test_kubectl_finds_and_explains_them(kubectl: Kubectl) -> None:
    assert kubectl("get", "apps.codesessions.dev", "-o", "name").split() == ["app.codesessions.dev/app-table"]
    assert kubectl("get", "csapp").splitlines()[0].split() == ["NAME", "PHASE", "REASON", "REVISION", "URL", "AGE"]
    assert kubectl("get", "builds").splitlines()[0].split() == ["NAME", "APP", "PHASE", "REASON", "REVISION", "AGE"]
    found = kubectl("get", "builds", "--field-selector=spec.appName=app-table", "-o", "name").split()
    assert set(found) == {"build.codesessions.dev/bld-table", "build.codesessions.dev/bld-off"}
    for kind in ("csapp", "csbuild"):
        assert "<no description>" not in kubectl("explain", kind, "--recursive=false")
