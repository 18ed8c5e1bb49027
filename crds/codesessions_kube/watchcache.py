"""A copy of all objects of a kind, kept fresh by list and watch.

Source: Kubernetes API concepts, efficient detection of changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import GoneError, KubeError
from codesessions_kube.kinds import Kind
from codesessions_kube.store import Key, Object, ObjectStore, key_of, version_of

_log = logging.getLogger(__name__)


class WatchCache(ObjectStore):
    """All objects of one kind. Run `run()` as a task; read at any time; `synced` is set after the first list."""

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        selector: str = "",
        index: Callable[[Object], Iterable[str]] = lambda _: (),
        changed: Callable[[Key], None] = lambda _: None,
    ) -> None:
        super().__init__(index=index, changed=self._notice)
        self.kind = kind
        self.synced = asyncio.Event()
        self.stale_since: float | None = time.monotonic()
        self._client = client
        self._selector = selector
        self._listener = changed
        self._waiters: dict[Key, set[asyncio.Event]] = {}
        self._random = random.Random()  # noqa: S311 - jitter

    def _notice(self, key: Key) -> None:
        for waiter in self._waiters.get(key, ()):
            waiter.set()
        self._listener(key)

    async def wait_for(
        self, namespace: str, name: str, predicate: Callable[[Object | None], bool], *, seconds: float
    ) -> Object | None:
        """Wait, at most `seconds`, until `predicate` holds of an object (None: gone); returns it as it is then."""
        key = (namespace, name)
        changed = asyncio.Event()
        self._waiters.setdefault(key, set()).add(changed)
        try:
            async with asyncio.timeout(seconds):
                while not predicate(self.get(namespace, name)):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        finally:
            waiters = self._waiters[key]
            waiters.discard(changed)
            if not waiters:
                del self._waiters[key]
        return self.get(namespace, name)

    async def run(self) -> None:
        """List, then watch, for ever; after a failure again, with a growing, jittered pause."""
        failures = 0
        while True:
            try:
                version = await self._relist()
                failures = 0
                while True:
                    version = await self._follow(version)
            except GoneError:
                continue
            except KubeError as error:
                failures += 1
                if self.stale_since is None:
                    self.stale_since = time.monotonic()
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "the cache of %s is stale: %s", self.kind.plural, error.message)
                await asyncio.sleep(min(5.0, 0.2 * 2 ** min(failures, 6)) * self._random.uniform(0.5, 1.0))

    async def _relist(self) -> str:
        items, version = await self._client.list(self.kind, selector=self._selector)
        listed = {key_of(item) for item in items}
        for item in self.items():
            if key_of(item) not in listed:
                self.remove(key_of(item), int(version) if version.isdigit() else version_of(item))
        for item in items:
            self.put(item)
        self.stale_since = None
        self.synced.set()
        return version

    async def _follow(self, version: str) -> str:
        events = _generator(self._client.watch(self.kind, version, selector=self._selector))
        async with contextlib.aclosing(events):
            async for event in events:
                self.stale_since = None
                item = event["object"]
                if event["type"] == "ERROR":
                    kind = GoneError if item.get("code") == 410 else KubeError
                    raise kind(str(item.get("message")), status=int(item.get("code") or 0))
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self.remove(key_of(item), version_of(item))
                elif event["type"] in {"ADDED", "MODIFIED"}:
                    self.put(item)
        return version


async def _generator(events: AsyncIterator[Object]) -> AsyncGenerator[Object, None]:
    """Any async iterator as a generator, which can be closed."""
    async for event in events:
        yield event
