"""`codesessions.v1`: ours. Numbered output, resume, acknowledgements, exactly-once input, the company, the exit.

JSON objects in text messages, told apart by `type`; docs/terminal.md has each. With `raw=binary` output comes as binary
messages: the last chunk's number, 8 bytes big-endian, then the bytes as the shell wrote them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from codesessions_sidecar.dialects.base import (
    POLICY_VIOLATION,
    UNSUPPORTED_DATA,
    Ack,
    Dialect,
    Message,
    Opening,
    Order,
    Ping,
    RefusedError,
    Resize,
    Type,
    encoded,
    is_side,
    read_json,
    to_text,
)
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.spool import Chunk
from codesessions_sidecar.utf8 import decode

_MOST = 1 << 63


class CodesessionsV1(Dialect):
    """Text both ways, binary output if asked for."""

    name = "codesessions.v1"
    subprotocols = ("codesessions.v1",)
    acknowledges = True

    def orders(self, message: Message) -> list[Order]:
        if not message.text:
            raise RefusedError(UNSUPPORTED_DATA, "codesessions.v1 takes text messages only")
        found = read_json(message.data)
        kind = found.get("type") if isinstance(found, dict) else None
        if not isinstance(kind, str):
            raise RefusedError(POLICY_VIOLATION, "a message of codesessions.v1 is an object with a type")
        if kind == "input":
            return _input(found)
        if kind == "resize":
            rows, columns = found.get("rows"), found.get("cols")
            if not (is_side(rows) and is_side(columns)):
                raise RefusedError(POLICY_VIOLATION, "rows and cols must be whole numbers from 1 to 10000")
            return [Resize(rows, columns)]
        if kind == "ack":
            return [Ack(_number(found, "seq", 0))]
        if kind == "ping":
            return [Ping()]
        return []  # of a later version

    def opening(self, opening: Opening) -> list[Message]:
        hello = {
            "type": "hello",
            "sessionId": opening.session_id,
            "afterSeq": opening.after,
            "lastSeq": opening.last_seq,
            "oldestSeq": opening.oldest_seq,
            "truncated": opening.truncated,
            "rows": opening.rows,
            "cols": opening.columns,
            "role": "writer" if opening.writes else "viewer",
            "viewers": opening.viewers,
            "writers": opening.writers,
            "window": opening.window,
            "inputSeq": opening.input_seq,
        }
        return [to_text(hello)]

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        if self.raw:
            number = chunks[-1].seq.to_bytes(8, "big")
            return [Message(False, b"".join((number, *(chunk.data for chunk in chunks))))]
        return [to_text({"type": "output", "seq": chunk.seq, "text": decode(chunk.data)}) for chunk in chunks]

    def screen(self, data: bytes) -> list[Message]:
        return [to_text({"type": "screen", "text": decode(data)})]

    def truncated(self, oldest_seq: int) -> list[Message]:
        return [to_text({"type": "truncated", "oldestSeq": oldest_seq})]

    def ended(self, ending: Exit) -> list[Message]:
        return [to_text({"type": "exit", **ending.document()})]

    def typed(self, seq: int, count: int) -> list[Message]:
        return [to_text({"type": "typed", "inputSeq": seq, "bytes": count})]

    def refused(self, code: str, seq: int | None = None) -> list[Message]:
        return [to_text({"type": "error", "code": code, **({} if seq is None else {"inputSeq": seq})})]

    def company(self, viewers: int, writers: int) -> list[Message]:
        return [to_text({"type": "viewers", "viewers": viewers, "writers": writers})]

    def size(self, rows: int, columns: int) -> list[Message]:
        return [to_text({"type": "size", "rows": rows, "cols": columns})]

    def pong(self) -> list[Message]:
        return [to_text({"type": "pong"})]


def _number(found: dict[str, Any], name: str, least: int) -> int:
    value = found.get(name)
    if type(value) is int and least <= value < _MOST:
        return value
    raise RefusedError(POLICY_VIOLATION, f"{name} must be a whole number from {least}")


def _input(found: dict[str, Any]) -> list[Order]:
    if "data" in found:
        if "text" in found:
            raise RefusedError(POLICY_VIOLATION, "input has text or data, not both")
        try:
            data = base64.b64decode(encoded(found["data"]), validate=True)
        except ValueError as error:
            raise RefusedError(POLICY_VIOLATION, "data must be base64") from error
    else:
        data = encoded(found.get("text"))
    seq = None if found.get("inputSeq") is None else _number(found, "inputSeq", 1)
    return [Type(data, seq)] if data or seq is not None else []
