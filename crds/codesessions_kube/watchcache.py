"""A copy of all objects of a kind, kept fresh by list and watch.

Source: Kubernetes API concepts, efficient detection of changes. After a break the watch goes on from the last resource
version; the list is read again only when the API server no longer knows that version (410).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import GoneError, KubeError
from codesessions_kube.kinds import Kind
from codesessions_kube.store import Key, Object, ObjectStore, key_of, version_of

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
WATCH_SECONDS = 300

_log = logging.getLogger(__name__)


class WatchCache(ObjectStore):
    """All objects of one kind. Run `run()` as a task; read at any time; `synced` is set after the first list.

    `index`, `changed` and `transform` are those of ObjectStore. `stale_since` is the monotonic time, in seconds, since
    when changes may have been missed, and None while the watch stands.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        selector: str = "",
        index: Callable[[Object], Iterable[str]] = lambda _: (),
        changed: Callable[[Key], None] = lambda _: None,
        transform: Callable[[Object], Object] = lambda item: item,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(index=index, changed=self._notice, transform=transform)
        self.kind = kind
        self.synced = asyncio.Event()
        self.stale_since: float | None = time.monotonic()
        self._client = client
        self._selector = selector
        self._listener = changed
        self._sleep = sleep
        self._version: str | None = None
        self._failures = 0
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
        while True:
            try:
                if self._version is None:
                    await self._relist()
                await self._follow()
            except GoneError:
                self._version = None
            except KubeError as error:
                self._note_failure(error.message)
            except Exception:
                _log.exception("the cache of %s met something unexpected and lists again", self.kind.plural)
                self._version = None
                self._note_failure("unexpected")
            else:
                continue
            self._failures += 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
            await self._sleep(pause * self._random.uniform(0.5, 1.0))

    def _note_failure(self, message: str) -> None:
        if self.stale_since is None:
            self.stale_since = time.monotonic()
        level = logging.WARNING if self._failures == 0 else logging.DEBUG
        _log.log(level, "the cache of %s is stale: %s", self.kind.plural, message)

    async def _relist(self) -> None:
        listed: set[Key] = set()
        version = ""
        async for page, version in self._client.pages(self.kind, selector=self._selector):  # noqa: B007
            for item in page:
                listed.add(key_of(item))
                self.put(item)
        for item in self.items():
            if key_of(item) not in listed:
                self.remove(key_of(item), int(version) if version.isdigit() else version_of(item))
        self._version = version
        self.stale_since = None
        self.synced.set()

    async def _follow(self) -> None:
        """Watch until the API server ends the watch, as it does now and then."""
        assert self._version is not None  # noqa: S101 - for the type checker
        seconds = int(WATCH_SECONDS * self._random.uniform(0.8, 1.0))
        events = _generator(self._client.watch(self.kind, self._version, selector=self._selector, seconds=seconds))
        begun = time.monotonic()
        async with contextlib.aclosing(events):
            async for event in events:
                self._take(event)
        if time.monotonic() - begun < 1.0:  # whatever makes it so short, do not hammer the API server
            await self._sleep(self._random.uniform(0.5, 1.0))

    def _take(self, event: Object) -> None:
        item = event["object"]
        if event["type"] == "ERROR":
            kind = GoneError if item.get("code") == 410 else KubeError
            raise kind(str(item.get("message")), status=int(item.get("code") or 0))
        if event["type"] == "DELETED":
            self.remove(key_of(item), version_of(item))
        elif event["type"] in {"ADDED", "MODIFIED"}:
            self.put(item)
        self._version = item["metadata"]["resourceVersion"]
        self.stale_since = None
        self._failures = 0


async def _generator(events: AsyncIterator[Object]) -> AsyncGenerator[Object, None]:
    """Any async iterator as a generator, which can be closed."""
    async for event in events:
        yield event
