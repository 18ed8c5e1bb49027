"""A transcript as plain text.

The rule: escape sequences and control strings go (ECMA-48), and so do control characters other than tab and line feed;
CR LF is a line feed. A carriage return alone takes the cursor back to the beginning of its line, so what stood there is
replaced by what follows, up to the next line feed; a backspace takes the character before it. Nothing else of what a
screen would do is done: a program that moves the cursor about leaves all that it printed, in the order of printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from codesessions_transcript.records import End, Header, Output, Record
from codesessions_transcript.utf8 import Decoder

MEDIA_TYPE = "text/plain; charset=utf-8"
MAX_LINE = 64 << 10
"""A line that is longer is given out in parts, which no carriage return takes back."""
_SEQUENCE = re.compile(
    "\x1b(?:"
    "\\[[0-?\x00-\x17\x19\x1c-\x1f]*+[ -/]*+[@-~]"
    "|\\][^\x07\x1b\x18\x1a]*+(?:\x07|\x1b\\\\|(?=[\x18\x1a\x1b]|\\Z))"
    "|[PX^_k][^\x1b\x18\x1a]*+(?:\x1b\\\\|(?=[\x18\x1a\x1b]|\\Z))"
    "|[ -/]++[0-~]|[0-OQ-WYZ\\\\`-jl-~]"
    ")"
)
_UNFINISHED = re.compile(
    "\x1b(?:\\[[ -?\x00-\x17\x19\x1c-\x1f]*+|\\][^\x07\x1b\x18\x1a]*+|[PX^_k][^\x1b\x18\x1a]*+|[ -/]*+)\x1b?\\Z"
)
_CONTROL = re.compile("[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f]")


class PlainText:
    """Turns records into UTF-8 text."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._held = ""  # the beginning of a sequence
        self._line = ""  # the line that is being written

    def feed(self, records: Iterable[Record]) -> bytes:
        """The lines that are finished by these records."""
        return "".join(map(self._one, records)).encode()

    def _one(self, record: Record) -> str:
        match record:
            case Header():
                self._plain(record.preamble.decode("utf-8", "replace"))  # it may begin a sequence
            case Output():
                return self._lines(self._plain(self._decoder.text(record.data)))
            case End():
                rest = self._plain(self._decoder.rest())
                self._held = ""
                return self._lines(rest + "\n").removesuffix("\n") if rest or self._line else ""
            case _:
                pass
        return ""

    def _plain(self, text: str) -> str:
        text, self._held = self._held + text, ""
        start = _unfinished(text)
        if start is not None:
            text, self._held = text[:start], _short(text[start:])
        return _CONTROL.sub("", _SEQUENCE.sub("", text))

    def _lines(self, text: str) -> str:
        *whole, self._line = (self._line + text).split("\n")
        done = "".join(_line(each) + "\n" for each in whole)
        if len(self._line) > MAX_LINE:
            self._line = self._line[self._line.rfind("\r", 0, -1) + 1 :]
            if len(self._line) > MAX_LINE:
                done, self._line = done + _line(self._line), ""
        return done


def _unfinished(text: str) -> int | None:
    """Where the sequence begins that is not all there, if there is one."""
    last = text.rfind("\x1b")
    if last >= 0 and last == len(text) - 1:  # perhaps the first half of the end of a string
        before = text.rfind("\x1b", 0, last)
        return before if before >= 0 and _UNFINISHED.match(text, before) else last
    return last if last >= 0 and _UNFINISHED.match(text, last) else None


def _short(sequence: str) -> str:
    """The beginning of a sequence, as much as is needed to find its end: what is in it is dropped anyway."""
    return sequence if len(sequence) < 64 else sequence[:2] + ("\x1b" if sequence.endswith("\x1b") else "")


def _line(text: str) -> str:
    """A line as it was left."""
    if "\b" in text:
        first, *others = text.split("\b")
        left = list(first)
        for part in others:
            if left:
                left.pop()
            left += part
        text = "".join(left)
    return text.rstrip("\r").rpartition("\r")[2]
