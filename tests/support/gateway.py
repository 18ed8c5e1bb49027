"""The gateway on a real socket, in front of terminals that the tests script, frame by frame."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from codesessions_api.caches import Caches
from codesessions_api.gateway.frames import accept_key
from codesessions_api.gateway.server import Gateway
from codesessions_crds.credentials import Ticket, mint_ticket, verify_ticket, workspace_key
from codesessions_crds.names import PTY_PORT

from support.livekube import LiveKube
from support.restapi import MASTER_KEY, own_address, pods_on_loopback, until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(kind: int, payload: bytes = b"", *, masked: bool = False) -> bytes:
    """One final frame (RFC 6455, section 5.2)."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    head = bytes((0x80 | kind, short | (0x80 if masked else 0)))
    head += struct.pack(">H", size) if short == 126 else struct.pack(">Q", size) if short == 127 else b""
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Kind and payload of a frame. Raises IncompleteReadError at the end."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = await reader.readexactly(4) if second & 0x80 else b""
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload


def close_of(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame."""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


@dataclass
class Peer:
    """One end of a connection after its handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 101
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""

    async def send(self, kind: int, payload: bytes = b"", *, masked: bool = False) -> None:
        self.writer.write(frame(kind, payload, masked=masked))
        await self.writer.drain()

    async def next(self) -> tuple[int, bytes]:
        return await asyncio.wait_for(read_frame(self.reader), 60)

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame that comes next, and nothing behind it."""
        kind, payload = await self.next()
        assert kind == CLOSE, (kind, payload[:40])
        assert await asyncio.wait_for(self.reader.read(), 60) == b""
        return close_of(payload)

    async def rest(self) -> bytes:
        try:
            return await asyncio.wait_for(self.reader.read(), 60)
        except OSError:
            return b""

    def cut(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), 60)


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    return first, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


Script = Callable[[Peer], Awaitable[None]]


class Terminal:
    """Stands where the sidecar does. Each connection it accepts is put into `peers`."""

    def __init__(self) -> None:
        self.ip = own_address()
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.answer: bytes | None = None
        """What it says instead of an acceptance."""
        self.chooses: Callable[[list[str]], str | None] = lambda _: None
        self._server: asyncio.Server | None = None
        self._open: list[Peer] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.ip, PTY_PORT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        peer = Peer(reader, writer, headers=headers, path=first.split(" ")[1])
        self._open.append(peer)
        offered = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",") if word.strip()]
        chosen = self.chooses(offered)
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept_key(headers['sec-websocket-key'])}")
        if chosen is not None:
            lines.append(f"Sec-WebSocket-Protocol: {chosen}")
        writer.write(self.answer if self.answer is not None else ("\r\n".join(lines) + "\r\n\r\n").encode())
        self.peers.put_nowait(peer)

    async def next(self) -> Peer:
        return await asyncio.wait_for(self.peers.get(), 60)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for peer in self._open:
            await peer.close()


class Rig:
    """The running gateway and all it knows."""

    def __init__(self, kube: LiveKube, caches: Caches, gateway: Gateway, terminal: Terminal) -> None:
        self.kube, self.caches, self.gateway, self.terminal = kube, caches, gateway, terminal
        self.port = 0
        self.key = ""
        self._open: list[Peer] = []

    async def connect(self, data: bytes = b"") -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        peer = Peer(reader, writer)
        self._open.append(peer)
        writer.write(data)
        return peer

    async def ask(self, path: str = "/cs_abc123", key: str | None = None, **headers: str | None) -> Peer:
        """A handshake; headers replace the usual ones, `_` stands for `-`, None leaves one out."""
        sent: dict[str, str | None] = {
            "Host": "pty.test",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "X-API-Key": self.key if key is None else key or None,
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
        peer = await self.connect(("\r\n".join([f"GET {path} HTTP/1.1", *lines]) + "\r\n\r\n").encode("latin-1"))
        first, peer.headers = await asyncio.wait_for(read_head(peer.reader), 60)
        peer.status = int(first.split(" ")[1])
        if peer.status == 101:
            assert peer.headers["sec-websocket-accept"] == accept_key(str(sent["Sec-WebSocket-Key"]))
        return peer

    async def attached(self, **headers: str | None) -> tuple[Peer, Peer]:
        """A client and the terminal's end of the same splice."""
        client = await self.ask(**headers)
        assert client.status == 101
        return client, await self.terminal.next()

    async def ticket(self, *scope: str, name: str = "cs-abc123", **changes: Any) -> str:
        session = self.kube.objects["CodeSession", "demo", name]["metadata"]
        fields = {"session_id": "cs_abc123", "uid": session["uid"], "scope": scope, "expires": 2**40, "user_id": "u1"}
        return mint_ticket(workspace_key(MASTER_KEY, "demo", session["uid"]), Ticket(**{**fields, **changes}))

    def shown_ticket(self, peer: Peer) -> Ticket:
        session = self.kube.objects["CodeSession", "demo", "cs-abc123"]["metadata"]
        text = peer.headers["authorization"].removeprefix("Bearer ")
        return verify_ticket(workspace_key(MASTER_KEY, "demo", session["uid"]), text, now=0)

    async def close(self) -> None:
        for peer in self._open:
            await peer.close()


@contextlib.asynccontextmanager
async def gateway_rig(*, terminal_at: str | None = None, **options: Any) -> AsyncIterator[Rig]:
    """A gateway with organisation `demo`, a key, a session that runs, and its terminal, if that is not elsewhere."""
    kube, terminal, gateways = LiveKube(), Terminal(), list[Gateway]()
    await kube.add_organization("demo")
    key = await kube.add_key()
    await kube.add_session(ip=terminal_at or terminal.ip)
    if terminal_at is None:
        await terminal.start()
    caches = Caches(
        cast("Any", kube),
        key_changed=lambda changed: [each.key_changed(changed) for each in gateways] and None,
        session_changed=lambda changed: [each.session_changed(changed) for each in gateways] and None,
    )
    gateway = Gateway(caches, MASTER_KEY, **options)
    gateways.append(gateway)
    caches.start()
    rig = Rig(kube, caches, gateway, terminal)
    server = await gateway.serve("127.0.0.1", 0)
    rig.port, rig.key = server.sockets[0].getsockname()[1], key.text
    await until("the caches are filled", lambda: caches.synced)
    try:
        with pods_on_loopback():
            yield rig
    finally:
        server.close()
        await rig.close()
        await terminal.stop()
        await gateway.stop(5)
        await caches.stop()
