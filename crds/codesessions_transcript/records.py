"""The transcript's format, version 1: JSON lines, and behind the line of a chunk its bytes as they are.

A header, then chunks, sizes and gaps in order, then the end. Without an end a transcript is not whole. Types and fields
that are not known are passed over, so that later versions can add some.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

FORMAT, VERSION = "codesessions-transcript", 1
MEDIA_TYPE = "application/vnd.codesessions.transcript.v1"
MAX_LINE = 64 << 10
MAX_CHUNK = 1 << 20
_MOST = 1 << 63


class TranscriptError(ValueError):
    """This is no transcript, or not all of one."""


@dataclass(frozen=True)
class Header:
    """The first record.

    A screen that shows chunk `oldest_seq` first needs `preamble` before: what was forgotten has set modes, and perhaps
    begun a sequence. `rows` and `columns` are the size at the beginning. Times are Unix times in nanoseconds.
    """

    session_id: str
    created_ns: int
    oldest_seq: int
    last_seq: int
    rows: int
    columns: int
    preamble: bytes = b""


@dataclass(frozen=True)
class Output:
    """A chunk. `place`: where its bytes begin in the transcript that it was read from."""

    seq: int
    created_ns: int
    data: bytes
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Size:
    """From here on the terminal has this size."""

    created_ns: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Gap:
    """Chunks before this number were forgotten while the transcript was written."""

    oldest_seq: int


@dataclass(frozen=True)
class End:
    """The last record. `code` and `signal` are both None while the shell runs."""

    last_seq: int
    code: int | None
    signal: int | None


Record = Header | Output | Size | Gap | End


def encode(record: Record) -> bytes:
    """A record's bytes."""
    match record:
        case Header():
            document: dict[str, Any] = {
                "format": FORMAT,
                "version": VERSION,
                "sessionId": record.session_id,
                "time": record.created_ns,
                "oldestSeq": record.oldest_seq,
                "lastSeq": record.last_seq,
                "rows": record.rows,
                "cols": record.columns,
                "preamble": base64.b64encode(record.preamble).decode(),
            }
        case Output():
            document = {"type": "output", "seq": record.seq, "time": record.created_ns, "bytes": len(record.data)}
            return _line(document) + record.data + b"\n"
        case Size():
            document = {"type": "size", "time": record.created_ns, "rows": record.rows, "cols": record.columns}
        case Gap():
            document = {"type": "gap", "oldestSeq": record.oldest_seq}
        case End():
            ended = None
            if record.code is not None or record.signal is not None:
                ended = {"code": record.code, "signal": record.signal}
            document = {"type": "end", "lastSeq": record.last_seq, "exit": ended}
    return _line(document)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


class Reader:
    """Parses a transcript as it comes, in parts of any size, with no more in memory than one record."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.ended = False
        self._held = bytearray()
        self._position = 0
        self._seq = 0

    def feed(self, part: bytes) -> list[Record]:
        """The records that are whole now. Raises TranscriptError."""
        self._held += part
        found: list[Record] = []
        start = 0
        while (step := self._next(start)) is not None:
            record, start = step
            if record is not None:
                found.append(record)
        del self._held[:start]
        self._position += start
        return found

    def finish(self) -> None:
        """Nothing more comes. Raises TranscriptError if that is too early."""
        if not self.ended:
            raise TranscriptError("the transcript is not whole: it has no end")

    def _next(self, start: int) -> tuple[Record | None, int] | None:
        """The record at `start` (None: of a kind not known) and where it ends; None if it is not all there."""
        end = self._held.find(b"\n", start, start + MAX_LINE)
        if end < 0:
            if len(self._held) - start >= MAX_LINE:
                raise TranscriptError("a line is too long")
            return None
        if self.ended:
            raise TranscriptError("there is something behind the end")
        try:
            found = json.loads(bytes(self._held[start:end]))
            if not isinstance(found, dict):
                raise TranscriptError("a line is no object")
            if self.header is None:
                self.header = _header(found)
                self._seq = self.header.oldest_seq - 1
                return self.header, end + 1
            if found.get("type") == "output":
                return self._output(found, end + 1)
            return self._other(found), end + 1
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, TranscriptError):
                raise
            raise TranscriptError(f"a line cannot be read: {error!r}") from error

    def _output(self, found: dict[str, Any], start: int) -> tuple[Output, int] | None:
        length = _number(found["bytes"], MAX_CHUNK)
        end = start + length
        if len(self._held) <= end:
            return None
        if self._held[end] != 0x0A:
            raise TranscriptError("a chunk is not as long as it says")
        seq = _number(found["seq"])
        if seq != self._seq + 1:
            raise TranscriptError(f"chunk {seq} follows chunk {self._seq}")
        self._seq = seq
        data = bytes(self._held[start:end])
        return Output(seq, _number(found["time"]), data, self._position + start), end + 1

    def _other(self, found: dict[str, Any]) -> Record | None:
        match found.get("type"):
            case "size":
                return Size(_number(found["time"]), _number(found["rows"], 1 << 16), _number(found["cols"], 1 << 16))
            case "gap":
                gap = Gap(_number(found["oldestSeq"]))
                if gap.oldest_seq <= self._seq:
                    raise TranscriptError("a gap goes backwards")
                self._seq = gap.oldest_seq - 1
                return gap
            case "end":
                ended = found["exit"] or {"code": None, "signal": None}
                end = End(_number(found["lastSeq"]), *(_maybe(ended[name]) for name in ("code", "signal")))
                if end.last_seq != self._seq:
                    raise TranscriptError(f"it ends at chunk {self._seq}, not {end.last_seq}")
                self.ended = True
                return end
        return None


def _header(found: dict[str, Any]) -> Header:
    if found.get("format") != FORMAT:
        raise TranscriptError("this is no transcript")
    if found.get("version") != VERSION:
        raise TranscriptError(f"transcripts of version {found.get('version')!r} cannot be read here")
    session_id = found["sessionId"]
    if not isinstance(session_id, str):
        raise TranscriptError("sessionId is no text")
    return Header(
        session_id=session_id,
        created_ns=_number(found["time"]),
        oldest_seq=_number(found["oldestSeq"]),
        last_seq=_number(found["lastSeq"]),
        rows=_number(found["rows"], 1 << 16),
        columns=_number(found["cols"], 1 << 16),
        preamble=base64.b64decode(found["preamble"], validate=True),
    )


def _number(value: object, most: int = _MOST) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise TranscriptError(f"{value!r} is not a number that can be here")
    return value


def _maybe(value: object) -> int | None:
    return None if value is None else _number(value, 255)
