"""`tty`: what the client of ttyd speaks, since its version 1.7.

A message is a command, one ASCII character, and its argument. The client's first message is a JSON object instead, with
the screen's size and a token that is not needed here: the ticket has already said who this is.
"""

from __future__ import annotations

from collections.abc import Sequence

from codesessions_sidecar.dialects.base import (
    POLICY_VIOLATION,
    Dialect,
    Hold,
    Message,
    Opening,
    Order,
    RefusedError,
    Start,
    Type,
    read_json,
    resize_of,
)
from codesessions_sidecar.spool import Chunk

_INPUT, _RESIZE, _PAUSE, _RESUME, _FIRST = b"0123{"
_OUTPUT, _TITLE, _PREFERENCES = b"0", b"1", b"2"


class Ttyd(Dialect):
    """Everything out is binary; in, text or binary."""

    name = "ttyd"
    subprotocols = ("tty",)
    waits = True

    def orders(self, message: Message) -> list[Order]:
        if not message.data:
            return []
        command, argument = message.data[0], message.data[1:]
        if command == _INPUT:
            return [Type(argument)] if argument else []
        if command == _FIRST:
            return [Start(), *_size(message.data, optional=True)]
        if command == _RESIZE:
            return _size(argument)
        if command in {_PAUSE, _RESUME}:
            return [Hold(command == _PAUSE)]
        return []  # a later version's command, as ttyd itself has it

    def opening(self, opening: Opening) -> list[Message]:
        return [Message(False, _TITLE + opening.session_id.encode()), Message(False, _PREFERENCES + b"{}")]

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        return [Message(False, b"".join((_OUTPUT, *(chunk.data for chunk in chunks))))]


def _size(data: bytes, *, optional: bool = False) -> list[Order]:
    found = read_json(data)
    if not isinstance(found, dict):
        raise RefusedError(POLICY_VIOLATION, 'a size is {"columns": 80, "rows": 24}')
    if optional and not {"rows", "columns"} <= found.keys():
        return []
    return resize_of(found.get("rows"), found.get("columns"))
