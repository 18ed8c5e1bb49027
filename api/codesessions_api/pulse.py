"""Whether the Kubernetes API server answers. A watch can stand for a minute on a connection that is dead, and does
stand while etcd is away: what would have changed is not told. So it is asked.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from codesessions_kube.client import KubeClient

EVERY_SECONDS = 5.0
AGAIN_SECONDS = 1.0
"""While it does not answer."""


class Pulse:
    """Run `run()` as a task."""

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._clock, self._sleep = client, clock, sleep
        self._answered = clock()
        self._is_silent = False
        self._random = random.Random()  # noqa: S311 - jitter

    @property
    def silent_seconds(self) -> float:
        """For how long it has not answered, 0 if it did when it was asked last."""
        return self._clock() - self._answered if self._is_silent else 0.0

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            begun = self._clock()
            self._is_silent = not await self._client.alive()
            if not self._is_silent:
                self._answered = begun
            await self._sleep((AGAIN_SECONDS if self._is_silent else EVERY_SECONDS) * self._random.uniform(0.8, 1.2))
