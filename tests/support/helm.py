"""helm, and what it makes of the chart."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from codesessions_dev.layout import DEV, REPO
from codesessions_dev.local.binaries import GROUPS, build

CHART = REPO / "charts" / "codesessions"
URL = {"ptyBaseUrl": "https://pty.example.com"}

Object = dict[str, Any]


@functools.cache
def program() -> Path:
    """HELM, or helm of PATH or of `.dev/bin`, or the cluster's own, which is built if need be (minutes, once)."""
    for found in (os.environ.get("HELM"), shutil.which("helm"), DEV / "bin" / "helm"):
        if found and Path(found).exists():
            return Path(found)
    return build(next(group for group in GROUPS if group.name == "addons")) / "helm"


def helm(*words: str | Path, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Run it, with values on standard input."""
    more = [] if values is None else ["--values=-"]
    return subprocess.run(
        [program(), *words, *more], input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )


@dataclass(frozen=True)
class Rendered:
    """The objects of a release."""

    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The one of this kind and name."""
        (found,) = (each for each in self.all(kind) if each["metadata"]["name"] == name)
        return found

    def pod(self, component: str) -> Object:
        """The pod template of one of the three Deployments."""
        (found,) = (each for each in self.all("Deployment") if each["metadata"]["name"].endswith(f"-{component}"))
        template: Object = found["spec"]["template"]
        return template

    def environment(self, component: str) -> dict[str, str]:
        """Its variables; those of the downward API as `$(path)`."""
        container = self.pod(component)["spec"]["containers"][0]
        return {
            each["name"]: each["value"] if "value" in each else f"$({each['valueFrom']['fieldRef']['fieldPath']})"
            for each in container["env"]
        }


def render(values: Object | None = None, *, release: str = "codesessions", namespace: str = "system") -> Rendered:
    """The chart with values (and a ptyBaseUrl)."""
    return _render(json.dumps({**URL, **(values or {})}), release, namespace)


@functools.cache
def _render(values: str, release: str, namespace: str) -> Rendered:
    answer = helm("template", release, CHART, f"--namespace={namespace}", values=json.loads(values))
    assert answer.returncode == 0, answer.stderr
    return Rendered(tuple(each for each in yaml.safe_load_all(answer.stdout) if each))


def refusal(values: Object) -> str:
    """What helm says to values that it refuses."""
    answer = helm("template", "codesessions", CHART, "--namespace=system", values=values)
    assert answer.returncode != 0, f"{values} were accepted"
    return answer.stderr
