"""What a dialect is: a way to say output and orders in WebSocket messages. Pure: bytes in, orders out, and back.

Everything a client sends is parsed here into one of six orders, or refused with a close code (RFC 6455, section 7.4).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from codesessions_sidecar.ending import Exit
from codesessions_sidecar.spool import Chunk

UNSUPPORTED_DATA, POLICY_VIOLATION = 1003, 1008
MAX_SIDE = 10_000
"""Rows or columns, at most."""


class Message(NamedTuple):
    """A WebSocket message; `data` of a text message is UTF-8."""

    text: bool
    data: bytes


class Type(NamedTuple):
    """Type these bytes; `seq` makes a repetition harmless."""

    data: bytes
    seq: int | None = None


@dataclass(frozen=True)
class Resize:
    """The viewer's screen has this size, in characters."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Hold:
    """Send no output until told otherwise, or (`on` false) go on."""

    on: bool


@dataclass(frozen=True)
class Ack:
    """Output up to this chunk has been dealt with."""

    seq: int


@dataclass(frozen=True)
class Start:
    """The client is ready for its first output."""


@dataclass(frozen=True)
class EndOfInput:
    """The client will type no more."""


@dataclass(frozen=True)
class Ping:
    """Answer, so that a page which cannot send pings knows that the way is open."""


Order = Type | Resize | Hold | Ack | Start | EndOfInput | Ping


@dataclass(frozen=True)
class Opening:
    """How things stand when a viewer comes. `after`: its output begins behind this chunk."""

    session_id: str
    last_seq: int
    oldest_seq: int
    after: int
    truncated: bool
    rows: int
    columns: int
    writes: bool
    viewers: int
    writers: int
    window: int | None
    input_seq: int


class RefusedError(Exception):
    """A message that is none of the dialect's; `code` closes the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Dialect:
    """A dialect of one viewer; most have no word for most things, so silence is what they inherit."""

    name = ""
    """As in metrics, logs and `?dialect=`."""
    subprotocols: tuple[str, ...] = ()
    """Names under which a client may ask for it (Sec-WebSocket-Protocol)."""
    waits = False
    """Whether output begins only with the client's `Start`."""
    acknowledges = False
    """Whether the client can say `Ack`, and so can ask for a window."""

    def __init__(self, subprotocol: str | None = None, *, raw: bool = False) -> None:
        """`raw`: the client asked for the exact bytes, where the dialect leaves a choice."""
        self.subprotocol, self.raw = subprotocol, raw

    def orders(self, message: Message) -> list[Order]:
        """What a client's message asks for. Raises RefusedError."""
        raise NotImplementedError

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        """Chunks of the transcript, one or more."""
        raise NotImplementedError

    def screen(self, data: bytes) -> list[Message]:
        """Bytes for the viewer's screen which are not part of the transcript."""
        return self.output([Chunk(0, data, 0)])

    def opening(self, opening: Opening) -> list[Message]:
        """The first messages, before any output."""
        return []

    def truncated(self, oldest_seq: int) -> list[Message]:
        """Chunks before this one were skipped: they fell out of the ring, or the viewer's own Ctrl-C dropped them."""
        return []

    def ended(self, ending: Exit) -> list[Message]:
        """The shell has ended; the connection is closed after this."""
        return []

    def typed(self, seq: int, count: int) -> list[Message]:
        """Input with this number was taken, `count` bytes."""
        return []

    def refused(self, code: str, seq: int | None = None) -> list[Message]:
        """An order was not carried out (input with this number, if it has one); docs/terminal.md has the codes."""
        return []

    def company(self, viewers: int, writers: int) -> list[Message]:
        """So many are attached now, and so many of them may type."""
        return []

    def size(self, rows: int, columns: int) -> list[Message]:
        """The terminal has this size now."""
        return []

    def pong(self) -> list[Message]:
        """The answer to `Ping`."""
        return []


def read_json(data: bytes) -> Any:
    """JSON of a client. Raises RefusedError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError(POLICY_VIOLATION, "this is not JSON") from error


def to_text(value: object) -> Message:
    """JSON as a text message."""
    return Message(True, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def is_side(value: object) -> bool:
    """Whether this can be a number of rows or columns."""
    return type(value) is int and 1 <= value <= MAX_SIDE


def resize_of(rows: object, columns: object) -> list[Order]:
    """A resize; nothing for a size of 0, which clients send before they know theirs. Raises RefusedError."""
    if type(rows) is int and type(columns) is int and rows >= 0 and columns >= 0 and 0 in (rows, columns):
        return []
    if not (is_side(rows) and is_side(columns)):
        raise RefusedError(POLICY_VIOLATION, f"rows and columns must be whole numbers up to {MAX_SIDE}")
    assert isinstance(rows, int) and isinstance(columns, int)  # noqa: S101, PT018 - is_side said so
    return [Resize(rows, columns)]


def encoded(value: object) -> bytes:
    """Text of a client as the bytes to type. Raises RefusedError, also for a lone surrogate, which is no text."""
    try:
        return value.encode()  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, UnicodeEncodeError) as error:
        raise RefusedError(POLICY_VIOLATION, "what is typed must be text") from error
