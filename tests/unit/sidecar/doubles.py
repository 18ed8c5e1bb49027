"""Stand-ins for what is around the sidecar: a launcher, an HTTP client, and a place to run the server in."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_sidecar.server import Server
from codesessions_sidecar.settings import Settings
from codesessions_sidecar.terminal import Terminal
from support.sidecar import KEY, SESSION_ID, SESSION_UID, ticket
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.typing import Subprotocol
from websockets.uri import parse_uri


async def eventually(what: str, probe: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Probe between turns of the loop until something true comes; AssertionError after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (found := probe()):
        assert loop.time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.001)
    return found


class Launcher:
    """What the sidecar sees of a launcher."""

    def __init__(self, run_dir: Path, epoch: int = 1) -> None:
        self._path, self.epoch = run_dir / "pty.sock", epoch
        self.sent = self.got = 0
        self.mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.mine.setblocking(False)
        self.control: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Call; BlockingIOError while too many others do."""
        if self.control is not None:
            self.control.close()
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        self.control.connect(str(self._path))
        return self.control

    def hello(self, **changes: Any) -> None:
        unread = struct.unpack("i", fcntl.ioctl(self.theirs, termios.FIONREAD, b"\0" * 4))[0]
        queued = struct.unpack("i", fcntl.ioctl(self.mine, termios.FIONREAD, b"\0" * 4))[0]
        message = {
            "v": 1,
            "type": "hello",
            "epoch": self.epoch,
            "taken": self.sent - unread,
            "given": self.got + queued,
            "state": "running",
            "code": None,
            "signal": None,
            **changes,
        }
        assert self.control is not None
        socket.send_fds(self.control, [json.dumps(message).encode()], [self.theirs.fileno()])

    def print(self, data: bytes) -> None:
        self.sent += self.mine.send(data)

    def typed(self) -> bytes:
        """What came in since the last call."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self.mine.recv(65536):
                data += piece
        self.got += len(data)
        return data

    def exit(self, code: int) -> None:
        assert self.control is not None
        self.control.send(json.dumps({"type": "exit", "code": code, "signal": None}).encode())
        self.mine.shutdown(socket.SHUT_WR)

    def told(self) -> dict[str, Any] | None:
        """The next order of the sidecar, if there is one; {} when it has hung up."""
        assert self.control is not None
        try:
            packet = self.control.recv(4096)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            packet = b""
        found: dict[str, Any] = json.loads(packet) if packet else {}
        return found

    def close(self) -> None:
        for each in (self.control, self.mine, self.theirs):
            if each is not None:
                each.close()


Answer = tuple[int, dict[str, str], Any]
"""Status, headers, and the body: parsed if it is JSON."""


class Client:
    """One HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, method: str, target: str, body: bytes = b"", *, token: str | None = None, more: str = "") -> None:
        lines = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}"
        if token is None or token:
            lines += f"Authorization: Bearer {token or ticket()}\r\n"
        self.writer.write(lines.encode() + b"\r\n" + body)

    async def answer(self, *, with_body: bool = True) -> Answer:
        async with asyncio.timeout(60):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)) if with_body else 0)
        kind = headers.get("content-type", "")
        return int(head[0].split()[1]), headers, json.loads(body) if "json" in kind and body else body

    async def call(
        self, method: str, target: str, body: bytes = b"", **options: Any
    ) -> tuple[int, dict[str, str], Any]:
        self.send(method, target, body, **options)
        return await self.answer(with_body=method != "HEAD")

    async def at_end(self) -> bool:
        """Whether the server has hung up, with nothing more to say."""
        try:
            async with asyncio.timeout(60):
                return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True


class WebSocket:
    """One WebSocket, driven by hand."""

    def __init__(self, client: Client, query: str, subprotocol: str | None) -> None:
        self._client = client
        wanted = [Subprotocol(subprotocol)] if subprotocol else None
        self.protocol = ClientProtocol(parse_uri(f"ws://x/v1/attach{query}"), subprotocols=wanted)
        self.frames: list[Frame] = []

    async def open(self, token: str) -> None:
        request = self.protocol.connect()
        assert isinstance(request, Request)
        request.headers["Authorization"] = f"Bearer {token}"
        self.protocol.send_request(request)
        self.flush()
        while not self.protocol.handshake_exc and self.protocol.state.name == "CONNECTING":
            await self._read()

    async def _read(self) -> bool:
        async with asyncio.timeout(60):
            data = await self._client.reader.read(65536)
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        self.frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        self.flush()
        return bool(data)

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self._client.writer.write(data)
            elif not self._client.writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    self._client.writer.write_eof()

    def send(self, message: str | bytes | dict[str, Any]) -> None:
        if isinstance(message, bytes):
            self.protocol.send_binary(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self.protocol.send_text(text.encode())
        self.flush()

    def raw(self, data: bytes) -> None:
        """Bytes as they are, however wrong."""
        self._client.writer.write(data)

    async def next(self) -> Frame:
        while not self.frames:
            assert await self._read(), f"the server hung up: {self.protocol.close_exc}"
        return self.frames.pop(0)

    async def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(bytes((await self.next()).data))
        return found

    async def bytes_until(self, marker: bytes) -> bytes:
        data = b""
        while marker not in data:
            data += bytes((await self.next()).data)
        return data

    async def closed(self) -> tuple[int, str]:
        """Wait until it is closed; the code and reason."""
        while await self._read():
            pass
        close = self.protocol.close_rcvd
        return (close.code, close.reason) if close else (1006, "")


@dataclass
class Place:
    """A running server with its terminal."""

    terminal: Terminal
    server: Server
    launcher: Launcher
    port: int
    run_dir: Path
    workspace: Path

    async def client(self, *, receive_buffer: int | None = None) -> Client:
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=connection, limit=1 << 16))
        CLIENTS.append(client)
        return client

    async def websocket(
        self, query: str = "", subprotocol: str | None = None, *, token: str | None = None
    ) -> WebSocket:
        found = WebSocket(await self.client(), query, subprotocol)
        await found.open(token or ticket())
        return found

    async def shell(self) -> None:
        """Let a launcher come, and wait until it was heard."""
        self.launcher.connect()
        self.launcher.hello()
        await eventually("the launcher is heard", lambda: self.terminal.connected)

    async def typed(self, count: int) -> bytes:
        """Wait until so many bytes came in, and return them."""
        data = bytearray()

        def enough() -> bool:
            data.extend(self.launcher.typed())
            return len(data) >= count

        await eventually(f"{count} bytes are typed", enough)
        return bytes(data)

    async def print(self, data: bytes) -> None:
        """Let the shell print, and wait until it is in the transcript."""
        before = self.terminal.spool.last_seq
        self.launcher.print(data)
        await eventually("it is in the transcript", lambda: self.terminal.spool.last_seq > before)


CLIENTS: list[Client] = []


@contextlib.asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """A server for the time of a test; a shell comes with `shell`."""
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    settings = Settings(SESSION_ID, SESSION_UID, KEY, run_dir, folder / "data", workspace, "127.0.0.1", 0, 1 << 20, 0)
    terminal = Terminal(settings.run_dir, settings.data_dir, settings.spool_bytes, SESSION_ID)
    server, launcher = Server(settings, terminal), Launcher(run_dir)
    port = await server.start()
    terminal.start()
    try:
        yield Place(terminal, server, launcher, port, run_dir, workspace)
    finally:
        await server.stop(1012, "restarting")
        terminal.close()
        launcher.close()
        for client in CLIENTS:
            client.writer.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()
        CLIENTS.clear()
