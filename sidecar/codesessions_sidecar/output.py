"""What a viewer is shown: from its place in the transcript on, as much as it takes.

A slow viewer lags behind and costs nothing; its socket's buffers are kept small, so that what it sees is never far from
what is.

Replay and live. What was printed up to the moment of attaching is replay, and goes through `_show_old`; what comes
after is live, and goes out as it is. The position is taken, and `hello` written, in one turn of the loop: nothing is
left out or shown twice between the two.
"""

from __future__ import annotations

import asyncio

from codesessions_sidecar.dialects.base import Dialect, Opening
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.options import Visitor
from codesessions_sidecar.replay.show import Show
from codesessions_sidecar.spool import Chunk
from codesessions_sidecar.terminal import Terminal
from codesessions_sidecar.viewers import Seat
from codesessions_sidecar.websocket import WebSocket

REPLAY_BYTES = 64 << 10
"""How much of the transcript a viewer gets that does not say where it left off."""
MESSAGE_BYTES = 64 << 10
LAG_BYTES = 64 << 10
"""A lag that is not worth dropping."""


class Output:
    """The output of one viewer. `started`: set when the client has said that it is ready."""

    def __init__(self, terminal: Terminal, visitor: Visitor, seat: Seat, socket: WebSocket, dialect: Dialect) -> None:
        self._terminal, self._visitor, self._seat = terminal, visitor, seat
        self._socket, self._dialect = socket, dialect
        self._window = visitor.options.window if dialect.acknowledges else None
        self._show_old: Show | None = None
        self._parked: asyncio.Future[None] | None = None
        self._acked = 0
        self._drop_until: int | None = None
        self._held = self._skipped = self._has_all = False
        self._company = 0, 0
        self._size = 0, 0
        self.started = asyncio.Event()

    # -- what the client asks for

    def hold(self, on: bool) -> None:
        """Send nothing until told otherwise."""
        self._held = on
        self._terminal.wake()

    def acknowledge(self, seq: int) -> None:
        """The client has dealt with output up to this chunk."""
        self._acked = max(self._acked, min(seq, self._seat.after))
        self._terminal.wake()

    def drop_lag(self) -> None:
        """Let go of all that was printed and this viewer was not sent, if that is much."""
        printed = self._terminal.spool.head
        if printed - self._terminal.spool.position(self._seat.after) > LAG_BYTES:
            self._drop_until = printed
            self._terminal.wake()

    # -- sending

    async def show(self) -> Exit | None:
        """Send output until the connection closes; how the shell ended, once all of it was sent."""
        if self._dialect.waits:
            await self.started.wait()
        await self._open()
        self._terminal.on_output.append(self._on_output)
        self._terminal.on_change.append(self._wake)
        try:
            return await self._go_on()
        finally:
            self._terminal.on_output.remove(self._on_output)
            self._terminal.on_change.remove(self._wake)

    async def _go_on(self) -> Exit | None:
        while self._socket.open:
            await self._tell_news()
            self._drop()
            budget = self._budget()
            page = self._terminal.page(self._seat.after, budget) if budget > 0 else None
            if page is None:
                await self._park(has_all=False)
            elif page.truncated or self._skipped:
                self._skipped = False
                self._seat.after = max(self._seat.after, page.oldest_seq - 1)
                self._acked = max(self._acked, self._seat.after)
                self._terminal.viewers.truncated[self._dialect.name] += 1
                self._count(await self._socket.send(self._dialect.truncated(self._seat.after + 1)))
                await self._begin(self._seat.after, self._terminal.spool.last_seq, reset=True)
            elif page.chunks:
                await self._send(page.chunks)
            elif page.exit is not None:
                await self._socket.send(self._dialect.ended(page.exit))
                return page.exit
            else:
                await self._park(has_all=self._show_old is None)
        return None

    async def _park(self, *, has_all: bool) -> None:
        """Wait until there is something to do. `has_all`: the viewer has all there is, and all to come is for it."""
        self._parked, self._has_all = asyncio.get_running_loop().create_future(), has_all
        try:
            await self._parked
        finally:
            self._parked = None

    def _wake(self) -> None:
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    def _on_output(self, chunk: Chunk | None) -> None:
        """Send a chunk in the turn of the loop in which it came, if there is nothing else to do."""
        if self._parked is None or self._parked.done():
            return
        if (
            self._has_all
            and chunk is not None
            and chunk.seq == self._seat.after + 1
            and not self._socket.waiting
            and (self._window is None or len(chunk.data) <= self._budget())
        ):
            self._seat.after = chunk.seq
            self._count(self._socket.put(self._dialect.output((chunk,))))
        else:
            self._parked.set_result(None)

    async def _open(self) -> None:
        """Take the place where output begins, and say hello."""
        terminal, wanted = self._terminal, self._visitor.options.after
        spool = terminal.spool
        last, oldest = spool.last_seq, spool.oldest_seq
        if wanted is None:
            after, kept = last, 0
            while after >= oldest and kept < REPLAY_BYTES:
                kept += spool.length(after)
                after -= 1
        else:
            after = max(wanted, oldest - 1)
        self._seat.after = self._acked = after
        self._company, self._size = terminal.viewers.company, terminal.size
        opening = Opening(
            session_id=self._visitor.session_id,
            last_seq=last,
            oldest_seq=oldest,
            after=after,
            truncated=wanted is not None and wanted + 1 < oldest,
            rows=self._size[0],
            columns=self._size[1],
            writes=self._visitor.writes,
            viewers=self._company[0],
            writers=self._company[1],
            window=self._window,
            input_seq=terminal.journal.last_seq(self._visitor.options.writer),
        )
        self._count(await self._socket.send(self._dialect.opening(opening)))
        await self._begin(after, last, reset=opening.truncated)

    async def _tell_news(self) -> None:
        """Say, once, what has changed around the terminal since this was told last."""
        company, size = self._terminal.viewers.company, self._terminal.size
        if company != self._company:
            self._company = company
            await self._socket.send(self._dialect.company(*company))
        if size != self._size:
            self._size = size
            await self._socket.send(self._dialect.size(*size))

    def _drop(self) -> None:
        """Pass over what is to be dropped."""
        if self._drop_until is not None:
            self._seat.after = self._acked = max(self._seat.after, self._terminal.spool.newest_within(self._drop_until))
            self._drop_until, self._skipped = None, True

    def _budget(self) -> int:
        """Bytes of output that may be sent now."""
        if self._held:
            return 0
        if self._window is None:
            return MESSAGE_BYTES
        return min(MESSAGE_BYTES, self._window - self._terminal.spool.distance(self._acked, self._seat.after))

    async def _begin(self, after: int, live_after: int, *, reset: bool) -> None:
        """Output goes on behind chunk `after`; up to `live_after` it is old. `reset`: the screen is in any state."""
        how = self._visitor.options.replay or ("screen" if self._visitor.options.after is None else "resume")
        if how == "raw":
            return
        self._show_old = show = Show(live_after)
        state = await self._terminal.history.at(after)
        before = show.resumed(state) if how == "resume" and not reset else show.on_screen(state, reset=reset)
        if after >= live_after:
            before += show.end()
        if before:
            self._count(await self._socket.send(self._dialect.screen(before)))

    async def _send(self, chunks: list[Chunk]) -> None:
        self._seat.after = chunks[-1].seq
        if self._show_old is not None:
            if not self._show_old.over:
                chunks = self._show_old.chunks(chunks)
            if self._show_old.over:
                self._show_old = None
        self._count(await self._socket.send(self._dialect.output(chunks)))

    def _count(self, count: int) -> None:
        self._seat.bytes_out += count
