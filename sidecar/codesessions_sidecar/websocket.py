"""One WebSocket connection (RFC 6455): messages in, messages out, a close, and whether the peer still lives."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from codesessions_sidecar.connection import Connection
from codesessions_sidecar.dialects.base import Message
from codesessions_sidecar.frames import frame, masked_length, only_message
from codesessions_sidecar.utf8 import is_text

MAX_MESSAGE = 1 << 20
"""Bytes of a client's message, at most."""
AHEAD = 256 << 10
"""Answers and pongs that may wait behind a screen that is slow, in bytes: typing must not wait for it."""
_LAST_ACK_RECEIVED = 56
"""Where `struct tcp_info` has tcpi_last_ack_recv, milliseconds (linux/tcp.h)."""


class WebSocket:
    """The server's side of a connection. A close, whoever it comes from, ends `messages`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        choose: Callable[[Sequence[str]], str | None],
    ) -> None:
        self._reader, self._writer = reader, writer

        def select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            chosen = choose(offered)
            return None if chosen is None else Subprotocol(chosen)

        self._protocol = ServerProtocol(select_subprotocol=select, max_size=MAX_MESSAGE)
        self._loop = asyncio.get_running_loop()
        self._partial: bytearray | None = None
        """The beginning of a message in fragments."""
        self._unparsed = 0
        """Bytes of a frame that has begun, or more."""
        self._listening = False
        """Nothing is being worked on, and what comes next begins a message."""
        self._take: Callable[[Message], bool] | None = None
        self._kind = Opcode.BINARY
        self.closing = asyncio.Event()
        """Set once this side has begun to close, by `close` or because the peer broke the protocol."""
        self.heard = self._loop.time()
        """When the peer last said anything, by the loop's clock."""

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is OPEN

    @property
    def close_sent(self) -> int | None:
        """The code of our close frame."""
        close = self._protocol.close_sent
        return None if close is None else int(close.code)

    @property
    def close_received(self) -> bool:
        """Whether the peer has sent a close frame."""
        return self._protocol.close_rcvd is not None

    async def handshake(self, head: bytes) -> bool:
        """Answer the request whose head this is; whether the connection is open now."""
        self._protocol.receive_data(head)
        requests = [event for event in self._protocol.events_received() if isinstance(event, Handshake)]
        with contextlib.suppress(InvalidHandshake):
            for request in requests:
                self._protocol.send_response(self._protocol.accept(request))
        await self._flush()
        return self.open

    # -- out

    async def send(self, messages: Sequence[Message], *, ahead: int = 0) -> int:
        """Send, and wait while the peer does not take it and more than `ahead` bytes wait; returns the bytes sent."""
        count = self.put(messages)
        if messages and self.waiting > ahead:
            await self._writer.drain()
        return count

    def put(self, messages: Iterable[Message]) -> int:
        """Send without waiting: for who has looked at `waiting`; returns the bytes sent."""
        count = 0
        if self.open:
            for message in messages:
                self._writer.transport.write(frame(message))
                count += len(message.data)
        return count

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        if self.open:
            self._protocol.send_close(code, reason)
            self.closing.set()
            with contextlib.suppress(OSError):
                await self._flush()

    def ping(self) -> None:
        """Send a ping, behind whatever is still to go out."""
        if self.open:
            self._protocol.send_ping(b"")
            self._write()

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not made room for."""
        return self._writer.transport.get_write_buffer_size()

    def unacknowledged_seconds(self) -> float:
        """How long the peer's host has not acknowledged anything, if it has something to; 0 where that is unknown."""
        connection = self._writer.get_extra_info("socket")
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECEIVED + 4)
            return int.from_bytes(info[_LAST_ACK_RECEIVED:], "little") / 1000
        except (OSError, AttributeError):
            return 0.0

    async def _flush(self, ahead: int = 0) -> None:
        if self._write() and self.waiting > ahead:
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

    # -- in

    async def messages(self) -> AsyncIterator[Message]:
        """Whole messages, until either side closes. While the consumer is busy nothing is read: TCP holds the peer."""
        while data := await self._read():
            self.heard = self._loop.time()
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._unparsed -= masked_length(len(event.data))
                if isinstance(event, Frame) and self.open:
                    message = self._assemble(event)
                    if message is None:
                        continue
                    if message.text and not is_text(message.data):
                        await self.close(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                    else:
                        yield message
            await self._flush(AHEAD)
            if self.close_received:
                return
            if not self.open:
                self.closing.set()
        self._protocol.receive_eof()

    async def _read(self) -> bytes:
        self._listening = self._unparsed == 0 and self._partial is None
        data = await self._reader.read(65536)
        self._listening = False
        self._unparsed += len(data)
        return data

    def at_once(self, take: Callable[[Message], bool]) -> None:
        """Offer a short message to `take` the moment it comes, if all before it is done with.

        Else, or if `take` does not want it, it comes by `messages`.
        """
        connection = self._writer.transport.get_protocol()
        if isinstance(connection, Connection):
            self._take = take
            connection.intake = self._intake

    def _intake(self, data: memoryview) -> bool:
        if self._listening and self._take is not None and self.open:
            message = only_message(data)
            if message is not None and (not message.text or is_text(message.data)) and self._take(message):
                self.heard = self._loop.time()
                return True
        self._listening = False  # until `messages` is done with this
        return False

    def _assemble(self, frame: Frame) -> Message | None:
        """Put a message together, whose size the protocol bounds; of its fragments' number nothing is kept."""
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._kind = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return None
        if frame.fin and self._partial is None:
            return Message(self._kind is Opcode.TEXT, bytes(frame.data))
        self._partial = bytearray() if self._partial is None else self._partial
        self._partial += frame.data
        if not frame.fin:
            return None
        data, self._partial = bytes(self._partial), None
        return Message(self._kind is Opcode.TEXT, data)
