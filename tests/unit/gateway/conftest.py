from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.gateway import Rig, gateway_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with gateway_rig() as found:
        yield found
