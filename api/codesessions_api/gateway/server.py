"""Connections: handshake, check, splice.

A refusal is an HTTP problem for a program, and for a browser (it sends Origin, and cannot read a status) a WebSocket
that closes at once with a code. A session that does not run, or cannot be reached, closes with a code for everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import InvalidTicketError, verify_ticket, workspace_key
from codesessions_crds.names import name_of_session
from codesessions_kube.store import Object

from codesessions_api import views
from codesessions_api.auth import authenticate
from codesessions_api.caches import Caches
from codesessions_api.gateway import handshake
from codesessions_api.gateway.frames import FrameScanner, accept_key, close_frame
from codesessions_api.gateway.handshake import TICKET, Handshake
from codesessions_api.problems import MEDIA_TYPE, Problem, not_found
from codesessions_api.sidecar import address_of, ticket_for

HEAD_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MAX_CONNECTIONS = 10_000
BUFFER = 64 << 10
_CLOSE = {401: 4401, 403: 4403, 404: 4404, 409: 4409}
_log = logging.getLogger(__name__)


class Gateway:
    """Serves WebSockets until told to stop."""

    def __init__(self, caches: Caches, master_key: bytes, origins: frozenset[str]) -> None:
        self._caches, self._master_key, self._origins = caches, master_key, origins
        self.connections = 0
        self.bytes_out = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._connection, host, port, limit=handshake.MAX_HEAD, backlog=512)

    async def stop(self) -> None:
        """Close what is open with 1012, at frame boundaries, and wait for it."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._one(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except Exception:
            _log.exception("a connection failed")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = None
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                request = await handshake.read(reader)
            if request is None:
                return
            if request.path in {"/healthz", "/readyz", "/metrics"}:
                self._operations(request, writer)
                return
            self._check_upgrade(request)
            resource, scope, user = self._admit(request)
        except Problem as problem:
            self._refuse(request, problem, writer)
            await writer.drain()
            return
        self.connections += 1
        try:
            await self._relay(request, resource, scope, user, reader, writer)
        finally:
            self.connections -= 1

    def _check_upgrade(self, request: Handshake) -> None:
        """Raises Problem for what is no WebSocket, or one too many."""
        if not request.is_upgrade:
            detail = "This is a WebSocket endpoint: connect with a WebSocket client and the header X-API-Key."
            raise Problem(426, "upgrade_required", detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        if self.connections >= MAX_CONNECTIONS or self._stopping.is_set():
            raise Problem(503, "overloaded", "Try again.", headers={"Retry-After": "1"})

    # -- who, and to what

    def _admit(self, request: Handshake) -> tuple[Object, tuple[str, ...], str]:
        """The session, what may be done with it, and for whom. Raises Problem."""
        self._check_origin(request)
        session = request.path.rstrip("/").rpartition("/")[2]
        name = name_of_session(session)
        token = self._ticket_of(request)
        if token is not None:
            return self._by_ticket(session, name, token)
        caller = authenticate(request.headers.get("x-api-key"), self._caches)
        caller.require(Scope.READ)
        resource = self._caches.sessions.get(caller.namespace, name) if name else None
        if resource is None:
            raise not_found(session)
        scope = ("read", "write") if Scope.WRITE.value in caller.scopes else ("read",)
        return resource, scope, caller.user_id

    def _check_origin(self, request: Handshake) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins:
            return
        if urlsplit(origin).netloc != request.headers.get("host"):
            raise Problem(403, "origin_refused", f"Pages of {origin[:128]} may not connect here.")

    @staticmethod
    def _ticket_of(request: Handshake) -> str | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
        return next((word.removeprefix(TICKET) for word in request.protocols if word.startswith(TICKET)), None)

    def _by_ticket(self, session: str, name: str | None, token: str) -> tuple[Object, tuple[str, ...], str]:
        for resource in self._caches.sessions.items():
            metadata = resource["metadata"]
            if metadata["name"] != name:
                continue
            key = workspace_key(self._master_key, metadata["namespace"], metadata["uid"])
            with contextlib.suppress(InvalidTicketError):
                ticket = verify_ticket(key, token, now=time.time())
                if (ticket.session_id, ticket.uid) == (session, metadata["uid"]):
                    return resource, ticket.scope, ticket.user_id
        raise Problem(401, "invalid_ticket", "This ticket is not good for this session.")

    # -- refusals

    def _refuse(self, request: Handshake | None, problem: Problem, writer: asyncio.StreamWriter) -> None:
        if request is not None and request.is_upgrade and "origin" in request.headers and problem.status in _CLOSE:
            _accept_and_close(request, _CLOSE[problem.status], problem.detail, writer)
            return
        body = json.dumps(problem.document(secrets.token_hex(8))).encode()
        _write(writer, problem.status, MEDIA_TYPE, body, problem.headers)

    def _operations(self, request: Handshake, writer: asyncio.StreamWriter) -> None:
        ready = request.path != "/readyz" or (self._caches.synced and not self._stopping.is_set())
        body = b"ok\n" if ready else b"not ready\n"
        if request.path == "/metrics":
            values = {
                "codesessions_gateway_connections": self.connections,
                "codesessions_gateway_bytes_total": self.bytes_out,
            }
            body = "".join(f"{name} {value}\n" for name, value in values.items()).encode()
        _write(writer, 200 if ready else 503, "text/plain; version=0.0.4", body, {})

    # -- the splice

    async def _relay(
        self,
        request: Handshake,
        resource: Object,
        scope: tuple[str, ...],
        user: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        status, address = views.status_of(resource), address_of(resource)
        if status != "running" or address is None:
            _accept_and_close(request, 4409, f"the session is {status}", writer)
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                host, _, port = address.rpartition(":")
                up_reader, up_writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=BUFFER)
                token = ticket_for(self._master_key, resource, scope, user)
                up_writer.write(handshake.for_sidecar(request, address, token))
                head = await up_reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _accept_and_close(request, 1013, "the session's terminal cannot be reached; try again", writer)
            return
        if not head.startswith(b"HTTP/1.1 101 "):
            up_writer.close()
            _accept_and_close(request, 1013, "the session's terminal refused the connection; try again", writer)
            return
        metadata = resource["metadata"]
        fields = {"session": metadata["name"], "namespace": metadata["namespace"], "userId": user}
        _log.info("attach", extra={"fields": fields})
        writer.write(head)
        for each in (writer, up_writer):
            each.transport.set_write_buffer_limits(high=BUFFER)
        await self._splice(reader, writer, up_reader, up_writer)
        _log.info("detach", extra={"fields": fields})

    async def _splice(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        scanner = FrameScanner()

        async def up() -> None:
            while data := await reader.read(BUFFER):
                up_writer.write(data)
                await up_writer.drain()
            up_writer.write_eof()
            await asyncio.sleep(10)  # the sidecar closes its side; if it does not, this does

        async def down() -> None:
            while data := await up_reader.read(BUFFER):
                scanner.feed(data)
                self.bytes_out += len(data)
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(work) for work in (up(), down(), _wait(self._stopping))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            up_writer.close()
        if scanner.at_boundary and not scanner.closed:
            code, reason = (
                (1012, "the gateway restarts") if self._stopping.is_set() else (1013, "the terminal went away")
            )
            with contextlib.suppress(OSError):
                writer.write(close_frame(code, reason))
                await writer.drain()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _accept_and_close(request: Handshake, code: int, reason: str, writer: asyncio.StreamWriter) -> None:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(request.headers['sec-websocket-key'])}",
    ]
    offered = [word for word in request.protocols if not word.startswith(TICKET)]
    if offered:
        lines.append(f"Sec-WebSocket-Protocol: {offered[0]}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + close_frame(code, reason))


def _write(writer: asyncio.StreamWriter, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not any(name.lower() == "connection" for name in headers):
        lines.append("Connection: close")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
