"""Two places to install the chart: an API server of the tests' own, and a scratch namespace of the shared cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.controlplane import ControlPlane
from support.helm import CHART, URL, helm

NAMESPACE = "system"


class Release:
    """The chart by helm, as a platform team would have it."""

    def __init__(self, plane: ControlPlane, name: str = "codesessions") -> None:
        self._plane, self.name = plane, name

    def tries(self, *words: str | Path, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        return helm(*words, f"--kubeconfig={self._plane.kubeconfig}", f"--namespace={NAMESPACE}", values=values)

    def __call__(self, *words: str | Path, values: dict[str, Any] | None = None) -> str:
        answer = self.tries(*words, values=values)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def install(self, **values: Any) -> str:
        return self("install", self.name, CHART, "--create-namespace", values={**URL, **values})

    def upgrade(self, chart: Path = CHART, **values: Any) -> str:
        return self("upgrade", self.name, chart, values={**URL, **values})

    def uninstall(self) -> str:
        return self("uninstall", self.name)


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    found = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        found.start()
        yield found
    finally:
        found.stop()
