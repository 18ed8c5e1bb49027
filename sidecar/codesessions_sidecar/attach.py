"""A viewer: a position in the transcript, a dialect, and somebody who may type.

A slow one lags behind and costs nothing; its socket's buffers are kept small, so that what it sees is never far from
what is. Its ticket is looked at once, when it comes.

Replay and live. What was printed up to the moment of attaching is replay, and goes through `_show_old`; what comes
after is live, and goes out as it is. The position is taken, and `hello` written, in one turn of the loop: nothing is
left out or shown twice between the two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesessions_sidecar.dialects import choose
from codesessions_sidecar.dialects.base import (
    Ack,
    Dialect,
    EndOfInput,
    Hold,
    Opening,
    Order,
    Ping,
    RefusedError,
    Resize,
    Start,
    Type,
)
from codesessions_sidecar.journal import QueueFullError
from codesessions_sidecar.log import log
from codesessions_sidecar.options import Options
from codesessions_sidecar.replay.show import Show
from codesessions_sidecar.spool import Chunk
from codesessions_sidecar.terminal import EndedError, Terminal
from codesessions_sidecar.tickets import WRITE, Ticket
from codesessions_sidecar.viewers import Seat
from codesessions_sidecar.websocket import AHEAD, WebSocket

REPLAY_BYTES = 64 << 10
"""How much of the transcript a viewer gets that does not say where it left off."""
MESSAGE_BYTES = 64 << 10
PING_SECONDS = 25.0
SILENCE_SECONDS = 60.0
"""A viewer that says nothing for so long, not even pong, is gone."""
DEAD_SECONDS = 180.0
"""A host that acknowledges nothing for so long is gone; a full window is probed every 120 s at least (tcp(7))."""
FAREWELL_SECONDS = 2.0
"""How long the other side may take to answer a close frame."""
FLUSH_BYTES = 64 << 10
FLUSH_KEYS = (b"\x03", b"\x1c", b"\x1a")
"""Ctrl-C, Ctrl-\\ and Ctrl-Z: a terminal drops its output queue with them (termios(3), NOFLSH), a viewer its lag."""


@dataclass(frozen=True)
class Visitor:
    """Who comes, and what for."""

    session_id: str
    ticket: Ticket
    options: Options


class Viewer:
    """One WebSocket connection to a terminal."""

    def __init__(
        self, terminal: Terminal, visitor: Visitor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._terminal, self._visitor = terminal, visitor
        self._dialect: Dialect = choose((), visitor.options.dialect)
        self._socket = WebSocket(reader, writer, self._choose)
        self._seat = Seat(self._dialect.name, self._writes)
        self._show_old: Show | None = None
        self._acked = 0
        self._drop_until: int | None = None
        self._held = self._skipped = self._blocked = False
        self._input_ended = False
        self._started = asyncio.Event()
        self._company = 0, 0
        self._size = 0, 0
        self._bytes_in = self._bytes_out = 0
        self._why = ""

    @property
    def _writes(self) -> bool:
        return WRITE in self._visitor.ticket.scope and self._visitor.options.role == "writer"

    @property
    def _window(self) -> int | None:
        return self._visitor.options.window if self._dialect.acknowledges else None

    def _choose(self, offered: Sequence[str]) -> str | None:
        options = self._visitor.options
        self._dialect = choose(offered, options.dialect, raw=options.raw)
        return self._dialect.subprotocol

    # -- life

    async def run(self, head: bytes) -> None:
        """Shake hands, then serve until one side closes."""
        if not await self._socket.handshake(head):
            return
        self._seat.dialect = self._dialect.name
        who = {
            "session": self._visitor.session_id,
            "user": self._visitor.ticket.user,
            "dialect": self._dialect.name,
            "role": "writer" if self._writes else "viewer",
        }
        begun = time.monotonic()
        viewers = self._terminal.viewers
        viewers.enter(self._seat)
        log("attach", **who, viewers=len(viewers))
        try:
            await self._serve()
        finally:
            viewers.leave(self._seat)
            if self._why not in {"client", "ended", "stopping"}:
                viewers.dropped[self._why] += 1
            log(
                "detach",
                **who,
                bytesOut=self._bytes_out,
                bytesIn=self._bytes_in,
                seconds=round(time.monotonic() - begun, 3),
                why=self._why,
                viewers=len(viewers),
            )

    async def _serve(self) -> None:
        hearing = asyncio.create_task(self._hear())
        others = [self._show(), self._watch(), self._socket.closing.wait()]
        tasks: list[asyncio.Task[Any]] = [hearing, *map(asyncio.create_task, others)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._socket.close_sent is not None:  # to hang up on unread data would take the close frame back
                await asyncio.wait([hearing], timeout=FAREWELL_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, OSError):
                    self._why = "error"
                    log("attach-failed", session=self._visitor.session_id, error=repr(result))
            self._why = self._why or ("client" if self._socket.close_received else self._broken())

    def _broken(self) -> str:
        return "lost" if self._socket.close_sent is None else "refused"

    async def close(self, code: int, reason: str, why: str = "stopping") -> None:
        """Send a close frame. `why` is for the log."""
        self._why = self._why or why
        await self._socket.close(code, reason)

    # -- out

    async def _show(self) -> None:
        if self._dialect.waits:
            await self._started.wait()
        await self._open()
        while self._socket.open:
            await self._tell_news()
            budget = 0 if self._dropping() else self._budget()
            page = self._terminal.page(self._seat.after, budget) if budget > 0 else None
            if page is None:
                await self._terminal.changed()
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
                self._why = "ended"
                await self._socket.send(self._dialect.ended(page.exit))
                await self._socket.close(1000, str(page.exit))
            else:
                await self._terminal.changed()

    async def _open(self) -> None:
        """Take the place where output begins, and say hello."""
        terminal, wanted = self._terminal, self._visitor.options.after
        spool, viewers = terminal.spool, terminal.viewers
        last, oldest = spool.last_seq, spool.oldest_seq
        if wanted is None:
            after, kept = last, 0
            while after >= oldest and kept < REPLAY_BYTES:
                kept += spool.length(after)
                after -= 1
        else:
            after = max(wanted, oldest - 1)
        self._seat.after = self._acked = after
        self._company, self._size = (len(viewers), viewers.writers), terminal.size
        opening = Opening(
            session_id=self._visitor.session_id,
            last_seq=last,
            oldest_seq=oldest,
            after=after,
            truncated=wanted is not None and wanted + 1 < oldest,
            rows=self._size[0],
            columns=self._size[1],
            writes=self._writes,
            viewers=self._company[0],
            writers=self._company[1],
            window=self._window,
            input_seq=terminal.journal.last_seq(self._visitor.options.writer),
        )
        self._count(await self._socket.send(self._dialect.opening(opening)))
        await self._begin(after, last, reset=opening.truncated)

    async def _tell_news(self) -> None:
        """Say, once, what has changed around the terminal since this was told last."""
        viewers = self._terminal.viewers
        company, size = (len(viewers), viewers.writers), self._terminal.size
        if company != self._company:
            self._company = company
            await self._socket.send(self._dialect.company(*company))
        if size != self._size:
            self._size = size
            await self._socket.send(self._dialect.size(*size))

    def _dropping(self) -> bool:
        """Pass over what is to be dropped; whether some of it is still to come."""
        if self._drop_until is None:
            return False
        spool = self._terminal.spool
        self._seat.after = max(self._seat.after, spool.newest_within(self._drop_until))
        self._acked = self._seat.after
        on_its_way = spool.head < self._drop_until and self._terminal.connected and self._terminal.exit is None
        if not on_its_way:
            self._drop_until = None
            self._skipped = True
        return on_its_way

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
        self._bytes_out += count
        self._terminal.viewers.bytes_out[self._dialect.name] += count

    async def _watch(self) -> None:
        """Find out about a peer that is gone. One that is only slow is left alone: TCP knows that it is there."""
        loop = asyncio.get_running_loop()
        while self._socket.open:
            await asyncio.sleep(PING_SECONDS)
            if self._socket.waiting and self._socket.unacknowledged_seconds() > DEAD_SECONDS:
                break
            if self._blocked or self._socket.waiting:
                self._socket.heard = loop.time()
            elif loop.time() - self._socket.heard > SILENCE_SECONDS:
                break
            else:
                self._socket.ping()
        if self._socket.open:
            self._why = "silent"
            self._socket.abort()

    # -- in

    async def _hear(self) -> None:
        async for message in self._socket.messages():
            self._bytes_in += len(message.data)
            self._terminal.viewers.bytes_in[self._dialect.name] += len(message.data)
            try:
                for order in self._dialect.orders(message):
                    await self._obey(order)
            except RefusedError as error:
                await self.close(error.code, error.reason, "refused")

    async def _obey(self, order: Order) -> None:
        match order:
            case Type():
                await self._type(order)
            case Resize(rows, columns):
                if await self._may_write():
                    self._terminal.viewers.resize(self._seat, (rows, columns))
            case Hold(on):
                self._held = on
                self._terminal.wake()
            case Ack(seq):
                self._acked = max(self._acked, min(seq, self._seat.after))
                self._terminal.wake()
            case Start():
                self._started.set()
            case EndOfInput():
                self._input_ended = True
            case Ping():
                await self._socket.send(self._dialect.pong(), ahead=AHEAD)

    async def _may_write(self, seq: int | None = None) -> bool:
        if self._writes:
            return True
        code = "read_only" if WRITE in self._visitor.ticket.scope else "missing_scope"
        await self._socket.send(self._dialect.refused(code, seq), ahead=AHEAD)
        return False

    async def _type(self, order: Type) -> None:
        """Type; while the queue is full, read no more of this viewer, so that TCP holds it back."""
        if self._input_ended or not await self._may_write(order.seq):
            return
        if order.data in FLUSH_KEYS:
            self._drop_lag()
        self._blocked = True
        try:
            while True:
                try:
                    count = self._terminal.type(order.data, order.seq, self._visitor.options.writer)
                    break
                except QueueFullError:
                    await self._terminal.changed()
        except EndedError:
            await self._socket.send(self._dialect.refused("shell_ended", order.seq), ahead=AHEAD)
            return
        finally:
            self._blocked = False
        if order.seq is not None:
            await self._socket.send(self._dialect.typed(order.seq, count), ahead=AHEAD)

    def _drop_lag(self) -> None:
        """Let go of all that was printed and this viewer was not sent, if that is much."""
        printed = self._terminal.printed
        if printed - self._terminal.spool.position(self._seat.after) > FLUSH_BYTES:
            self._drop_until = printed
            self._terminal.wake()
