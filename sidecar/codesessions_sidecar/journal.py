"""Input on its way to the shell: a crash-safe queue, so that what was accepted is typed once, whoever dies in between.

The bytes lie in a ring; a commit is one store that switches between two slots of (end, last inputSeq, its length). The
launcher counts what it was given, so that after a crash the queue goes on at that very byte. What was accepted in one
pod is never typed in the next.
"""

from __future__ import annotations

from pathlib import Path

from codesessions_sidecar.log import log
from codesessions_sidecar.ring import RingFile

_MAGIC = 0x3230_5450_4E49_5343  # "CSINPT02"
_EPOCH, _BASE, _GIVEN, _FLOOR, _INSTANCE, _SLOT, _SLOTS = 1, 2, 3, 4, 5, 6, 8
_MASK = (1 << 64) - 1
CAPACITY = 1 << 20
"""Bytes that may wait, at most."""


class QueueFullError(Exception):
    """There is no room for all of it, so none of it was taken."""


class Journal:
    """The input queue of a session. `instance` names the pod. Raises OSError."""

    def __init__(self, folder: Path, instance: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "input"
        if not RingFile.is_there(path, _MAGIC, CAPACITY):
            if path.exists():
                log("input-journal-started-over", reason="the file is not sound")
            RingFile.make(path, _MAGIC, CAPACITY)
        self._ring = RingFile(path, CAPACITY)
        numbers = self._ring.numbers
        if not (numbers[_SLOT] <= 1 and self.end <= _MASK >> 1 and 0 <= self.waiting <= CAPACITY):
            log("input-journal-started-over", reason="its numbers do not fit together")
            self._ring.close()
            RingFile.make(path, _MAGIC, CAPACITY)
            self._ring = RingFile(path, CAPACITY)
            numbers = self._ring.numbers
        if numbers[_INSTANCE] != instance:
            numbers[_FLOOR] = self.end
            numbers[_INSTANCE] = instance

    def _slot(self) -> int:
        return _SLOTS + 3 * self._ring.numbers[_SLOT]

    @property
    def end(self) -> int:
        """Bytes ever accepted."""
        return self._ring.numbers[self._slot()]

    @property
    def last_seq(self) -> int:
        """The highest inputSeq accepted; 0 if none."""
        return self._ring.numbers[self._slot() + 1]

    @property
    def waiting(self) -> int:
        """Bytes accepted and not yet given to the launcher."""
        return self.end - self._ring.numbers[_GIVEN]

    def typed_before(self, seq: int | None, length: int) -> int | None:
        """What was answered to this inputSeq: its bytes, `length` if a later one has come since; None: it is new."""
        if seq is None or seq > self.last_seq:
            return None
        return self._ring.numbers[self._slot() + 2] if seq == self.last_seq else length

    def accept(self, data: bytes, seq: int | None = None) -> int:
        """Take input, unless `seq` is not beyond the last one; returns its bytes. Raises QueueFullError."""
        before = self.typed_before(seq, len(data))
        if before is not None:
            return before
        if self.waiting + len(data) > CAPACITY:
            raise QueueFullError
        numbers, end, place = self._ring.numbers, self.end, self._slot()
        self._ring.write(end, data)
        other = 1 - numbers[_SLOT]
        fresh = _SLOTS + 3 * other
        numbers[fresh] = end + len(data)
        numbers[fresh + 1] = numbers[place + 1] if seq is None else seq
        numbers[fresh + 2] = numbers[place + 2] if seq is None else len(data)
        numbers[_SLOT] = other
        return len(data)

    def adopt(self, epoch: int, given: int) -> None:
        """Line up with a launcher that says how many bytes it was ever given; `epoch` is its random name."""
        numbers = self._ring.numbers
        if numbers[_EPOCH] != epoch:  # a new shell: nothing of an earlier pod is for it
            start = max(numbers[_GIVEN], numbers[_FLOOR])
            numbers[_GIVEN] = start
            numbers[_BASE] = (start - given) & _MASK
            numbers[_EPOCH] = epoch
            return
        position = (numbers[_BASE] + given) & _MASK
        if not numbers[_GIVEN] <= position <= self.end:
            log("input-gap", detail="the launcher's count does not fit the journal; what waited is dropped")
            position = self.end
            numbers[_BASE] = (position - given) & _MASK
        numbers[_GIVEN] = position

    def peek(self, most: int = 65536) -> bytes:
        """The next bytes to give."""
        return self._ring.read(self._ring.numbers[_GIVEN], min(most, self.waiting))

    def gave(self, count: int) -> None:
        """So many of them were given."""
        self._ring.numbers[_GIVEN] += count

    def close(self) -> None:
        """Release the file."""
        self._ring.close()
