"""What of a request's body nobody has read when its answer is there.

A connection that closes with bytes unread is reset, and that destroys the answer (RFC 9112, section 9.6). So what a
refused client still sends is read and dropped, within bounds.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Message, Receive, Scope

MAX_BYTES = 32 << 20
SECONDS = 5.0


class Leftover:
    """Follows a request's body through `receive`."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = dict(scope["headers"])
        self._receive = receive
        self._complete = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._is_asked_for = headers.get(b"expect", b"").lower() != b"100-continue"

    async def receive(self) -> Message:
        """The application's `receive`."""
        self._is_asked_for = True
        message = await self._receive()
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Read on to the body's end, unless the client still waits to be told to send it (RFC 9110, section 10.1.1)."""
        if not self._is_asked_for:
            return
        left = MAX_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while self._has_more() and left > 0:
                    left -= len((await self.receive()).get("body", b""))

    def _has_more(self) -> bool:
        return not self._complete
