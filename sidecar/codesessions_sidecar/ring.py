"""A file of fixed size, mapped into memory: numbers in front, a ring of bytes behind.

Stores go to the page cache at once, so they survive the death of the process at any instruction, in the order in which
they were made (mmap(2), MAP_SHARED). A number is stored by one aligned 8-byte write, which is seen whole or not at all.
What the page cache holds is lost if the *machine* dies before the kernel has written it back: who opens a file must
therefore check what it says.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

PAGE = 4096
NUMBERS = PAGE // 8
_WINDOW = 1 << 20


class RingFile:
    """`numbers` (unsigned 64-bit) and a ring of `size` bytes addressed by ever-growing offsets."""

    def __init__(self, path: Path, size: int) -> None:
        """Open a file that is there and sound in length (`is_there`). Raises OSError."""
        self.size = size
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._fd, PAGE + size)
        self._view = memoryview(self._map)
        self.numbers = self._view[: NUMBERS * 8].cast("Q")
        self._ring = self._view[PAGE:]
        self._cooled = 0

    @staticmethod
    def is_there(path: Path, magic: int, size: int) -> bool:
        """Whether the file has this magic number and length."""
        known = RingFile.peek(path)
        return known is not None and known[0] == magic and path.stat().st_size == PAGE + size

    @staticmethod
    def peek(path: Path) -> list[int] | None:
        """The numbers of a file, whatever state the rest is in; None if there are none."""
        try:
            with path.open("rb") as file:
                head = file.read(NUMBERS * 8)
        except FileNotFoundError:
            return None
        return list(memoryview(head).cast("Q")) if len(head) == NUMBERS * 8 else None

    @staticmethod
    def make(path: Path, magic: int, size: int, numbers: Mapping[int, int] | None = None) -> None:
        """Make a new file with some numbers set, whole or not at all; what was there becomes `<name>.bad`.

        Raises OSError, above all for a full disk: it must fail here, not as SIGBUS in a store.
        """
        fresh = path.with_name(path.name + ".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, PAGE + size)
            for place, value in {0: magic, **(numbers or {})}.items():
                os.pwrite(descriptor, value.to_bytes(8, sys.byteorder), place * 8)
        finally:
            os.close(descriptor)
        if path.exists():
            aside = path.with_name(path.name + ".bad")
            aside.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a file system without links: it is of no use anyway
                aside.hardlink_to(path)
        fresh.rename(path)

    def receive(self, pipe: int, offset: int, most: int) -> int:
        """Read from a pipe straight into the ring at `offset`; returns the count. Raises BlockingIOError."""
        start = offset % self.size
        parts = [self._ring[start : start + most]]
        if start + most > self.size:
            parts.append(self._ring[: start + most - self.size])
        return os.readv(pipe, parts)

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes into the ring, of which there are at most `size`."""
        start = offset % self.size
        room = self.size - start
        if len(data) <= room:
            self._ring[start : start + len(data)] = data
        else:
            self._ring[start:] = data[:room]
            self._ring[: len(data) - room] = data[room:]

    def pack(self, layout: struct.Struct, offset: int, *values: int) -> None:
        """Store values at `offset`, which is not so near to the ring's end that they would go around it."""
        layout.pack_into(self._ring, offset, *values)

    def unpack(self, layout: struct.Struct, offset: int) -> tuple[int, ...]:
        """Values stored at `offset` by `pack`."""
        return layout.unpack_from(self._ring, offset)

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out of the ring, by the file, so that reading maps no pages."""
        start = offset % self.size
        first = os.pread(self._fd, min(length, self.size - start), PAGE + start)
        return first if len(first) == length else first + os.pread(self._fd, length - len(first), PAGE)

    def recent(self, offset: int, length: int) -> bytes:
        """Copy bytes out of the ring that were stored a moment ago: their pages are mapped still."""
        start = offset % self.size
        first = bytes(self._ring[start : start + length])
        return first if len(first) == length else first + bytes(self._ring[: length - len(first)])

    def cool(self, offset: int) -> None:
        """Unmap pages well behind `offset`; their content stays in the page cache (madvise(2), MADV_DONTNEED)."""
        if offset - self._cooled < 2 * _WINDOW:
            return
        until = (offset - _WINDOW) // _WINDOW * _WINDOW
        for window in range(max(self._cooled, until - self.size), until, _WINDOW):
            start = window % self.size // PAGE * PAGE
            self._map.madvise(mmap.MADV_DONTNEED, PAGE + start, min(_WINDOW, self.size - start))
        self._cooled = until

    def close(self) -> None:
        """Release the mapping."""
        self.numbers.release()
        self._ring.release()
        self._view.release()
        self._map.close()
        os.close(self._fd)
