"""A client's connection: a stream for those who wait for it, or bytes looked at where they come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_BUFFER = memoryview(bytearray(64 << 10))
"""Of all connections: what is read is taken out of it before the loop goes on."""


class _Reader(asyncio.StreamReader):
    """Says at once when the client hangs up, so that nobody waits for output on its behalf."""

    def __init__(self, limit: int, on_end: Callable[[], None]) -> None:
        super().__init__(limit=limit)
        self.gone = False
        self._on_end = on_end

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone = True
        self._on_end()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone = True
        self._on_end()


class Connection(asyncio.StreamReaderProtocol, asyncio.BufferedProtocol):
    """As asyncio's streams have it, and with a short way in: `intake` sees first what comes, and may take it."""

    def __init__(
        self,
        limit: int,
        on_end: Callable[[], None],
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
    ) -> None:
        super().__init__(_Reader(limit, on_end), serve)  # type: ignore[arg-type]
        self.intake: Callable[[memoryview], bool] | None = None
        """Whether it took these bytes, all of them; they are not there for longer than the call."""

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        data = _BUFFER[:nbytes]
        if self.intake is None or not self.intake(data):
            self.data_received(bytes(data))
