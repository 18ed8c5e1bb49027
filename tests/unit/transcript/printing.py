"""A shell's output put straight into a spool."""

from __future__ import annotations

import os

from codesessions_sidecar.spool import Spool


class _Pipe:
    """A pty whose output is in its pipe already."""

    def __init__(self) -> None:
        self.output, self._start = os.pipe()

    def fill(self, data: bytes) -> None:
        self._size = os.write(self._start, data)

    def pull(self, most: int) -> int:
        assert self._size <= most
        return self._size

    def close(self) -> None:
        os.close(self.output)
        os.close(self._start)


class Printer:
    """Prints chunks."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def print(self, data: bytes, *, whole: bool = True) -> None:
        """One chunk, if it is at most 64 KiB."""
        pipe = _Pipe()
        for start in range(0, len(data), 32 << 10):
            pipe.fill(data[start : start + (32 << 10)])
            self._spool.receive(pipe)  # type: ignore[arg-type]
        pipe.close()
        self._spool.cut(whole=whole)
