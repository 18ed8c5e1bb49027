"""The shell's terminal as the launcher hands it over: the pty's master, and a pipe in front of it for each direction.

Why pipes. Of a terminal nobody can tell how far its last reader or writer came; of a pipe one can (pipe(7), FIONREAD).
So bytes go from the pty into a pipe by splice(2), which is one act of the kernel, and only from there to where they are
kept; what is typed goes the same way back. The launcher keeps all of it open: whoever follows a sidecar that was killed
finds in the pipes what was on its way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import sys
import termios
from collections.abc import Sequence

DESCRIPTORS = 5
_GET_NUMBER = 0x8004_5430
"""TIOCGPTN (ioctl_tty(2)), which only a master answers."""
_SIZE = struct.Struct("4H")
_PAGE = 4096
_LITTLE = 256
"""A splice of less is taken for all there was: the next poll says if there is more."""


class Pty:
    """Owns the master, the output pipe's two ends and the input pipe's two ends, of which none blocks."""

    def __init__(self, master: int, output: int, output_start: int, input_: int, input_start: int) -> None:
        self.master, self.output = master, output
        self._output_start, self._input, self._input_start = output_start, input_, input_start

    @classmethod
    def take(cls, descriptors: Sequence[int]) -> Pty | None:
        """What a launcher has handed over; None, with all of it closed, if it is anything else."""
        try:
            if len(descriptors) == DESCRIPTORS and all(map(_is_what_it_should_be, descriptors, range(DESCRIPTORS))):
                return cls(*descriptors)
        except OSError:
            pass
        for each in descriptors:
            os.close(each)
        return None

    def close(self) -> None:
        """Let go of all of it; the launcher's copies stay."""
        for each in (self.master, self.output, self._output_start, self._input, self._input_start):
            os.close(each)

    @property
    def printed(self) -> int:
        """Bytes in the output pipe."""
        return _waiting(self.output)

    @property
    def typed(self) -> int:
        """Bytes in the input pipe."""
        return _waiting(self._input)

    def pull(self, most: int) -> int:
        """Move up to `most` bytes of output into its pipe; returns the count.

        Raises BlockingIOError: there is none now; OSError (EIO): no process has the terminal open.
        """
        count = 0
        while count < most:
            try:
                moved = os.splice(self.master, self._output_start, min(_PAGE, most - count), flags=os.SPLICE_F_NONBLOCK)
            except OSError:
                if count:
                    return count
                raise
            if moved == 0:  # it was taken away (vhangup(2))
                raise OSError(errno.EIO, "hung up")
            count += moved
            if moved < _LITTLE:
                break
        return count

    def offer(self, data: bytes) -> int:
        """Put input into its pipe; returns how many bytes of it went in. Raises BlockingIOError: none."""
        return os.write(self._input_start, data)

    def push(self, most: int) -> int:
        """Type up to `most` bytes from the input pipe; returns the count.

        Raises BlockingIOError: the terminal takes none now; OSError: it takes none any more.
        """
        moved = os.splice(self._input, self.master, most, flags=os.SPLICE_F_NONBLOCK)
        if moved == 0:
            raise BlockingIOError
        return moved

    def forget(self) -> None:
        """Drop what is in the input pipe."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._input, 1 << 20)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, in characters (TIOCGWINSZ). Raises OSError."""
        rows, columns, _, _ = _SIZE.unpack(fcntl.ioctl(self.master, termios.TIOCGWINSZ, bytes(_SIZE.size)))
        return rows, columns

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, _SIZE.pack(*size, 0, 0))


def _is_what_it_should_be(descriptor: int, place: int) -> bool:
    """A pty's master comes first, pipes behind it. Raises OSError."""
    if place == 0:
        fcntl.ioctl(descriptor, _GET_NUMBER, bytes(4))
    elif not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return False
    os.set_blocking(descriptor, False)
    return True


def _waiting(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
