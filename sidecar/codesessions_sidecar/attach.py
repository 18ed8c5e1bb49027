"""A viewer attached by WebSocket (RFC 6455): raw bytes, or `codesessions.v1`.

A viewer is a position in the transcript. A slow one lags behind and costs nothing; its socket's buffers are kept small,
so that what it sees is never far from what is.
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
from codesessions_sidecar.utf8 import decode

OURS = Subprotocol("codesessions.v1")
MAX_MESSAGE = 1 << 20
REPLAY_BYTES = 64 << 10
"""How much of the transcript a viewer gets that does not say where it left off."""
PING_SECONDS = 20.0
SILENCE_SECONDS = 60.0


def _choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return OURS if OURS in offered else None


class Viewer:
    """One WebSocket connection."""

    def __init__(
        self,
        terminal: Terminal,
        ticket: Ticket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        after: int | None,
    ) -> None:
        self._terminal, self._ticket = terminal, ticket
        self._reader, self._writer = reader, writer
        self._after = after
        self._protocol = ServerProtocol(select_subprotocol=_choose, max_size=MAX_MESSAGE)
        self._message: list[bytes] = []
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
        tasks = [asyncio.create_task(work()) for work in (self._send_output, self._hear, self._ping)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
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
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        await self._writer.drain()

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            with contextlib.suppress(OSError):
                await self._flush()

    # -- out

    async def _send_output(self) -> None:
        after = await self._begin()
        while self._protocol.state is OPEN:
            page = self._terminal.page(after, 65536)
            if page.truncated and self._protocol.subprotocol == OURS:
                await self._tell({"type": "truncated", "oldestSeq": page.oldest_seq})
            if page.chunks:
                await self._show(page.chunks)
                after = page.chunks[-1].seq
            elif page.exit is not None:
                await self._say_farewell()
                return
            else:
                after = max(after, page.oldest_seq - 1)
                await self._terminal.changed()

    async def _begin(self) -> int:
        spool = self._terminal.spool
        after = self._after
        if after is None:
            after, kept = spool.last_seq, 0
            while after >= spool.oldest_seq and kept < REPLAY_BYTES:
                kept += spool.length(after)
                after -= 1
        if self._protocol.subprotocol == OURS:
            hello = {
                "type": "hello",
                "lastSeq": spool.last_seq,
                "oldestSeq": spool.oldest_seq,
                "truncated": after + 1 < spool.oldest_seq,
                "rows": self._terminal.rows,
                "cols": self._terminal.columns,
            }
            await self._tell(hello)
        return after

    async def _show(self, chunks: list[Chunk]) -> None:
        if self._protocol.subprotocol == OURS:
            for chunk in chunks:
                await self._tell({"type": "output", "seq": chunk.seq, "text": decode(chunk.data)})
        else:
            self._protocol.send_binary(b"".join(chunk.data for chunk in chunks))
            await self._flush()

    async def _tell(self, message: dict[str, Any]) -> None:
        self._protocol.send_text(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode())
        await self._flush()

    async def _say_farewell(self) -> None:
        ended = self._terminal.exit
        if ended is None:
            return
        if self._protocol.subprotocol == OURS:
            await self._tell({"type": "exit", "code": ended.code, "signal": ended.signal})
        reason = f"exit {ended.code}" if ended.signal is None else f"signal {ended.signal}"
        await self.close(CloseCode.NORMAL_CLOSURE, reason)

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_SECONDS)
            if loop.time() - self._heard > SILENCE_SECONDS:
                self._writer.transport.abort()
                return
            self._protocol.send_ping(b"")
            await self._flush()

    # -- in

    async def _hear(self) -> None:
        while data := await self._reader.read(65536):
            self._heard = asyncio.get_running_loop().time()
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    await self._take(event)
            await self._flush()
            if self._protocol.close_expected():
                return
        self._protocol.receive_eof()

    async def _take(self, frame: Frame) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        self._message.append(bytes(frame.data))
        if sum(map(len, self._message)) > MAX_MESSAGE:
            await self.close(CloseCode.MESSAGE_TOO_BIG, "at most 1 MiB a message")
            return
        if not frame.fin:
            return
        message, self._message = b"".join(self._message), []
        if self._protocol.subprotocol == OURS:
            await self._obey(message)
        else:
            await self._type(message)

    async def _obey(self, message: bytes) -> None:
        try:
            order = json.loads(message)
            kind = order["type"]
            if kind == "input":
                await self._type(order["text"].encode(), order.get("inputSeq"))
            elif kind == "resize" and WRITE in self._ticket.scope:
                rows, columns = order["rows"], order["cols"]
                if all(type(value) is int and 1 <= value <= 10_000 for value in (rows, columns)):
                    self._terminal.resize(rows, columns)
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.close(CloseCode.POLICY_VIOLATION, "not a message of codesessions.v1")

    async def _type(self, data: bytes, seq: int | None = None) -> None:
        """Type; while the queue is full, read no more of this viewer, so that TCP holds it back."""
        if WRITE not in self._ticket.scope:
            if self._protocol.subprotocol == OURS:
                await self._tell({"type": "error", "code": "read_only"})
            return
        while True:
            try:
                self._terminal.type(data, seq)
            except QueueFullError:
                await asyncio.sleep(0.05)
            except EndedError:
                return
            else:
                return
