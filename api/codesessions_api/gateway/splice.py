"""Bytes both ways between a client and a sidecar, no frame taken apart, neither side faster than the other takes.

The sidecar answers for pings, sizes and close codes. Only when the stream to the client ends without a close frame does
this add one, and only between two frames; amid one the connection is cut instead, which a client notices too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum

from codesessions_api.gateway.answers import UNREACHABLE
from codesessions_api.gateway.frames import FrameScanner, close_frame

BUFFER = 64 << 10
BOUNDARY_SECONDS = 2.0
"""How long a frame that is half through may take to end, when this must stop."""
PARTING_SECONDS = 2.0
"""How long the other side may take to answer a close."""
Cut = tuple[int, str]
"""A close code and its reason."""


class End(Enum):
    """Who ended it."""

    CLIENT = "client"
    TERMINAL = "terminal"
    LOST = "lost"
    CUT = "cut"


class Splice:
    """One client and one sidecar. `counted` is told of bytes: from the client, to the client."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        sidecar: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        counted: Callable[[int, int], None] = lambda _typed, _shown: None,
    ) -> None:
        self._client_in, self._client_out = client
        self._sidecar_in, self._sidecar_out = sidecar
        self._counted = counted
        self._scanner = FrameScanner()
        self._stop_at_boundary = False
        for writer in (self._client_out, self._sidecar_out):
            writer.transport.set_write_buffer_limits(high=BUFFER)

    async def run(self, cut: asyncio.Future[Cut]) -> End:
        """Move bytes until one side ends, or `cut` says with which code.

        TERMINAL: it ended with a close frame; LOST: without one, and the client was told to connect again.
        """
        up, down = asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())
        try:
            await asyncio.wait((up, down, cut), return_when=asyncio.FIRST_COMPLETED)
            end = await self._end(up, down, cut)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self._sidecar_out.close()
        if end in {End.CUT, End.LOST} and self._scanner.at_boundary and not self._scanner.closed:
            parting = cut.result() if end is End.CUT else (UNREACHABLE, "the terminal went away; connect again")
            await part(self._client_in, self._client_out, close_frame(*parting))
        return end

    async def _end(self, up: asyncio.Future[End], down: asyncio.Future[End], cut: asyncio.Future[Cut]) -> End:
        """Let what has begun come to its end; who ended it."""
        if cut.done():
            if not self._scanner.at_boundary:
                self._stop_at_boundary = True
                await asyncio.wait((down,), timeout=BOUNDARY_SECONDS)
            return End.CUT
        if not down.done():  # what the sidecar still has to say, an answer to a close for one, is for the client
            await asyncio.wait((down,), timeout=PARTING_SECONDS)
            return End.TERMINAL if up.result() is End.LOST and self._scanner.closed else up.result()
        if down.result() is End.LOST and self._scanner.closed:
            with contextlib.suppress(OSError):
                self._client_out.write_eof()
                await asyncio.wait((up,), timeout=PARTING_SECONDS)  # the client's answer to the terminal's close
            return End.TERMINAL
        return down.result()

    async def _up(self) -> End:
        while data := await _read(self._client_in):
            self._counted(len(data), 0)
            try:
                self._sidecar_out.write(data)
                await self._sidecar_out.drain()
            except OSError:
                return End.LOST
        with contextlib.suppress(OSError):
            self._sidecar_out.write_eof()
        return End.CLIENT

    async def _down(self) -> End:
        while data := await _read(self._sidecar_in):
            size = len(data)
            if self._stop_at_boundary:
                size = self._scanner.feed_to_boundary(data)
            else:
                self._scanner.feed(data)
            self._counted(0, size)
            try:
                self._client_out.write(data[:size])
                await self._client_out.drain()
            except OSError:
                return End.CLIENT
            if self._stop_at_boundary and self._scanner.at_boundary:
                return End.CUT
        return End.LOST


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Some bytes; none at the end, however it came."""
    try:
        return await reader.read(BUFFER)
    except OSError:
        return b""


async def part(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: bytes, seconds: float = PARTING_SECONDS
) -> None:
    """Send the last bytes and let the other side take them: closing at once, with its own bytes unread, would reset the
    connection and destroy them (RFC 9112, section 9.6). Takes at most so many seconds.
    """
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(last)
        async with asyncio.timeout(seconds):
            await writer.drain()
            writer.write_eof()
            while await reader.read(BUFFER):
                pass
