"""Connections: HTTP with keep-alive, and the step from there to WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

from codesessions_sidecar import routes
from codesessions_sidecar.http import (
    MAX_HEAD,
    HttpError,
    Request,
    Response,
    parse_head,
    problem,
    read_body,
    read_head,
    render,
)
from codesessions_sidecar.log import log
from codesessions_sidecar.settings import Settings
from codesessions_sidecar.terminal import Terminal
from codesessions_sidecar.tickets import READ, Ticket, TicketError, verify

if TYPE_CHECKING:
    from codesessions_sidecar.attach import Viewer

IDLE_SECONDS = 120.0
HEAD_SECONDS = 10.0
SEND_BUFFER = 64 << 10
TICKET_SUBPROTOCOL = "ticket.codesessions.dev."


class Server:
    """Serves one terminal."""

    def __init__(self, settings: Settings, terminal: Terminal) -> None:
        self._settings, self._terminal = settings, terminal
        self._server: asyncio.Server | None = None
        self._viewers: set[Viewer] = set()
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(
            self._serve, self._settings.host, self._settings.port, limit=MAX_HEAD, backlog=128
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self, code: int, reason: str) -> None:
        """Close every WebSocket with `code`, and every connection."""
        if self._server is not None:
            self._server.close()
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
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except asyncio.CancelledError:  # by stop(): this task's end is nobody's news
            pass
        except Exception as error:
            log("connection-failed", error=repr(error))
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _tune(writer)
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    head = await read_head(reader)
                if head is None:
                    return
                request = parse_head(head)
                if request.path == "/v1/attach":
                    await self._attach(request, reader, writer)
                    return
                async with asyncio.timeout(HEAD_SECONDS * 3):
                    request.body = await read_body(request, reader, routes.MAX_INPUT)
            except HttpError as error:
                writer.write(render(problem(error), keep_alive=False))
                await writer.drain()
                return
            try:
                response = await self._answer(request)
            except HttpError as error:
                response = problem(error)
            writer.write(render(response, keep_alive=request.keep_alive))
            await writer.drain()
            if not request.keep_alive:
                return

    async def _answer(self, request: Request) -> Response:
        if request.path == "/healthz" and request.method == "GET":
            return Response(200, b"ok\n", "text/plain")
        route = routes.ROUTES.get((request.method, request.path))
        if route is None:
            allowed = sorted(method for method, path in routes.ROUTES if path == request.path)
            if allowed:
                raise HttpError(405, "method_not_allowed", "not by this method", headers={"Allow": ", ".join(allowed)})
            raise HttpError(404, "not_found", "there is nothing here")
        scope, handler = route
        self._require(self._ticket(request), scope)
        return await handler(request, self._terminal)

    async def _attach(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ticket = self._ticket(request)
        self._require(ticket, READ)
        if "websocket" not in request.headers.get("upgrade", "").lower():
            raise HttpError(426, "upgrade_required", "this is a WebSocket", headers={"Upgrade": "websocket"})
        after = routes.number(request, "afterSeq", 0, 2**63 - 1) if "afterSeq" in request.query else None
        from codesessions_sidecar.attach import Viewer  # 5 MiB that a session without viewers does without

        viewer = Viewer(self._terminal, ticket, reader, writer, after)
        self._viewers.add(viewer)
        try:
            await viewer.run(request.raw)
        finally:
            self._viewers.discard(viewer)

    def _ticket(self, request: Request) -> Ticket:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            offered = [word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(",")]
            text = next((word for word in offered if word.startswith(TICKET_SUBPROTOCOL)), "")
            text = text.removeprefix(TICKET_SUBPROTOCOL)
        settings = self._settings
        try:
            return verify(
                text.strip(),
                key=settings.key,
                session_id=settings.session_id,
                session_uid=settings.session_uid,
                now=time.time(),
            )
        except TicketError as error:
            raise HttpError(401, "invalid_ticket", str(error), headers={"WWW-Authenticate": "Bearer"}) from error

    @staticmethod
    def _require(ticket: Ticket, scope: str) -> None:
        if scope not in ticket.scope:
            raise HttpError(403, "missing_scope", f"the ticket does not allow to {scope}")


def _tune(writer: asyncio.StreamWriter) -> None:
    """Small buffers: what waits in them is stale when somebody presses Ctrl-C."""
    writer.transport.set_write_buffer_limits(high=SEND_BUFFER)
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
