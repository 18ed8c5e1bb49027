"""From the chart that was landed before, with its definitions and objects, to this one: nothing of people is lost."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from codesessions_dev.layout import REPO
from support.controlplane import ControlPlane
from support.helm import CHART, URL
from support.kubectl import Kubectl

from .conftest import NAMESPACE, Release

PREVIOUS = (Path(__file__).parent / "PREVIOUS").read_text().strip()
"""The commit of the chart that is upgraded from."""
DEFINITIONS = ("codesessions", "apikeys", "apps", "builds")
API_VERSION = "codesessions.dev/v1alpha1"
OBJECTS: tuple[dict[str, Any], ...] = (
    {
        "kind": "CodeSession",
        "metadata": {"name": "cs-old", "generation": 1},
        "spec": {"projectName": "old", "projectDescription": "made before", "userId": "user_1"},
    },
    {
        "kind": "APIKey",
        "metadata": {"name": "csk-0123456789ab"},
        "spec": {"hash": "0" * 64, "scopes": ["code-sessions:read"], "userId": "user_1"},
    },
    {"kind": "App", "metadata": {"name": "app-old"}, "spec": {"image": "r.example.com/x@sha256:" + "0" * 64}},
    {"kind": "Build", "metadata": {"name": "bld-old"}, "spec": {"appName": "app-old", "sessionName": "cs-old"}},
)
STATUS = {"phase": "Running", "ptyEndpoint": "https://pty.example.com/cs_old", "restarts": 2}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That chart, out of the repository's history."""
    words = ["git", "-C", REPO, "archive", PREVIOUS, "charts/codesessions"]
    archive = subprocess.run(words, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"this checkout has no commit {PREVIOUS[:12]} (a shallow one?)")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder / "charts" / "codesessions"


def kept(kubectl: Kubectl) -> dict[str, Any]:
    """What must not change: identity, wishes, and what was observed."""
    found = {}
    for each in OBJECTS:
        item = kubectl.get(each["kind"].lower(), each["metadata"]["name"])
        assert item is not None, f"{each['kind']} {each['metadata']['name']} is gone"
        found[each["kind"]] = (item["metadata"]["uid"], item["spec"], item.get("status"))
    return found


@pytest.mark.timeout(600)
def test_from_the_chart_before_to_this_one(previous: Path, control_plane: ControlPlane) -> None:
    release, system = Release(control_plane), control_plane.kubectl(NAMESPACE)
    organization = {"organizations": [{"name": "demo"}]}
    release("install", release.name, previous, "--create-namespace", values={**URL, **organization})
    system("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    demo = control_plane.kubectl("demo")
    demo.apply(*({"apiVersion": API_VERSION, **each} for each in OBJECTS))
    demo("patch", "codesession", "cs-old", "--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    before, key = kept(demo), system.get("secret", "codesessions-master-key")

    # With the values that chart had: what came since has its default.
    release("upgrade", release.name, CHART, "--reuse-values")

    assert kept(demo) == before
    assert (system.get("secret", "codesessions-master-key") or {})["data"] == (key or {})["data"]
    for name in DEFINITIONS:
        file = CHART / "files" / "crds" / f"{name}.codesessions.dev.yaml"
        definition = system.get("crd", f"{name}.codesessions.dev") or {}
        wanted = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        stored = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert stored["properties"]["spec"] == wanted["properties"]["spec"]
        assert definition["status"]["storedVersions"] == ["v1alpha1"]

    # What was there can still be written: the new rules refuse nothing that the old ones took.
    for each in OBJECTS:
        name = each["metadata"]["name"]
        demo("annotate", each["kind"].lower(), name, "upgraded=yes")
    demo("patch", "codesession", "cs-old", "--type=merge", "-p", '{"spec":{"state":"Completed"}}')

    # Back again, and forward; then the release goes and comes, and all is where it was.
    release("rollback", release.name, "1")
    release.upgrade(**organization)
    completed = {**before["CodeSession"][1], "state": "Completed"}
    before = {**before, "CodeSession": (before["CodeSession"][0], completed, before["CodeSession"][2])}
    assert kept(demo) == before
    release.uninstall()
    assert kept(demo) == before
    release.install(**organization)
    assert kept(demo) == before
    assert (system.get("secret", "codesessions-master-key") or {})["data"] == (key or {})["data"]
