"""A file of fixed size, mapped into memory: numbers in front, a ring of bytes behind.

Stores go to the page cache at once, so they survive the death of the process at any instruction (mmap(2), MAP_SHARED).
A number is stored by one aligned 8-byte write, which is seen whole or not at all.
"""

from __future__ import annotations

import mmap
import os
import socket
from pathlib import Path

PAGE = 4096
NUMBERS = 64
_WINDOW = 1 << 20


class RingFile:
    """`numbers` (unsigned 64-bit) and a ring of `size` bytes addressed by ever-growing offsets."""

    def __init__(self, path: Path, magic: int, size: int) -> None:
        """Open or make the file; one with another magic number or size is set aside as `<name>.bad`."""
        self.fresh = True
        total = PAGE + size
        if path.exists():
            with path.open("rb") as file:
                known = int.from_bytes(file.read(8), "little")
            if known == magic and path.stat().st_size == total:
                self.fresh = False
            else:
                path.rename(path.with_name(path.name + ".bad"))
        self.size = size
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self.fresh:
            os.posix_fallocate(self._fd, 0, total)  # a full disk must fail here, not as SIGBUS in a store
        self._map = mmap.mmap(self._fd, total)
        self._view = memoryview(self._map)
        self.numbers = self._view[: NUMBERS * 8].cast("Q")
        self._ring = self._view[PAGE:]
        self._cooled = 0
        if self.fresh:
            self.numbers[0] = magic

    def room(self, offset: int, wanted: int) -> memoryview:
        """Memory at `offset`, up to `wanted` bytes or the ring's end."""
        start = offset % self.size
        return self._ring[start : min(start + wanted, self.size)]

    def receive(self, source: socket.socket, offset: int, wanted: int) -> int:
        """Receive from a socket straight into the ring at `offset`; returns the count (recv(2))."""
        return source.recv_into(self.room(offset, wanted))

    def write(self, offset: int, data: bytes) -> None:
        """Copy bytes into the ring."""
        while data:
            room = self.room(offset, len(data))
            room[:] = data[: len(room)]
            offset += len(room)
            data = data[len(room) :]

    def read(self, offset: int, length: int) -> bytes:
        """Copy bytes out of the ring, by the file, so that reading maps no pages."""
        start = offset % self.size
        first = os.pread(self._fd, min(length, self.size - start), PAGE + start)
        return first if len(first) == length else first + os.pread(self._fd, length - len(first), PAGE)

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
