"""The bytes to and from one pty: output into the transcript, input out of the journal, to the shell's last byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from codesessions_sidecar.journal import Journal
from codesessions_sidecar.pty import Pty
from codesessions_sidecar.spool import MAX_READ, Chunk, Spool

_FLUSH_SECONDS = 0.25
"""How long an incomplete character waits for its rest."""
_BUSY_BYTES = 2048
_GATHER_SECONDS = 0.002
"""After a read of `_BUSY_BYTES` or more, how long it waits for the next ones, so that a flood comes in large chunks."""
_HUNG_SECONDS = 0.05
"""How long a pty that no process has open is left alone: while the shell lives, it may open /dev/tty again."""
_QUIET_SECONDS = 0.2
"""So long after the pty was found empty nothing of an ended shell is left in it: who holds it still has outlived it."""
_MOST_PENDING = 262144
"""More than a pty can hold: what comes behind it is not the ended shell's (bytes)."""


class Stream:
    """Owns the pty, which spool and journal have adopted.

    `printed` is called after output, with the chunk if it is one; `has_room` when input can be accepted
    again; `finished` once the shell has ended (`end`) and all that it printed is in the spool.
    """

    def __init__(
        self,
        pty: Pty,
        spool: Spool,
        journal: Journal,
        *,
        printed: Callable[[Chunk | None], None],
        has_room: Callable[[], None],
        finished: Callable[[], None],
    ) -> None:
        self.pty = pty
        self._spool, self._journal = spool, journal
        self._printed, self._has_room, self._finished = printed, has_room, finished
        self._ended = self._over = self._blocked = False
        self._after_end = 0
        self._loop = asyncio.get_running_loop()
        self._flush: asyncio.TimerHandle | None = None
        self._gather: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._loop.add_reader(pty.master, self._readable)
        self._cut()
        self.give()

    def end(self) -> None:
        """The shell has ended: read to the end of what it printed."""
        self._ended = True
        if self._look is not None:
            self._look.cancel()
        self._look_again()

    def take_what_is_left(self) -> None:
        """Read what is there now: the launcher is gone, and with it soon the pty."""
        with contextlib.suppress(OSError):
            while not self._over and self._after_end <= _MOST_PENDING:
                self._after_end += self._spool.receive(self.pty)
                self._cut()
        self._cut(whole=True)

    def close(self) -> None:
        """Let go of the pty; what is on its way stays with the launcher."""
        self._over = True
        self._ignore()
        for timer in (self._flush, self._gather, self._look):
            if timer is not None:
                timer.cancel()
        self.pty.close()

    def _ignore(self) -> None:
        """Do not listen to the pty: one that is hung up is always ready."""
        self._loop.remove_reader(self.pty.master)
        self._loop.remove_writer(self.pty.master)

    # -- output

    def _readable(self) -> None:
        try:
            count = self._spool.receive(self.pty)
        except BlockingIOError:
            if self._ended and self._look is None:
                self._look = self._loop.call_later(_QUIET_SECONDS, self._finish)
            return
        except OSError:
            if self._ended:
                self._finish()
            else:
                self._ignore()
                self._look = self._loop.call_later(_HUNG_SECONDS, self._look_again)
            return
        if self._ended:
            self._after_end += count
            if self._after_end > _MOST_PENDING:
                self._finish()
                return
        if count < _BUSY_BYTES or self._spool.pending >= MAX_READ * 3 // 4:
            self._cut()
        elif self._gather is None:
            self._gather = self._loop.call_later(_GATHER_SECONDS, self._cut)

    def _look_again(self) -> None:
        self._look = None
        if not self._over:
            self._loop.add_reader(self.pty.master, self._readable)
            if self._blocked:
                self._loop.add_writer(self.pty.master, self.give)
            self._readable()

    def _cut(self, *, whole: bool = False) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._gather is not None:
            self._gather.cancel()
            self._gather = None
        chunks = self._spool.cut(whole=whole)
        if self._spool.pending:
            self._flush = self._loop.call_later(_FLUSH_SECONDS, partial(self._cut, whole=True))
        if chunks:
            self._printed(self._spool.newest if chunks == 1 else None)

    def _finish(self) -> None:
        self._over = True
        self._ignore()
        self._cut(whole=True)
        self._finished()

    # -- input

    def give(self) -> None:
        """Type what waits in the journal, as much as the pty takes now and the rest when it can."""
        if self._over:
            return
        blocked, self._blocked = self._blocked, False
        try:
            self._journal.give(self.pty)
        except BlockingIOError:
            self._blocked = True
        if self._blocked and not blocked:
            self._loop.add_writer(self.pty.master, self.give)
        elif blocked:
            if not self._blocked:
                self._loop.remove_writer(self.pty.master)
            self._has_room()
