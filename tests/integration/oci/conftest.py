from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from codesessions_oci.registry import Registry
from support.registry import RealRegistry


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A registry that asks nobody who he is."""
    found = RealRegistry(tmp_path_factory.mktemp("registry"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealRegistry]:
    """A registry of one test, not yet started."""
    found = RealRegistry(tmp_path)
    yield found
    found.stop()


@pytest.fixture
async def registry(real: RealRegistry) -> AsyncIterator[Registry]:
    async with Registry(real.settings()) as found:
        yield found
