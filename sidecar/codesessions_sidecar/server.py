"""Connections: HTTP with keep-alive, and the step from there to WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

from codesessions_sidecar import routes
from codesessions_sidecar.connection import Connection
from codesessions_sidecar.http import (
    MAX_HEAD,
    HttpError,
    Request,
    Response,
    body_length,
    json_response,
    number,
    parse_head,
    problem,
    read_body,
    read_head,
    render,
    render_part,
    tokens,
)
from codesessions_sidecar.log import log, trace_fields
from codesessions_sidecar.settings import Settings
from codesessions_sidecar.terminal import Terminal
from codesessions_sidecar.tickets import ARCHIVE, READ, Ticket, TicketError, verify

if TYPE_CHECKING:
    from codesessions_sidecar.attach import Viewer

HEAD_SECONDS = 10.0
"""How long a new connection may take for its first request's head."""
IDLE_SECONDS = 120.0
"""How long a kept connection may wait for its next request."""
BODY_SECONDS = 30.0
SEND_SECONDS = 60.0
STOP_SECONDS = 1.0
ARCHIVE_WAIT_SECONDS = 1.0
"""How long an archive waits for the one before it, which ends a moment after its last byte."""
SEND_BUFFER = 64 << 10
HIGH_WATER = 16 << 10
"""Bytes that may wait for room in the socket's buffer before the next message is made."""
MAX_CONNECTIONS = 128
MAX_BODIES = 16
"""Bodies over `MAX_HEAD` bytes that are read at a time: together with `MAX_CONNECTIONS` the bound of this memory."""
TICKET_SUBPROTOCOL = "ticket.codesessions.dev."


