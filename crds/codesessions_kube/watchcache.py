"""A copy of all objects of a kind, kept fresh by list and watch.

Source: Kubernetes API concepts, efficient detection of changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import GoneError, KubeError
from codesessions_kube.kinds import Kind

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty if there is none) and name."""

_log = logging.getLogger(__name__)


def key_of(item: Object) -> Key:
    """The key of an object."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def slim(item: Object) -> Object:
    """Drop what nobody reads: managed fields."""
    item["metadata"].pop("managedFields", None)
    return item


def version_of(item: Object) -> int:
    """The resource version as a number (KEP-5504 makes it comparable); 0 if there is none."""
    text = item["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


class WatchCache:
    """All objects of one kind. Run `run()` as a task; read at any time; `synced` is set after the first list.

    `index` names, for an object, the words under which `find` finds it.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        selector: str = "",
        index: Callable[[Object], Iterable[str]] = lambda _: (),
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self.stale_since: float | None = time.monotonic()
        self._client = client
        self._selector = selector
        self._index = index
        self._items: dict[Key, Object] = {}
        self._found: dict[str, set[Key]] = {}
        self._deleted: dict[Key, int] = {}
        self._waiters: dict[Key, set[asyncio.Event]] = {}
        self._random = random.Random()  # noqa: S311 - jitter

    # -- reading

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._items.get((namespace, name))

    def items(self, namespace: str | None = None) -> list[Object]:
        """All objects, or those of a namespace."""
        return [item for key, item in self._items.items() if namespace is None or key[0] == namespace]

    def find(self, word: str) -> list[Object]:
        """Objects whose index has `word`."""
        return [self._items[key] for key in self._found.get(word, ())]

    async def wait_for(
        self, namespace: str, name: str, predicate: Callable[[Object | None], bool], *, seconds: float
    ) -> Object | None:
        """Wait, at most `seconds`, until `predicate` holds of an object (None: gone); returns it as it is then."""
        key = (namespace, name)
        changed = asyncio.Event()
        self._waiters.setdefault(key, set()).add(changed)
        try:
            async with asyncio.timeout(seconds):
                while not predicate(self._items.get(key)):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        finally:
            waiters = self._waiters[key]
            waiters.discard(changed)
            if not waiters:
                del self._waiters[key]
        return self._items.get(key)

    # -- writing

    def put(self, item: Object) -> None:
        """Take an object that the API server answered to a write, so that its writer reads it at once."""
        key, version = key_of(item), version_of(item)
        known = self._items.get(key)
        if known is not None and version_of(known) >= version:
            return
        if self._deleted.get(key, 0) >= version:
            return
        self._store(key, slim(item))

    def _store(self, key: Key, item: Object) -> None:
        self._unindex(key)
        self._items[key] = item
        for word in self._index(item):
            self._found.setdefault(word, set()).add(key)
        self._wake(key)

    def _remove(self, key: Key, version: int) -> None:
        self._unindex(key)
        self._items.pop(key, None)
        self._deleted[key] = version
        while len(self._deleted) > 1024:
            del self._deleted[next(iter(self._deleted))]
        self._wake(key)

    def _unindex(self, key: Key) -> None:
        known = self._items.get(key)
        for word in self._index(known) if known is not None else ():
            keys = self._found.get(word, set())
            keys.discard(key)
            if not keys:
                self._found.pop(word, None)

    def _wake(self, key: Key) -> None:
        for waiter in self._waiters.get(key, ()):
            waiter.set()

    # -- keeping fresh

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
                self._stale()
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "the cache of %s is stale: %s", self.kind.plural, error.message)
                await asyncio.sleep(min(5.0, 0.2 * 2 ** min(failures, 6)) * self._random.uniform(0.5, 1.0))

    def _stale(self) -> None:
        if self.stale_since is None:
            self.stale_since = time.monotonic()

    async def _relist(self) -> str:
        items, version = await self._client.list(self.kind, selector=self._selector)
        fresh = {key_of(item): slim(item) for item in items}
        for key in [key for key in self._items if key not in fresh]:
            known = version_of(self._items[key])
            if not version.isdigit() or known <= int(version):
                self._remove(key, int(version) if version.isdigit() else known)
        for key, item in fresh.items():
            known_item = self._items.get(key)
            if known_item is None or version_of(known_item) <= version_of(item):
                self._store(key, item)
        self.stale_since = None
        self.synced.set()
        return version

    async def _follow(self, version: str) -> str:
        async with contextlib.aclosing(
            _closing(self._client.watch(self.kind, version, selector=self._selector))
        ) as events:
            async for event in events:
                self.stale_since = None
                item = event["object"]
                if event["type"] == "ERROR":
                    if item.get("code") == 410:
                        raise GoneError(str(item.get("message")))
                    raise KubeError(str(item.get("message")), status=int(item.get("code") or 0))
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._remove(key_of(item), version_of(item))
                elif event["type"] in {"ADDED", "MODIFIED"}:
                    key = key_of(item)
                    known = self._items.get(key)
                    if known is None or version_of(known) <= version_of(item):
                        self._store(key, slim(item))
        return version


async def _closing(events: Any) -> Any:
    """Any async iterator as a generator that can be closed."""
    async for event in events:
        yield event
