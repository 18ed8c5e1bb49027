from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from unit.sidecar.doubles import Place, place


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    """A running server whose shell has not come yet."""
    async with place(tmp_path) as made:
        yield made
