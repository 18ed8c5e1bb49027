"""Raw: bytes both ways and nothing else, for xterm.js with its attach addon, websocat and the like.

There is no word for a size: it comes by `POST /v1/resize`.
"""

from __future__ import annotations

from collections.abc import Sequence

from codesessions_sidecar.dialects.base import Dialect, Message, Order, Type
from codesessions_sidecar.spool import Chunk


class Raw(Dialect):
    """Binary messages out; text or binary in."""

    name = "raw"
    subprotocols = ("raw.codesessions.dev",)

    def orders(self, message: Message) -> list[Order]:
        return [Type(message.data)] if message.data else []

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        return [Message(False, b"".join(chunk.data for chunk in chunks))]
