"""Terminado: what JupyterLab and Jupyter Notebook speak. JSON arrays in text messages; it has no subprotocol."""

from __future__ import annotations

from collections.abc import Sequence

from codesessions_sidecar.dialects.base import (
    POLICY_VIOLATION,
    UNSUPPORTED_DATA,
    Dialect,
    Message,
    Opening,
    Order,
    RefusedError,
    Type,
    encoded,
    read_json,
    resize_of,
    to_text,
)
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.spool import Chunk
from codesessions_sidecar.utf8 import decode


class Terminado(Dialect):
    """Text both ways."""

    name = "terminado"

    def orders(self, message: Message) -> list[Order]:
        if not message.text:
            raise RefusedError(UNSUPPORTED_DATA, "terminado has text messages only")
        found = read_json(message.data)
        if not isinstance(found, list) or not found:
            raise RefusedError(POLICY_VIOLATION, 'a message is ["stdin", "text"] or ["set_size", 24, 80]')
        if found[0] == "stdin":
            data = encoded(found[1] if len(found) > 1 else None)
            return [Type(data)] if data else []
        if found[0] == "set_size":
            rows, columns, *_ = [*found[1:3], None, None]  # what follows is in pixels
            return resize_of(rows, columns)
        return []

    def opening(self, opening: Opening) -> list[Message]:
        return [to_text(["setup", {}])]

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        return [to_text(["stdout", "".join(decode(chunk.data) for chunk in chunks)])]

    def ended(self, ending: Exit) -> list[Message]:
        return [to_text(["disconnect", 1])]
