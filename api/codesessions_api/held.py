"""Requests that wait: until what they wait for, or their client has gone, or this program must leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Patience:
    """How long a request may still wait. `seconds` None: it does not want to."""

    def __init__(self, seconds: int | None) -> None:
        self._until = time.monotonic() + (seconds or 0)
        self.applied = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
        """The header that says so (RFC 7240, section 3)."""

    @property
    def left(self) -> float:
        """Seconds, 0 if none."""
        return max(0.0, self._until - time.monotonic())


async def held(request: Request, work: Coroutine[Any, Any, T], leaving: asyncio.Event) -> T | None:
    """The result of `work`; None if `leaving` is set first. The request's body must have been read.

    Raises ClientGoneError, and what `work` raises.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    left = asyncio.ensure_future(leaving.wait())
    others = (gone, left)
    try:
        await asyncio.wait((task, *others), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if left.done():
            return None
        raise ClientGoneError
    finally:
        for each in (task, *others):
            each.cancel()
        await asyncio.gather(task, *others, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
