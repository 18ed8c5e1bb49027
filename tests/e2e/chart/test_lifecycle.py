"""Install, upgrade, uninstall, and what must outlive each of them, on an API server of the test's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.controlplane import ControlPlane
from support.helm import CHART, URL, render
from support.kubectl import Kubectl
from unit.chart.unusual import EVERYTHING

from .conftest import NAMESPACE, Release

SESSION: dict[str, Any] = {
    "apiVersion": "codesessions.dev/v1alpha1",
    "kind": "CodeSession",
    "metadata": {"name": "cs-kept", "namespace": "demo"},
    "spec": {"projectName": "kept"},
}


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane) -> Release:
    """The release that is there, with an organisation."""
    found = Release(control_plane)
    notes = found.install(organizations=[{"name": "demo"}])
    assert "codesessions keys create" in notes
    return found


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    return control_plane.kubectl(NAMESPACE)


def master_key(kubectl: Kubectl) -> str:
    secret = kubectl.get("secret", "codesessions-master-key")
    assert secret is not None
    return str(secret["data"]["master-key"])


def test_all_of_a_life(release: Release, kubectl: Kubectl, tmp_path: Path, control_plane: ControlPlane) -> None:
    key = master_key(kubectl)
    kubectl("wait", "--for=condition=Established", "crd/codesessions.codesessions.dev", "--timeout=120s")
    control_plane.kubectl("demo").apply(SESSION)

    # An upgrade changes what values say, upgrades the definitions, and leaves the key.
    release.upgrade(_newer_chart(tmp_path), operator={"replicas": 2}, organizations=[{"name": "demo"}])
    deployment = kubectl.get("deployment", "codesessions-operator")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2
    assert master_key(kubectl) == key
    definition = kubectl.get("crd", "codesessions.codesessions.dev")
    assert definition is not None
    assert "newer" in definition["spec"]["names"]["shortNames"]

    # Back to the chart as it is, and nothing lost.
    release.upgrade(organizations=[{"name": "demo"}])
    assert control_plane.kubectl("demo").get("codesession", "cs-kept") is not None

    # Uninstalling takes the programs, and leaves what belongs to people.
    release.uninstall()
    for kind in ("deployment", "service", "serviceaccount", "role", "rolebinding", "poddisruptionbudget"):
        assert kubectl.list(kind, "-l", "app.kubernetes.io/instance=codesessions") == []
    for kind in ("clusterrole", "clusterrolebinding"):
        assert kubectl.list(kind, "-l", "app.kubernetes.io/instance=codesessions") == []
    assert control_plane.kubectl("demo").get("codesession", "cs-kept") is not None
    demo = kubectl.get("namespace", "demo")
    assert demo is not None
    assert demo["status"]["phase"] == "Active"
    assert master_key(kubectl) == key

    # The same release again takes over what it left; the key is the old one.
    release.install(organizations=[{"name": "demo"}])
    assert master_key(kubectl) == key
    assert control_plane.kubectl("demo").get("codesession", "cs-kept") is not None


@pytest.mark.usefixtures("release")
def test_a_second_release_must_not_take_the_definitions(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    second = Release(control_plane, "second")
    answer = second.tries("install", second.name, CHART, values=URL)
    assert answer.returncode != 0
    assert "invalid ownership metadata" in answer.stderr
    second.tries("uninstall", second.name)

    second.install(crds={"install": False})
    second.uninstall()
    for name in ("codesessions.codesessions.dev", "apikeys.codesessions.dev"):
        definition = kubectl.get("crd", name)
        assert definition is not None
        assert definition["metadata"]["annotations"]["meta.helm.sh/release-name"] == "codesessions"


def test_definitions_that_others_made_can_be_taken_over(
    release: Release, control_plane: ControlPlane, kubectl: Kubectl
) -> None:
    # Another release's, and one that somebody applied and changed since.
    name = "apikeys.codesessions.dev"
    changed = yaml.safe_load((CHART / "files" / "crds" / f"{name}.yaml").read_text())
    changed["spec"]["names"]["shortNames"] = ["old"]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(changed))

    third = Release(control_plane, "third")
    third("install", third.name, CHART, "--take-ownership", "--force-conflicts", values=URL)
    definition = kubectl.get("crd", name)
    assert definition is not None
    assert definition["metadata"]["annotations"]["meta.helm.sh/release-name"] == "third"
    assert definition["spec"]["names"]["shortNames"] == ["csk"]
    third.uninstall()
    assert kubectl.get("crd", name) is not None
    release("upgrade", release.name, CHART, "--take-ownership", values={**URL, "organizations": [{"name": "demo"}]})


def test_a_key_of_another_name_is_missed_at_once(release: Release) -> None:
    answer = release.tries("upgrade", release.name, CHART, values={**URL, "masterKey": {"key": "other"}})
    assert answer.returncode != 0
    assert "has no key other" in answer.stderr


@pytest.mark.usefixtures("release")
def test_the_api_server_takes_all_that_teams_may_set(kubectl: Kubectl) -> None:
    """Field by field; certificates, routes and monitors need definitions that are not here."""
    items = {
        "apiVersion": "v1",
        "kind": "List",
        "items": list(render({**EVERYTHING, "masterKey": {"existingSecret": "own"}}).objects),
    }
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    answer = kubectl.tries(*words, stdin=json.dumps(items))
    assert answer.returncode == 0, answer.stderr
    assert "Warning" not in answer.stderr


def _newer_chart(folder: Path) -> Path:
    """The chart with a definition that a later version might have."""
    newer = folder / "newer"
    subprocess.run(["cp", "-r", CHART, newer], check=True)
    file = newer / "files" / "crds" / "codesessions.codesessions.dev.yaml"
    definition = yaml.safe_load(file.read_text())
    definition["spec"]["names"]["shortNames"].append("newer")
    file.write_text(json.dumps(definition))
    return newer
