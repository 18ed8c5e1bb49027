from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.restapi import Rest, serving


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    async with serving() as found:
        yield found


@pytest.fixture
async def running(rest: Rest) -> Rest:
    """With session cs_abc123, which runs."""
    await rest.kube.add_session(ip=rest.sidecar.ip)
    return rest