class Server:
    """Serves one terminal."""

    def __init__(self, settings: Settings, terminal: Terminal) -> None:
        self._settings, self._terminal = settings, terminal
        self._server: asyncio.Server | None = None
        self._viewers: set[Viewer] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._bodies = asyncio.Semaphore(MAX_BODIES)
        self._archiving = asyncio.Lock()

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError."""

        def connection() -> Connection:
            return Connection(MAX_HEAD, self._terminal.wake, self._serve)

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            connection, self._settings.host, self._settings.port, backlog=128, reuse_address=True
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self, code: int, reason: str) -> None:
        """Close every WebSocket with `code`, and every connection; a viewer that does not read cannot hold it up."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(viewer.close(code, reason) for viewer in self._viewers), return_exceptions=True)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._converse(reader, writer)
        except TimeoutError:
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:  # by stop(): this task's end is nobody's news
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # somebody who does not read
        except Exception as error:
            log("connection-failed", error=repr(error))
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _tune(writer)
        if len(self._connections) > MAX_CONNECTIONS:
            refusal = HttpError(503, "too_many_connections", "try again later", headers={"Retry-After": "1"})
            await _send(writer, render(problem(refusal), keep_alive=False))
            return
        keep, patience = True, HEAD_SECONDS
        while keep:
            try:
                async with asyncio.timeout(patience):
                    head = await read_head(reader)
                if head is None:
                    return
                request = parse_head(head)
                request.gone = lambda: getattr(reader, "gone", False)
                if request.path == "/v1/attach" and request.method == "GET":
                    await self._attach(request, reader, writer)
                    return
                if request.path == "/v1/archive" and request.method == "GET":
                    await self._archive(request, writer)
                    return
                await self._take_body(request, reader, writer)
            except HttpError as error:  # where the next request would begin is not known any more
                await _send(writer, render(problem(error), keep_alive=False))
                return
            try:
                response = await self._answer(request)
            except HttpError as error:
                response = problem(error)
            keep, patience = request.keep_alive, IDLE_SECONDS
            await _send(writer, render(response, keep_alive=keep, with_body=request.method != "HEAD"))
            if response.stream is not None and request.method != "HEAD":
                for part in filter(None, response.stream):
                    await _send(writer, render_part(part))
                await _send(writer, render_part(b""))

    async def _take_body(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = body_length(request, routes.MAX_INPUT)
        if length == 0:
            return
        self._authorize(request)  # nobody sends a body here without a ticket
        small = length is not None and length <= MAX_HEAD
        async with contextlib.nullcontext() if small else self._bodies:
            if request.headers.get("expect", "").lower() == "100-continue":
                await _send(writer, b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(BODY_SECONDS):
                request.body = await read_body(request, reader, routes.MAX_INPUT)

    async def _answer(self, request: Request) -> Response:
        handler = self._authorize(request)
        if handler is None:
            return Response(200, b"ok\n", "text/plain")
        return await handler(request, self._terminal)

    def _authorize(self, request: Request) -> routes.Handler | None:
        """The function for this request; None: it asks for nothing but a sign of life. Raises HttpError."""
        method = "GET" if request.method == "HEAD" else request.method
        if request.path == "/healthz" and method == "GET":
            return None
        route = routes.ROUTES.get((method, request.path))
        if route is None:
            allowed = sorted(each for each, path in (*routes.ROUTES, *_OTHERS) if path == request.path)
            if allowed:
                raise HttpError(405, "method_not_allowed", "not by this method", headers={"Allow": ", ".join(allowed)})
            raise HttpError(404, "not_found", "there is nothing here")
        scope, handler = route
        _require(self._ticket(_bearer(request)), scope)
        return handler

    async def _attach(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = _bearer(request)
        if not text:
            offered = (word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(","))
            text = next((word for word in offered if word.startswith(TICKET_SUBPROTOCOL)), "")
        ticket = self._ticket(text.removeprefix(TICKET_SUBPROTOCOL))
        _require(ticket, READ)
        if "websocket" not in tokens(request.headers.get("upgrade", "")):
            headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            raise HttpError(426, "upgrade_required", "this is a WebSocket", headers=headers)
        from codesessions_sidecar.attach import Viewer  # 4 MiB that a session without viewers does without
        from codesessions_sidecar.options import Visitor, read_options

        visitor = Visitor(self._settings.session_id, ticket, read_options(request), trace_fields(request.headers))
        viewer = Viewer(self._terminal, visitor, reader, writer)
        self._viewers.add(viewer)
        try:
            await viewer.run(request.raw)
        finally:
            self._viewers.discard(viewer)

    async def _archive(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """GET /v1/archive?check=1&entries=N&fileBytes=N&totalBytes=N: a zip, or (check) its size. One at a time."""
        _require(self._ticket(_bearer(request)), ARCHIVE)
        limits, check = routes.archive_limits(request), number(request, "check", 0, 1) == 1
        from codesessions_sidecar.archive.run import archive  # what a session that deploys nothing does without

        busy = HttpError(429, "archive_busy", "an archive is being made", headers={"Retry-After": "2"})
        try:
            async with asyncio.timeout(ARCHIVE_WAIT_SECONDS):
                await self._archiving.acquire()
        except TimeoutError:
            raise busy from None
        try:
            writer.transport.set_write_buffer_limits(high=0)
            await _send(writer, b"")  # the connection is another process's now
            connection = writer.get_extra_info("socket").fileno()
            outcome = await archive(self._settings.workspace_dir, limits, None if check else connection)
        finally:
            self._archiving.release()
        if outcome.word == "refused":
            raise HttpError(422, outcome.words[0], outcome.words[1])
        if check and outcome.word == "done":
            await _send(writer, render(json_response(routes.archive_document(outcome.words)), keep_alive=False))

    def _ticket(self, text: str) -> Ticket:
        settings = self._settings
        try:
            return verify(
                text,
                key=settings.key,
                session_id=settings.session_id,
                session_uid=settings.session_uid,
                now=time.time(),
            )
        except TicketError as error:
            raise HttpError(401, "invalid_ticket", str(error), headers={"WWW-Authenticate": "Bearer"}) from error


_OTHERS = (("GET", "/healthz"), ("GET", "/v1/attach"), ("GET", "/v1/archive"))


def _bearer(request: Request) -> str:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""


def _require(ticket: Ticket, scope: str) -> None:
    if scope not in ticket.scope:
        raise HttpError(403, "missing_scope", f"the ticket does not allow to {scope}")


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send; TimeoutError if the client does not take it."""
    writer.write(data)
    async with asyncio.timeout(SEND_SECONDS):
        await writer.drain()


def _tune(writer: asyncio.StreamWriter) -> None:
    """Small buffers: what waits in them is stale when somebody presses Ctrl-C."""
    writer.transport.set_write_buffer_limits(high=HIGH_WATER)
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
