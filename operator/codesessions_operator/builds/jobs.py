"""Work that takes longer than a pass: it goes on beside, and wakes its App when it is done.

Nothing of it is written down: an operator that starts anew begins it again, and every job is safe to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

JobKey = tuple[str, str, str]
"""Namespace, Build, and what is done for it."""


class Jobs:
    """Running and finished jobs."""

    def __init__(self) -> None:
        self._tasks: dict[JobKey, asyncio.Task[Any]] = {}
        self._failures: dict[JobKey, int] = {}

    def poll(self, key: JobKey, start: Callable[[], Coroutine[Any, Any, Any]], wake: Callable[[], None]) -> Any:
        """The result of a job, which is begun if it is not there; None while it runs.

        Raises what it raised, once: the next poll begins it again.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(lambda _: wake())
            return None
        if not task.done():
            return None
        if task.cancelled() or task.exception() is not None:
            del self._tasks[key]
            self._failures[key] = self._failures.get(key, 0) + 1
        return task.result()

    def failures(self, key: JobKey) -> int:
        """How often a job has failed."""
        return self._failures.get(key, 0)

    def forget(self, namespace: str, build: str, *kinds: str) -> None:
        """Stop and forget jobs of a Build."""
        for kind in kinds:
            key = (namespace, build, kind)
            self._failures.pop(key, None)
            task = self._tasks.pop(key, None)
            if task is not None:
                task.cancel()
                task.add_done_callback(_consume)

    async def close(self) -> None:
        """Stop all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _consume(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
