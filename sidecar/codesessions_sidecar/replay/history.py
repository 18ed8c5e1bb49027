"""The state of the terminal at any place of the transcript that is kept.

Marks. What falls out of the ring sets modes that still hold, so before it does it is followed, a block at a time, and
the state behind each block is a mark. The oldest chunk that counts as kept is the one behind the oldest mark
(`floor`), so that the state there is known exactly. Marks are kept in a file, in slots written in turn, each before it
is counted. A session that prints less than the ring holds has none, and costs nothing.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from codesessions_sidecar.ring import RingFile
from codesessions_sidecar.spool import Spool

if TYPE_CHECKING:
    from codesessions_sidecar.replay.modes import Tracker

_MAGIC = 0x3130_5345_444F_4D43  # "CMODES01"
_COUNT = 1
_SLOT, _SLOTS = 16 << 10, 8
_BLOCK = 256 << 10


class Mark(NamedTuple):
    """The state behind chunk `after`."""

    after: int
    tracker: Tracker


class History:
    """Of one spool. Raises OSError."""

    def __init__(self, spool: Spool, folder: Path, size: int) -> None:
        self._spool = spool
        self._block = min(_BLOCK, size // 16)
        path = folder / "modes"
        if not RingFile.is_there(path, _MAGIC, _SLOT * _SLOTS):
            RingFile.make(path, _MAGIC, _SLOT * _SLOTS)
        self._file = RingFile(path, _SLOT * _SLOTS)
        self._marks: list[Mark] = []
        self._recent: Mark | None = None
        if self._file.numbers[_COUNT]:
            self._load()
        self._followed = self._marks[-1].after if self._marks else max(0, spool.oldest_whole - 1)
        self._due = 0, 0
        self._forget()
        self.advance()

    def advance(self) -> None:
        """Follow what will fall out of the ring soon; to be called after output, it mostly does nothing."""
        if self._spool.head < self._due[0] and self._spool.last_seq < self._due[1]:
            return
        while self._spool.falls_out_soon(self._followed, 4 * self._block):
            from codesessions_sidecar.replay.modes import Tracker  # what a session that prints little does without

            if not self._marks:
                self._note(Mark(self._followed, Tracker()))
            tracker, oldest = copy.deepcopy(self._marks[-1].tracker), self._spool.oldest_whole
            if self._followed < oldest - 1:  # it was not called in time: the best that is known
                self._followed, tracker.tail = oldest - 1, b""
            data, last = self._spool.span(self._followed, self._block)
            tracker.feed(data)
            if last == self._followed and self._marks[-1].after == last:
                break
            self._followed = last
            self._note(Mark(last, tracker))
        self._forget()
        self._due = self._spool.due(self._followed, 4 * self._block)

    def _forget(self) -> None:
        """Let go of marks before what may be overwritten until the next block."""
        if not self._marks:
            return
        while len(self._marks) > 1 and self._spool.falls_out_soon(self._marks[0].after, 2 * self._block):
            del self._marks[0]
        self._spool.floor = self._marks[0].after + 1

    def at_oldest(self) -> Tracker:
        """The state before the oldest chunk that is kept; yours to change."""
        from codesessions_sidecar.replay.modes import Tracker

        return copy.deepcopy(self._marks[0].tracker) if self._marks else Tracker()

    async def at(self, seq: int) -> Tracker:
        """The state behind chunk `seq`, which is kept or next to be; yours to change."""
        oldest = self._spool.oldest_seq
        known = [mark for mark in (*self._marks, self._recent) if mark is not None and oldest - 1 <= mark.after <= seq]
        start = max(known, key=lambda mark: mark.after, default=Mark(oldest - 1, self.at_oldest()))
        after, tracker = start.after, copy.deepcopy(start.tracker)
        while after < seq:
            if after < self._spool.oldest_whole - 1:  # overtaken: whoever asks will find out
                return self.at_oldest()
            data, after = self._spool.span(after, self._block, seq)
            tracker.feed(data)
            await asyncio.sleep(0)
        if self._recent is None or self._recent.after < after:
            self._recent = Mark(after, copy.deepcopy(tracker))
        return tracker

    def _note(self, mark: Mark) -> None:
        self._marks.append(mark)
        document = {
            "after": mark.after,
            "modes": mark.tracker.modes.document(),
            "tail": base64.b64encode(mark.tracker.tail).decode(),
        }
        text = json.dumps(document).encode()
        if len(text) < _SLOT - 4:
            count = self._file.numbers[_COUNT]
            self._file.write(count % _SLOTS * _SLOT, len(text).to_bytes(4, "big") + text)
            self._file.numbers[_COUNT] = count + 1

    def _load(self) -> None:
        """The marks of a predecessor. The slot that was next may be half written."""
        from codesessions_sidecar.replay.modes import Modes, Tracker

        count, last = self._file.numbers[_COUNT], self._spool.last_seq
        for index in range(max(0, count - _SLOTS + 1), count):
            length = int.from_bytes(self._file.read(index % _SLOTS * _SLOT, 4), "big")
            try:
                document = json.loads(self._file.read(index % _SLOTS * _SLOT + 4, min(length, _SLOT - 4)))
                tracker = Tracker(Modes.read(document["modes"]), base64.b64decode(document["tail"]))
                after = int(document["after"])
            except (ValueError, KeyError, TypeError, AttributeError):  # the machine died
                continue
            if after <= last and (not self._marks or after > self._marks[-1].after):
                self._marks.append(Mark(after, tracker))

    def close(self) -> None:
        """Release the file."""
        self._file.close()
