"""A viewer attached by WebSocket (RFC 6455): raw bytes, or `codesessions.v1`.

A viewer is a position in the transcript. A slow one lags behind and costs nothing; its socket's buffers are kept small,
so that what it sees is never far from what is. Its ticket is looked at once, when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from codesessions_sidecar.journal import QueueFullError
from codesessions_sidecar.log import log
from codesessions_sidecar.spool import Chunk
from codesessions_sidecar.terminal import EndedError, Terminal
from codesessions_sidecar.tickets import WRITE, Ticket
from codesessions_sidecar.utf8 import decode, is_text

OURS = Subprotocol("codesessions.v1")
MAX_MESSAGE = 1 << 20
REPLAY_BYTES = 64 << 10
"""How much of the transcript a viewer gets that does not say where it left off."""
PING_SECONDS = 20.0
SILENCE_SECONDS = 60.0
FAREWELL_SECONDS = 2.0
"""How long the other side may take to answer a close frame."""


def _choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return OURS if OURS in offered else None


class Viewer:
    """One WebSocket connection."""

    def __init__(
        self,
        terminal: Terminal,
        session_id: str,
        ticket: Ticket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        after: int | None,
    ) -> None:
        self._terminal, self._session_id, self._ticket = terminal, session_id, ticket
        self._reader, self._writer = reader, writer
        self._after = after
        self._protocol = ServerProtocol(select_subprotocol=_choose, max_size=MAX_MESSAGE)
        self._message: list[bytes] = []
        self._kind = Opcode.BINARY
        self._typing = False
        self._closing = asyncio.Event()
        self._heard = asyncio.get_running_loop().time()

    # -- life

    async def run(self, head: bytes) -> None:
        """Shake hands, then serve until one side closes."""
        if not await self._handshake(head):
            return
        self._terminal.viewers += 1
        log(
            "attach",
            user=self._ticket.user,
            dialect=self._protocol.subprotocol or "raw",
            viewers=self._terminal.viewers,
        )
        hearing = asyncio.create_task(self._hear())
        others = [self._send_output(), self._ping(), self._closing.wait()]
        tasks: list[asyncio.Task[Any]] = [hearing, *map(asyncio.create_task, others)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._protocol.close_sent is not None:  # to hang up on unread data would take the close frame back
                await asyncio.wait([hearing], timeout=FAREWELL_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._terminal.viewers -= 1
            log("detach", user=self._ticket.user, viewers=self._terminal.viewers)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, OSError):
                    log("attach-failed", error=repr(result))

    async def _handshake(self, head: bytes) -> bool:
        self._protocol.receive_data(head)
        requests = [event for event in self._protocol.events_received() if isinstance(event, Handshake)]
        with contextlib.suppress(InvalidHandshake):
            for request in requests:
                self._protocol.send_response(self._protocol.accept(request))
        await self._flush()
        return bool(self._protocol.state is OPEN)

    async def _flush(self) -> None:
        """Send what is to be sent, and wait while the other side does not take it."""
        if self._write():
            await self._writer.drain()

    def _write(self) -> bool:
        wrote = False
        for data in self._protocol.data_to_send():
            wrote = True
            if data:
                self._writer.write(data)
            elif not self._writer.transport.is_closing():
                self._writer.write_eof()  # the protocol's word for: this side has said all
        return wrote

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._closing.set()
            with contextlib.suppress(OSError):
                await self._flush()

    # -- out

    async def _send_output(self) -> None:
        after = await self._begin()
        while self._protocol.state is OPEN:
            page = self._terminal.page(after, 65536)
            if page.truncated:
                after = page.oldest_seq - 1
                if self._protocol.subprotocol == OURS:
                    await self._tell({"type": "truncated", "oldestSeq": page.oldest_seq})
            if page.chunks:
                after = page.chunks[-1].seq
                await self._show(page.chunks)
            elif page.exit is not None:
                if self._protocol.subprotocol == OURS:
                    await self._tell({"type": "exit", **page.exit.document()})
                await self.close(CloseCode.NORMAL_CLOSURE, str(page.exit))
            else:
                await self._terminal.changed()

    async def _begin(self) -> int:
        spool = self._terminal.spool
        oldest, after = spool.oldest_seq, self._after
        if after is None:
            after, kept = spool.last_seq, 0
            while after >= oldest and kept < REPLAY_BYTES:
                kept += spool.length(after)
                after -= 1
        if self._protocol.subprotocol == OURS:
            rows, columns = self._terminal.size
            hello = {
                "type": "hello",
                "sessionId": self._session_id,
                "lastSeq": spool.last_seq,
                "oldestSeq": oldest,
                "truncated": after + 1 < oldest,
                "rows": rows,
                "cols": columns,
            }
            await self._tell(hello)
        return max(after, oldest - 1)

    async def _show(self, chunks: list[Chunk]) -> None:
        if self._protocol.subprotocol == OURS:
            for chunk in chunks:
                await self._tell({"type": "output", "seq": chunk.seq, "text": decode(chunk.data)})
        elif self._protocol.state is OPEN:
            self._protocol.send_binary(b"".join(chunk.data for chunk in chunks))
            await self._flush()

    async def _tell(self, message: dict[str, Any]) -> None:
        if self._protocol.state is OPEN:
            self._protocol.send_text(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode())
            await self._flush()

    async def _ping(self) -> None:
        """Find out about a peer that is gone. One that is only slow is left alone: TCP knows that it is there."""
        loop = asyncio.get_running_loop()
        while self._protocol.state is OPEN:
            await asyncio.sleep(PING_SECONDS)
            if self._typing or self._writer.transport.get_write_buffer_size():
                self._heard = loop.time()
            elif loop.time() - self._heard > SILENCE_SECONDS:
                self._writer.transport.abort()
                return
            elif self._protocol.state is OPEN:
                self._protocol.send_ping(b"")
                self._write()

    # -- in

    async def _hear(self) -> None:
        while data := await self._reader.read(65536):
            self._heard = asyncio.get_running_loop().time()
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and self._protocol.state is OPEN:
                    await self._take(event)
            await self._flush()  # pongs and the like; typing must not wait for a screen that is behind
            if self._protocol.close_rcvd is not None:
                return
            if self._protocol.state is not OPEN:
                self._closing.set()
        self._protocol.receive_eof()

    async def _take(self, frame: Frame) -> None:
        """Put a message together (its size is bounded by the protocol), and do what it says."""
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._kind = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return
        self._message.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._message = b"".join(self._message), []
        if self._kind is Opcode.TEXT and not is_text(message):
            await self.close(CloseCode.INVALID_DATA, "a text message must be UTF-8")
        elif self._protocol.subprotocol != OURS:
            await self._type(message)
        elif self._kind is Opcode.TEXT:
            await self._obey(message)
        else:
            await self.close(CloseCode.UNSUPPORTED_DATA, "codesessions.v1 has text messages only")

    async def _obey(self, message: bytes) -> None:
        try:
            order = json.loads(message)
            kind = order["type"]
            if kind == "input":
                seq = order.get("inputSeq")
                if seq is not None and not (type(seq) is int and 1 <= seq < 1 << 63):
                    raise ValueError("inputSeq")  # noqa: TRY301
                await self._type(order["text"].encode(), seq)
            elif kind == "resize":
                rows, columns = order["rows"], order["cols"]
                if not all(type(value) is int and 1 <= value <= 10_000 for value in (rows, columns)):
                    raise ValueError("rows, cols")  # noqa: TRY301
                if await self._may_write():
                    self._terminal.resize(rows, columns)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            await self.close(CloseCode.POLICY_VIOLATION, "not a message of codesessions.v1")

    async def _may_write(self) -> bool:
        if WRITE in self._ticket.scope:
            return True
        if self._protocol.subprotocol == OURS:
            await self._tell({"type": "error", "code": "missing_scope"})
        return False

    async def _type(self, data: bytes, seq: int | None = None) -> None:
        """Type; while the queue is full, read no more of this viewer, so that TCP holds it back."""
        if not await self._may_write():
            return
        self._typing = True
        try:
            while True:
                try:
                    self._terminal.type(data, seq)
                except QueueFullError:
                    await self._terminal.changed()
                else:
                    return
        except EndedError:
            return
        finally:
            self._typing = False
