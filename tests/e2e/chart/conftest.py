"""Two places to install the chart: an API server of the tests' own, and a scratch namespace of the shared cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.controlplane import ControlPlane


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    found = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        found.start()
        yield found
    finally:
        found.stop()
