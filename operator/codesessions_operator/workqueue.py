"""A queue of keys: each key waits once, is worked on by one worker at a time, and comes back when it is due."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from codesessions_kube.store import Key

Work = Callable[[Key], Awaitable[timedelta | None]]
FIRST_DELAY, LONGEST_DELAY = 0.2, 60.0


class WorkQueue:
    """Keys to be worked on. `work` returns when to come back; if it raises, that is after a growing delay."""

    def __init__(self, work: Work, *, failed: Callable[[Key, Exception], None] = lambda *_: None) -> None:
        self._work, self._failed = work, failed
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, int] = {}
        self._random = random.Random()  # noqa: S311 - jitter

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    def add(self, key: Key) -> None:
        """Work on a key soon. One that is being worked on is worked on once more afterwards."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Work on a key after a while, unless it is due earlier already."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._timers.get(key)
        if known is not None:
            if known[0] <= due:
                return
            known[1].cancel()
        self._timers[key] = (due, loop.call_later(seconds, self._ring, key))

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def run(self, workers: int) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            await self._one(await self._ready.get())

    async def _one(self, key: Key) -> None:
        self._waiting.discard(key)
        self._busy.add(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer[1].cancel()
        try:
            again = await self._work(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._failed(key, error)
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures - 1, 10))
            self.add_after(key, delay * self._random.uniform(0.5, 1.0))
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.add_after(key, max(0.0, again.total_seconds()) + self._random.uniform(0.0, 0.1))
        finally:
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
