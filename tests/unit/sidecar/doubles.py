"""Stand-ins for what is around the sidecar: a launcher, an HTTP client, and a place to run the server in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_sidecar.server import Server
from codesessions_sidecar.settings import Settings
from codesessions_sidecar.terminal import Terminal
from support.line import Line
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


class Launcher(Line):
    """What the sidecar sees of a launcher, and what a launcher sees of a shell."""

    def __init__(self, run_dir: Path, epoch: int = 1) -> None:
        super().__init__(epoch)
        self._socket = run_dir / "pty.sock"
        self.control: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Call; BlockingIOError while too many others do."""
        if self.control is not None:
            self.control.close()
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        self.control.connect(str(self._socket))
        return self.control

    def hello(self, **changes: Any) -> None:
        message = {
            "v": 2,
            "type": "hello",
            "epoch": self.epoch,
            "state": "running",
            "code": None,
            "signal": None,
            **changes,
        }
        assert self.control is not None
        socket.send_fds(self.control, [json.dumps(message).encode()], self.descriptors)

    def tell_exit(self, code: int) -> None:
        assert self.control is not None
        self.control.send(json.dumps({"type": "exit", "code": code, "signal": None}).encode())

    def exit(self, code: int) -> None:
        self.tell_exit(code)
        self.hang_up()

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
        if self.control is not None:
            self.control.close()
        super().close()


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

    def text(self) -> bytes:
        """All of the transcript."""
        return b"".join(chunk.data for chunk in self.terminal.spool.read(0, 1 << 20))

    async def cycles(self) -> None:
        """Give the sidecar the time to do the wrong thing."""
        for _ in range(50):
            await asyncio.sleep(0.002)

    async def typed(self, count: int) -> bytes:
        """Wait until so many bytes came in, and return them."""
        data = bytearray()

        def enough() -> bool:
            data.extend(self.launcher.typed())
            return len(data) >= count

        await eventually(f"{count} bytes are typed", enough)
        return bytes(data)

    async def print(self, data: bytes) -> None:
        """Let the shell print, and wait until all of it, but a character's beginning, is in the transcript."""
        spool = self.terminal.spool
        before, wanted = spool.last_seq, spool.head + len(data)

        def goes_on() -> bool:
            nonlocal data
            data = data[self.launcher.print(data) :] if data else b""
            return spool.head >= wanted and spool.last_seq > before and spool.pending < 4

        await eventually("it is in the transcript", goes_on)


CLIENTS: list[Client] = []


@contextlib.asynccontextmanager
async def place(folder: Path, launcher: Launcher | None = None) -> AsyncIterator[Place]:
    """A server for the time of a test; a shell comes with `shell`: of a launcher of its own, or of the one given."""
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    settings = Settings(SESSION_ID, SESSION_UID, KEY, run_dir, folder / "data", workspace, "127.0.0.1", 0, 1 << 20, 0)
    terminal = Terminal(settings.run_dir, settings.data_dir, settings.spool_bytes, SESSION_ID)
    server, launcher = Server(settings, terminal), launcher or Launcher(run_dir)
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
