"""A shell's output put straight into a spool."""

from __future__ import annotations

import socket

from codesessions_sidecar.spool import Spool


class Printer:
    """Prints chunks."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def print(self, data: bytes, *, whole: bool = True) -> None:
        """One chunk, if it is at most 64 KiB."""
        mine, theirs = socket.socketpair()
        with mine, theirs:
            for start in range(0, len(data), 32 << 10):
                mine.sendall(data[start : start + (32 << 10)])
                self._spool.receive(theirs)
        self._spool.cut(whole=whole)
