"""A real pty with a pipe for each direction, as a launcher hands it over; the shell's side is the test's."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import tty
from collections.abc import Iterator
from copy import copy
from typing import Self

from codesessions_sidecar.pty import Pty

DEADLINE = 60.0


class Line:
    """`epoch`: the launcher's name for it. Nothing of it blocks."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.master, shell = os.openpty()
        tty.setraw(shell)
        termios.tcsetwinsize(shell, (24, 80))
        self._path = os.ttyname(shell)
        self.shell: int | None = shell
        self.pipes = [*os.pipe2(os.O_CLOEXEC), *os.pipe2(os.O_CLOEXEC)]
        for each in (self.master, shell, *self.pipes):
            os.set_blocking(each, False)
        self._pty: Pty | None = None

    @property
    def pty(self) -> Pty:
        """Copies, as a sidecar has them."""
        if self._pty is None:
            self._pty = Pty.take([os.dup(each) for each in self.descriptors])
            assert self._pty is not None
        return self._pty

    @property
    def descriptors(self) -> list[int]:
        return [self.master, *self.pipes]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return termios.tcgetwinsize(self.master)

    def copy(self) -> Self:
        """Another holder of the same."""
        made = copy(self)
        made._pty = None
        made.master, made.pipes = os.dup(self.master), [os.dup(each) for each in self.pipes]
        made.shell = None if self.shell is None else os.dup(self.shell)
        return made

    def write(self, data: bytes) -> int:
        """Print what fits; returns the count."""
        assert self.shell is not None
        with contextlib.suppress(BlockingIOError):
            return os.write(self.shell, data)
        return 0

    def print(self, data: bytes) -> int:
        """As `write`, but waits until some of it can be read: for when nobody else reads."""
        count = self.write(data)
        assert not count or select.select([self.master], [], [], DEADLINE)[0]
        return count

    def typed(self) -> bytes:
        """What has come in since the last call."""
        assert self.shell is not None
        data = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.shell, 65536):
                data += piece
        return data

    def hang_up(self) -> None:
        """The last process of the session lets go of its terminal."""
        if self.shell is not None:
            os.close(self.shell)
            self.shell = None

    def open_again(self) -> None:
        """As by /dev/tty."""
        self.shell = os.open(self._path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.shell)
        os.set_blocking(self.shell, False)

    def close(self) -> None:
        self.hang_up()
        if self._pty is not None:
            self._pty.close()
        for each in self.descriptors:
            os.close(each)


@contextlib.contextmanager
def line(epoch: int = 1) -> Iterator[Line]:
    """One for the time of a test."""
    made = Line(epoch)
    try:
        yield made
    finally:
        made.close()
