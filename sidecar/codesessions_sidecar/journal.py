"""Input on its way to the shell: a crash-safe queue, so that what was accepted is typed once, whoever dies in between.

The bytes lie in a ring; a commit is one store that switches between two slots of (end, last inputSeq, its length). The
launcher counts what it was given; after a crash the queue goes on at that count.
"""

from __future__ import annotations

from pathlib import Path

from codesessions_sidecar.ring import RingFile

_MAGIC = 0x3130_5450_4E49_5343  # "CSINPT01"
_EPOCH, _BASE, _SLOT, _SLOTS = 1, 2, 3, 4
_MASK = (1 << 64) - 1
CAPACITY = 1 << 20
"""Bytes that may wait, at most."""


class QueueFullError(Exception):
    """There is no room for all of it, so none of it was taken."""


class Journal:
    """The input queue of a session."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ring = RingFile(folder / "input", _MAGIC, 2 * CAPACITY)
        self._given = self.end

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
        return self.end - self._given

    def accept(self, data: bytes, seq: int | None = None) -> bool:
        """Take input; false if `seq` is not beyond the last one, and so was taken before. Raises QueueFullError."""
        if seq is not None and seq <= self.last_seq:
            return False
        if self.waiting + len(data) > CAPACITY:
            raise QueueFullError
        numbers, end = self._ring.numbers, self.end
        self._ring.write(end, data)
        other = 1 - numbers[_SLOT]
        place = _SLOTS + 3 * other
        numbers[place] = end + len(data)
        numbers[place + 1] = self.last_seq if seq is None else seq
        numbers[_SLOT] = other
        return True

    def adopt(self, epoch: int, given: int) -> None:
        """Line up with a launcher that says how many bytes it was ever given.

        What an earlier shell was not given any more is dropped; what came since this process began is for the new one.
        """
        numbers = self._ring.numbers
        if numbers[_EPOCH] != epoch:
            numbers[_BASE] = (self._given - given) & _MASK
            numbers[_EPOCH] = epoch
        position = (numbers[_BASE] + given) & _MASK
        self._given = position if self.end - CAPACITY <= position <= self.end else self.end

    def peek(self, most: int = 65536) -> bytes:
        """The next bytes to give."""
        return self._ring.read(self._given, min(most, self.waiting))

    def gave(self, count: int) -> None:
        """So many of them were given."""
        self._given += count

    def close(self) -> None:
        """Release the file."""
        self._ring.close()
