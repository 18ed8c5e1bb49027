"""Input on its way to the shell: a crash-safe queue, so that what was accepted is typed once, whoever dies in between.

The bytes lie in a ring. A commit is one store: of `end`, or, for input with a number, of which of two slots counts:
(end, writer, its inputSeq, its length). From the ring the bytes go into a pipe, and from there to the pty (see pty.py).
When the pipe is filled, `due` is stored: how much will have been typed when it is empty. By that, and by what is left
in the pipe, a successor goes on at the very byte. Nothing enters the pipe while anything is due. What was accepted in
one pod is never typed in the next.

Each writer counts for itself. The slot has the mark of the one who typed last; before another's takes its place it is
written to a table, which is of no account for that writer until then: a death in between changes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from codesessions_sidecar.log import log
from codesessions_sidecar.pty import Pty
from codesessions_sidecar.ring import RingFile

_MAGIC = 0x3330_5450_4E49_5343  # "CSINPT03"
_EPOCH, _DUE, _GIVEN, _FLOOR, _INSTANCE, _SLOT, _SLOTS, _TABLE = 1, 2, 3, 4, 5, 6, 8, 16
_MOST_BYTES = 1 << 63
CAPACITY = 1 << 20
"""Bytes that may wait, at most."""
_SHORT = 4096
_MOST_AT_ONCE = 65536
MAX_WRITERS = 32
"""Writers whose marks are kept; who has not typed for longest is forgotten first."""


def writer_id(name: str) -> int:
    """A writer's name as a number, never 0."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


NOBODY = writer_id("")
"""The writer of input that names none."""


class QueueFullError(Exception):
    """There is no room for all of it, so none of it was taken."""


