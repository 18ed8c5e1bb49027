"""Asciicast v3, what asciinema plays: a header, then events with the seconds since the event before.

Source: https://docs.asciinema.org/manual/asciicast/v3/. Output is "o", a change of size "r", the end of the shell "x"
with its status as a shell has it (128 + n for signal n). What was typed is not kept, so there is no "i".
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from codesessions_transcript.records import End, Gap, Header, Output, Record, Size
from codesessions_transcript.utf8 import Decoder

MEDIA_TYPE = "application/x-asciicast"
_MICROSECOND, _SECOND = 1000, 1_000_000


class Asciicast:
    """Turns records into lines. `term`: the type of the terminal."""

    def __init__(self, term: str = "xterm-256color") -> None:
        self._term = term
        self._header: Header | None = None
        self._started = False
        self._moment = 0  # of the event before, in microseconds
        self._decoder = Decoder()

    def feed(self, records: Iterable[Record]) -> bytes:
        """The lines for these records."""
        return b"".join(map(self._one, records))

    def _one(self, record: Record) -> bytes:
        match record:
            case Header():
                self._header = record
                return b""
            case Output():
                return self._begin(record.created_ns) + self._text(record.created_ns, record.data)
            case Size():
                return self._begin(record.created_ns) + self._event(
                    record.created_ns, "r", f"{record.columns}x{record.rows}"
                )
            case Gap():
                return b""
            case End():
                lines = self._begin(None) + self._event(None, "o", self._decoder.rest())
                if record.code is not None or record.signal is not None:
                    status = record.code if record.code is not None else 128 + (record.signal or 0)
                    lines += self._event(None, "x", str(status))
                return lines

    def _begin(self, created_ns: int | None) -> bytes:
        """The header, before the first event, whose time it names: the recording begins with it."""
        if self._started or self._header is None:
            return b""
        self._started = True
        begun_ns = self._header.created_ns if created_ns is None else created_ns
        self._moment = begun_ns // _MICROSECOND
        size = {"cols": self._header.columns, "rows": self._header.rows, "type": self._term}
        head = {"version": 3, "term": size, "timestamp": begun_ns // 1_000_000_000, "title": self._header.session_id}
        preamble = self._event(None, "o", self._header.preamble.decode("utf-8", "replace"))
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + preamble

    def _text(self, created_ns: int, data: bytes) -> bytes:
        return self._event(created_ns, "o", self._decoder.text(data))

    def _event(self, created_ns: int | None, code: str, text: str) -> bytes:
        """A line; none for no text. The clock may have been set back: then no time has passed."""
        if not text:
            return b""
        moment = self._moment if created_ns is None else max(self._moment, created_ns // _MICROSECOND)
        interval, self._moment = (moment - self._moment) / _SECOND, moment
        return json.dumps([interval, code, text], separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
