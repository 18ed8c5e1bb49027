"""The terminal as its viewers see it: numbered output that can be waited for, and input that is typed once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codesessions_sidecar.ending import Exit
from codesessions_sidecar.folders import pod_instance
from codesessions_sidecar.journal import NOBODY, Journal, QueueFullError
from codesessions_sidecar.link import Link
from codesessions_sidecar.replay.history import History
from codesessions_sidecar.spool import Chunk, Spool
from codesessions_sidecar.viewers import Viewers


class EndedError(Exception):
    """The shell has ended; nobody reads what is typed."""


@dataclass(frozen=True)
class Page:
    """Some output. `truncated`: chunks after the number asked for have fallen out of the ring."""

    chunks: list[Chunk]
    last_seq: int
    oldest_seq: int
    truncated: bool
    exit: Exit | None


class Terminal:
    """One session's terminal. Raises OSError if a folder cannot be used."""

    def __init__(
        self, run_dir: Path, data_dir: Path, spool_bytes: int, session_id: str = "", *, over: bool = False
    ) -> None:
        """`over`: the session has ended, and how its shell did is kept."""
        self.session_id = session_id
        instance = pod_instance(run_dir) if not over else None
        self.spool = Spool(data_dir, spool_bytes, instance)
        self.history = History(self.spool, data_dir, spool_bytes)
        self.journal = Journal(data_dir, instance)
        self.held = False
        """Somebody wants to take the transcript before this program leaves."""
        self.released = asyncio.Event()
        """Nobody does any more."""
        self._changed = asyncio.Event()
        self._waiting = 0
        self.on_output: list[Callable[[Chunk | None], None]] = []
        """Called with output, before who waits is woken: with the chunk, if it is one."""
        self.on_change: list[Callable[[], None]] = []
        """Called with every other change."""
        self._link = Link(run_dir, self.spool, self.journal, self._printed, self.wake)
        self.refused = 0
        """Inputs for which there was no room."""
        self.viewers = Viewers(self.resize, self.wake)

    def start(self) -> None:
        """Listen for the launcher."""
        self._link.listen()

    def close(self) -> None:
        """Let go of the launcher and the files."""
        self._link.close()
        self.wake()
        self.history.close()
        self.spool.close()
        self.journal.close()

    @property
    def exit(self) -> Exit | None:
        """How the shell ended, once all its output is kept; None while it runs."""
        return self._link.exit

    @property
    def connected(self) -> bool:
        """Whether the launcher is there."""
        return self._link.connected

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, in characters."""
        return self._link.rows, self._link.columns

    def _printed(self, chunk: Chunk | None) -> None:
        self.history.advance()
        for each in self.on_output:
            each(chunk)
        self._wake_waiting()

    def wake(self) -> None:
        """Let everyone who waits look again."""
        for each in self.on_change:
            each()
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        if self._waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    async def changed(self, seconds: float | None = None) -> bool:
        """Wait for output, room for input, or the end; false if nothing came within `seconds`."""
        event = self._changed
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def page(self, after: int, limit: int) -> Page:
        """Output after number `after`, about `limit` bytes."""
        oldest = self.spool.oldest_seq
        return Page(self.spool.read(after, limit), self.spool.last_seq, oldest, after + 1 < oldest, self.exit)

    async def wait_page(self, after: int, limit: int, seconds: float, gone: Callable[[], bool]) -> Page:
        """As `page`, but waits up to `seconds` for a chunk after `after`, or the end, or until `gone` says true."""
        deadline = time.monotonic() + seconds
        while self.spool.last_seq <= after and self.exit is None and not gone():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await self.changed(left)
        return self.page(after, limit)

    def type(self, data: bytes, seq: int | None = None, writer: int = NOBODY) -> int:
        """Queue input, which is then typed once; returns its bytes.

        Raises EndedError, or QueueFullError with nothing queued; neither for a `seq` that this writer has used.
        """
        before = self.journal.typed_before(seq, len(data), writer)
        if before is not None:
            return before
        if self._link.ended:
            raise EndedError
        try:
            count = self.journal.accept(data, seq, writer)
        except QueueFullError:
            self.refused += 1
            raise
        self._link.give()
        return count

    def resize(self, rows: int, columns: int) -> None:
        """Set the size in characters."""
        self._link.resize(rows, columns)
        self.wake()
