from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.building import Site
from support.registry import RealRegistry


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    found = RealRegistry(tmp_path_factory.mktemp("registry"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def site(real: RealRegistry, tmp_path: Path) -> Site:
    return Site(real, tmp_path)
