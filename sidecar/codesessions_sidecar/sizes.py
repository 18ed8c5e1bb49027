"""The terminal's sizes, each with its place in the transcript: what a recording needs besides the output.

A ring of records behind one number, like the transcript itself: a record is stored before it is counted, so a kill at
any instruction leaves whole records only. The oldest are forgotten; the oldest that is known counts for all before.
"""

from __future__ import annotations

import itertools
import struct
import time
from pathlib import Path
from typing import NamedTuple

from codesessions_sidecar.ring import RingFile

_MAGIC = 0x3130_5345_5A49_5343  # "CSIZES01"
_COUNT = 1
_RECORD = struct.Struct("<QQII")
_RECORDS = 4096
_BYTES = _RECORDS * _RECORD.size


class Size(NamedTuple):
    """The size from behind chunk `after` on. `created_ns` is Unix time in nanoseconds."""

    after: int
    created_ns: int
    rows: int
    columns: int


class Sizes:
    """Every change of size of a session, as long as it is kept. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        path = folder / "sizes"
        if not RingFile.is_there(path, _MAGIC, _BYTES):
            RingFile.make(path, _MAGIC, _BYTES)
        self._file = RingFile(path, _BYTES)
        if not self._is_sound():
            self._file.numbers[_COUNT] = 0

    def _is_sound(self) -> bool:
        """Whether this can be what was stored; after the death of the machine it may not be."""
        found = self.all()
        ordered = all(one.after <= two.after for one, two in itertools.pairwise(found))
        return ordered and all(0 < size.rows < 1 << 16 and 0 < size.columns < 1 << 16 for size in found)

    def note(self, after: int, rows: int, columns: int) -> None:
        """Remember a size from here on, if it is another one. `after` never becomes less."""
        count = self._file.numbers[_COUNT]
        if count:
            last = self._read(count - 1)
            if (last.rows, last.columns) == (rows, columns):
                return
            after = max(after, last.after)
        self._file.write(count % _RECORDS * _RECORD.size, _RECORD.pack(after, time.time_ns(), rows, columns))
        self._file.numbers[_COUNT] = count + 1

    def _read(self, index: int) -> Size:
        return Size(*_RECORD.unpack(self._file.read(index % _RECORDS * _RECORD.size, _RECORD.size)))

    def all(self) -> list[Size]:
        """What is known, oldest first. One record is left out: the next `note` may be half there."""
        count = self._file.numbers[_COUNT]
        return [self._read(index) for index in range(max(0, count - _RECORDS + 1), count)]

    def close(self) -> None:
        """Release the file."""
        self._file.close()
