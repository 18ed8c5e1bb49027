"""A viewer: a WebSocket, a dialect, a place in the transcript (`output`), and somebody who may type.

Its ticket is looked at once, when it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from codesessions_sidecar.dialects import choose
from codesessions_sidecar.dialects.base import (
    Ack,
    Dialect,
    EndOfInput,
    Hold,
    Message,
    Order,
    Ping,
    RefusedError,
    Resize,
    Start,
    Type,
)
from codesessions_sidecar.journal import QueueFullError
from codesessions_sidecar.log import log
from codesessions_sidecar.options import Visitor
from codesessions_sidecar.output import Output
from codesessions_sidecar.terminal import EndedError, Terminal
from codesessions_sidecar.tickets import WRITE
from codesessions_sidecar.viewers import Seat
from codesessions_sidecar.websocket import AHEAD, WebSocket

PING_SECONDS = 25.0
SILENCE_SECONDS = 60.0
"""A viewer that says nothing for so long, not even pong, is gone."""
DEAD_SECONDS = 180.0
"""A host that acknowledges nothing for so long is gone; a full window is probed every 120 s at least (tcp(7))."""
FAREWELL_SECONDS = 2.0
"""How long the other side may take to answer a close frame."""
FLUSH_KEYS = (b"\x03", b"\x1c", b"\x1a")
"""Ctrl-C, Ctrl-\\ and Ctrl-Z: a terminal drops its output queue with them (termios(3), NOFLSH), a viewer its lag."""


class Viewer:
    """One WebSocket connection to a terminal."""

    def __init__(
        self, terminal: Terminal, visitor: Visitor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._terminal, self._visitor = terminal, visitor
        self._dialect: Dialect = choose((), visitor.options.dialect)
        self._socket = WebSocket(reader, writer, self._choose)
        self._seat = Seat(self._dialect.name, visitor.writes)
        self._output = Output(terminal, visitor, self._seat, self._socket, self._dialect)
        self._blocked = self._input_ended = False
        self._why = ""

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
        self._output = Output(self._terminal, self._visitor, self._seat, self._socket, self._dialect)
        who = {
            "session": self._visitor.session_id,
            "user": self._visitor.ticket.user,
            "dialect": self._dialect.name,
            "role": "writer" if self._visitor.writes else "viewer",
            **self._visitor.trace,
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
                bytesOut=self._seat.bytes_out,
                bytesIn=self._seat.bytes_in,
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

    async def _show(self) -> None:
        ending = await self._output.show()
        if ending is not None:
            await self.close(1000, str(ending), "ended")

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
        self._socket.at_once(self._take)
        async for message in self._socket.messages():
            self._seat.bytes_in += len(message.data)
            try:
                for order in self._dialect.orders(message):
                    await self._obey(order)
            except RefusedError as error:
                await self.close(error.code, error.reason, "refused")

    def _take(self, message: Message) -> bool:
        """Do now what a message asks for, if that is to type or to acknowledge and nothing is in the way."""
        try:
            orders = self._dialect.orders(message)
        except RefusedError:
            return False
        match orders:
            case [Type() as order] if self._type_at_once(order):
                pass
            case [Ack(seq)]:
                self._output.acknowledge(seq)
            case _:
                return False
        self._seat.bytes_in += len(message.data)
        return True

    def _type_at_once(self, order: Type) -> bool:
        if self._input_ended or not self._visitor.writes or (order.seq is not None and self._socket.waiting):
            return False
        if order.data in FLUSH_KEYS:
            self._output.drop_lag()
        try:
            count = self._terminal.type(order.data, order.seq, self._visitor.options.writer)
        except (QueueFullError, EndedError):
            return False
        if order.seq is not None:
            self._socket.put(self._dialect.typed(order.seq, count))
        return True

    async def _obey(self, order: Order) -> None:
        match order:
            case Type():
                await self._type(order)
            case Resize(rows, columns):
                if await self._may_write():
                    self._terminal.viewers.resize(self._seat, (rows, columns))
            case Hold(on):
                self._output.hold(on)
            case Ack(seq):
                self._output.acknowledge(seq)
            case Start():
                self._output.started.set()
            case EndOfInput():
                self._input_ended = True
            case Ping():
                await self._socket.send(self._dialect.pong(), ahead=AHEAD)

    async def _may_write(self, seq: int | None = None) -> bool:
        if self._visitor.writes:
            return True
        code = "read_only" if WRITE in self._visitor.ticket.scope else "missing_scope"
        await self._socket.send(self._dialect.refused(code, seq), ahead=AHEAD)
        return False

    async def _type(self, order: Type) -> None:
        """Type; while the queue is full, read no more of this viewer, so that TCP holds it back."""
        if self._input_ended or not await self._may_write(order.seq):
            return
        if order.data in FLUSH_KEYS:
            self._output.drop_lag()
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