class Journal:
    """The input queue of a session. `instance` names the pod. Raises OSError."""

    def __init__(self, folder: Path, instance: int | None = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "input"
        if not RingFile.is_there(path, _MAGIC, CAPACITY):
            if path.exists():
                log("input-journal-started-over", reason="the file is not sound")
            RingFile.make(path, _MAGIC, CAPACITY)
        self._ring = RingFile(path, CAPACITY)
        self._newest = b""
        """What was accepted last, if it is short."""
        numbers = self._ring.numbers
        if not (numbers[_SLOT] <= 1 and self.end < _MOST_BYTES and 0 <= self.waiting <= CAPACITY):
            log("input-journal-started-over", reason="its numbers do not fit together")
            self._ring.close()
            RingFile.make(path, _MAGIC, CAPACITY)
            self._ring = RingFile(path, CAPACITY)
            numbers = self._ring.numbers
        if instance is not None and numbers[_INSTANCE] != instance:
            numbers[_FLOOR] = self.end
            numbers[_INSTANCE] = instance

    def _slot(self) -> int:
        return _SLOTS + 4 * self._ring.numbers[_SLOT]

    @property
    def end(self) -> int:
        """Bytes ever accepted."""
        return self._ring.numbers[self._slot()]

    def last_seq(self, writer: int = NOBODY) -> int:
        """The highest inputSeq of this writer that was accepted; 0 if none, or if the writer is forgotten."""
        return self._mark(writer)[0]

    def _mark(self, writer: int) -> tuple[int, int]:
        """A writer's highest inputSeq, and how many bytes it had."""
        numbers, slot = self._ring.numbers, self._slot()
        place = slot if numbers[slot + 1] == writer else self._entry(writer)
        return (0, 0) if place is None else (numbers[place + 2], numbers[place + 3])

    def _entry(self, writer: int) -> int | None:
        """A writer's place in the table: (stamp, writer, inputSeq, its length)."""
        places = range(_TABLE, _TABLE + 4 * MAX_WRITERS, 4)
        return next((place for place in places if self._ring.numbers[place + 1] == writer), None)

    def _remember(self) -> None:
        """Write the slot's mark to the table. Done twice it does no harm."""
        numbers, slot = self._ring.numbers, self._slot()
        end, writer, seq, length = numbers[slot : slot + 4]
        if writer == 0:
            return
        place = self._entry(writer)
        if place is None:
            place = min(range(_TABLE, _TABLE + 4 * MAX_WRITERS, 4), key=lambda each: numbers[each])
            numbers[place + 1] = 0
        numbers[place], numbers[place + 2], numbers[place + 3] = end + 1, seq, length
        numbers[place + 1] = writer

    @property
    def waiting(self) -> int:
        """Bytes accepted and not yet typed."""
        numbers = self._ring.numbers
        return numbers[_SLOTS + 4 * numbers[_SLOT]] - numbers[_GIVEN]

    def typed_before(self, seq: int | None, length: int, writer: int = NOBODY) -> int | None:
        """What was answered to this inputSeq: its bytes, `length` if a later one has come since; None: it is new."""
        if seq is None:
            return None
        last, count = self._mark(writer)
        if seq > last:
            return None
        return count if seq == last else length

    def accept(self, data: bytes, seq: int | None = None, writer: int = NOBODY) -> int:
        """Take input, unless `seq` is not beyond the writer's last; returns its bytes. Raises QueueFullError."""
        numbers = self._ring.numbers
        slot = _SLOTS + 4 * numbers[_SLOT]
        if seq is not None:
            before = self.typed_before(seq, len(data), writer)
            if before is not None:
                return before
        end = numbers[slot]
        fresh_end = end + len(data)
        if fresh_end - numbers[_GIVEN] > CAPACITY:
            raise QueueFullError
        self._ring.write(end, data)
        self._newest = data if len(data) <= _SHORT else b""
        if seq is None:
            numbers[slot] = fresh_end
            return len(data)
        if numbers[slot + 1] != writer:
            self._remember()
        other = 1 - numbers[_SLOT]
        fresh = _SLOTS + 4 * other
        numbers[fresh], numbers[fresh + 1], numbers[fresh + 2], numbers[fresh + 3] = fresh_end, writer, seq, len(data)
        numbers[_SLOT] = other
        return len(data)

    def adopt(self, epoch: int, pty: Pty) -> None:
        """Line up with a launcher; `epoch` is the random name of its pipes."""
        numbers, left = self._ring.numbers, pty.typed
        given = numbers[_GIVEN]
        if numbers[_EPOCH] != epoch:  # a new shell: nothing of an earlier pod is for it
            given = max(given, numbers[_FLOOR])
        elif numbers[_DUE] > given:
            given = numbers[_DUE] - left
        if not numbers[_GIVEN] <= given <= given + left <= self.end:
            log("input-gap", detail="what is in the pipe does not fit the journal; what waited is dropped")
            given, left = self.end, 0
            pty.forget()
        numbers[_GIVEN] = given
        numbers[_DUE] = given + left
        numbers[_EPOCH] = epoch

    def give(self, pty: Pty) -> None:
        """Type what waits. Raises BlockingIOError: some of it waits still."""
        numbers, end = self._ring.numbers, self.end
        given = numbers[_GIVEN]
        while given < end:
            if numbers[_DUE] <= given:
                numbers[_DUE] = given + pty.offer(self._peek(end - given))
            try:
                given += pty.push(numbers[_DUE] - given)
            except BlockingIOError:
                raise
            except OSError:  # the terminal is gone, and so is who would read this
                pty.forget()
                given = numbers[_DUE]
            numbers[_GIVEN] = given

    def _peek(self, waiting: int) -> bytes:
        """The next bytes to type."""
        if waiting == len(self._newest):
            return self._newest
        read = self._ring.recent if waiting <= _SHORT else self._ring.read
        return read(self._ring.numbers[_GIVEN], min(_MOST_AT_ONCE, waiting))

    def close(self) -> None:
        """Release the file."""
        self._ring.close()
