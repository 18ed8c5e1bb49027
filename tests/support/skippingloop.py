"""An event loop whose clock jumps to the next timer when there is nothing to do: tests of delays without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SkippingLoop(asyncio.SelectorEventLoop):
    """Time is 0 at the start and moves only by timers."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector = self._selector  # type: ignore[attr-defined]
        select: Callable[[float | None], list[Any]] = selector.select

        def skip(timeout: float | None = None) -> list[Any]:
            if timeout is None or timeout <= 0:
                return select(timeout)
            found = select(0)
            if not found:
                self._now += timeout
            return found

        selector.select = skip

    def time(self) -> float:
        return self._now


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on such a loop."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(work)


def now() -> float:
    """The running loop's time, in seconds."""
    return asyncio.get_running_loop().time()
