"""When to ask the API server for what the watch caches do not know.

Another replica may have made it a moment ago. But ids that never were are cheap to send, and every question goes to the
API server of the whole cluster: one name is asked for once a second, and one organisation has so many questions.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from codesessions_kube.store import Object

from codesessions_api.ratelimits import Buckets, Limit

AGAIN_SECONDS = 1.0
ALLOWED = Limit("misses", 200, 10)
"""Questions of an organisation, of each replica: so many at once, and then 20 a second."""
_KEPT = 10_000


class Misses:
    """Remembers what was not there."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missed: dict[tuple[str, str], float] = {}
        self._buckets = Buckets()

    async def ask(self, namespace: str, name: str, read: Callable[[], Awaitable[Object | None]]) -> Object | None:
        """What `read` finds, or None where it is not to be asked now."""
        if not self.may_ask(namespace, name):
            return None
        found = await read()
        if found is None:
            self.missed(namespace, name)
        return found

    def may_ask(self, namespace: str, name: str) -> bool:
        """Whether to ask now."""
        now = self._clock()
        if now - self._missed.get((namespace, name), float("-inf")) < AGAIN_SECONDS:
            return False
        return self._buckets.take(namespace, ALLOWED, now).allowed

    def missed(self, namespace: str, name: str) -> None:
        """It was asked for, and is not there."""
        while len(self._missed) >= _KEPT:
            del self._missed[next(iter(self._missed))]
        self._missed.pop((namespace, name), None)
        self._missed[namespace, name] = self._clock()
