"""Connections: how many, for how long, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from codesessions_kube.store import Key, key_of
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from codesessions_api import views
from codesessions_api.addresses import Network, client_of
from codesessions_api.caches import Caches
from codesessions_api.gateway import answers, handshake
from codesessions_api.gateway.admission import Admission, Visitor
from codesessions_api.gateway.exchange import exchange, is_exchange
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.gateway.pages import Pages
from codesessions_api.gateway.splice import BUFFER, Cut, Splice, part
from codesessions_api.gateway.upstream import UnreachableError, open_upstream
from codesessions_api.problems import Problem, try_again
from codesessions_api.ratelimits import Limit, RateLimits
from codesessions_api.shares import Shares
from codesessions_api.tickets import address_of, ticket_for
from codesessions_api.trace import current, trace_of

HEAD_SECONDS = 10.0
SPARE_CONNECTIONS = 256
"""Beyond the limit, to say so, and for /healthz; more are closed without a word."""
CLOSE_SECONDS = 5.0
SETTLE_SECONDS = 1.0
PAGE_SECONDS = 20.0
"""How long a file may take to a slow telephone."""
_log = logging.getLogger(__name__)
_audit = logging.getLogger("audit")


class Metrics:
    """What the gateway counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "codesessions_gateway"
        self.open = Gauge(f"{prefix}_connections", "Terminals that are open.", registry=self.registry)
        self.ended = Counter(
            f"{prefix}_connections_ended", "Terminals, by how they ended.", ["why"], registry=self.registry
        )
        self.refused = Counter(f"{prefix}_refusals", "Refusals, by code.", ["code"], registry=self.registry)
        self.bytes = Counter(f"{prefix}_bytes", "Bytes passed on.", ["direction"], registry=self.registry)
        stale = "For how long changes may have been missed."
        self.stale = Gauge(f"{prefix}_cache_stale_seconds", stale, ["kind"], registry=self.registry)
        self._typed, self._shown = self.bytes.labels("in"), self.bytes.labels("out")

    def count(self, typed: int, shown: int) -> None:
        """Count bytes from and to a client."""
        self._typed.inc(typed)
        self._shown.inc(shown)


class Gateway:
    """Serves WebSockets until told to stop."""

    def __init__(
        self,
        caches: Caches,
        master_key: bytes,
        *,
        origins: frozenset[str] = frozenset(),
        limit: int = 4000,
        web: Path | None = None,
        rate_limits: Mapping[str, Limit] | None = None,
        proxies: tuple[Network, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._caches, self._master_key, self._limit, self._clock = caches, master_key, limit, clock
        self._admission = Admission(caches, master_key, origins, clock=clock)
        self._pages = Pages(web)
        self._shares = Shares(limit)
        self._rate_limits, self._proxies = RateLimits(rate_limits or {}, time.monotonic), proxies
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Task[None]] = set()
        """Connections on which nothing was asked yet."""
        self._inside: dict[asyncio.Future[Cut], Visitor] = {}
        self._stopping = False
        self.metrics = Metrics()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._connection, host, port, limit=handshake.MAX_HEAD, backlog=512)

    async def stop(self, seconds: float) -> None:
        """Close what is open with 1012, between two frames, and wait for it, at most so long."""
        self._stopping = True
        for cut in self._inside:
            _cut(cut, answers.RESTARTING, "the gateway restarts; connect again")
        for task in self._silent:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def key_changed(self, key: Key) -> None:
        """An APIKey has changed: who came with it and would not be let in any more must leave."""
        for cut, visitor in self._inside.items():
            if visitor.key == key:
                self._check_again(cut, visitor)

    def session_changed(self, key: Key) -> None:
        """A CodeSession has changed: who is at a pod that it no longer has would wait for a dead node in vain."""
        here = [(cut, each) for cut, each in self._inside.items() if key_of(each.session) == key]
        session = self._caches.sessions.get(*key) if here else None
        address = address_of(session) if session is not None else None
        for cut, visitor in here:
            if address is not None and address != address_of(visitor.session):
                _cut(cut, answers.UNREACHABLE, "the session has a new pod; connect again")

    def _check_again(self, cut: asyncio.Future[Cut], visitor: Visitor) -> None:
        problem = self._admission.still_good(visitor)
        if problem is not None:
            _cut(cut, answers.FORBIDDEN if problem.status == 403 else answers.UNAUTHENTICATED, problem.detail)

    # -- one connection

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(self._tasks) > self._limit + SPARE_CONNECTIONS:
            writer.transport.abort()
            return
        try:
            _tune(writer)
            await self._one(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:  # by stop(): this task's end is nobody's news
            writer.transport.abort()
        except Exception:
            _log.exception("a connection failed")
        finally:
            writer.close()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await writer.wait_closed()
            except (OSError, TimeoutError, asyncio.CancelledError):
                writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, trace = None, trace_of("", "")
        try:
            request = await self._asked(reader)
            if request is None:
                return
            trace = trace_of(request.headers.get("x-request-id", ""), request.headers.get("traceparent", ""))
            current.set(trace)
            request_id = trace.request_id
            if request.path in {"/healthz", "/readyz", "/metrics"}:
                await part(reader, writer, self._operations(request.path, request_id))
                return
            answer = self._web(request, request_id)
            if answer is not None:
                await part(reader, writer, answer, PAGE_SECONDS)
                return
            await self._visit(request, request_id, reader, writer)
        except Problem as refused:
            problem = self._bounded(refused, request, writer)
            self.metrics.refused.labels(problem.code).inc()
            if request is not None and request.wants_websocket and request.session is not None:
                fields = {"verb": "attach", "session": request.session[:64], "result": problem.code, "key": None}
                _audit.info("attach", extra={"fields": {**fields, **trace.fields}})
            await part(reader, writer, answers.refusal(request, problem, trace.request_id))

    def _bounded(self, problem: Problem, request: Handshake | None, writer: asyncio.StreamWriter) -> Problem:
        """The problem, or, where an address shows what is not good too often, that."""
        if problem.status != 401 or request is None:
            return problem
        peer = (writer.get_extra_info("peername") or ("",))[0]
        try:
            self._rate_limits.stranger(client_of(peer, [request.headers.get("x-forwarded-for", "")], self._proxies))
        except Problem as limited:
            return limited
        return problem

    def _web(self, request: Handshake, request_id: str) -> bytes | None:
        """What the web terminal asks for besides its WebSocket; None for something else."""
        if is_exchange(request):
            return exchange(request, request_id, self._admission, self._master_key, self._clock())
        return self._pages.answer(request, request_id)

    async def _asked(self, reader: asyncio.StreamReader) -> Handshake | None:
        task = asyncio.current_task()
        if task is None or self._stopping:
            return None
        self._silent.add(task)
        try:
            return await _read(reader)
        finally:
            self._silent.discard(task)

    async def _visit(
        self, request: Handshake, request_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request.session is None:
            raise Problem(404, "not_found", f"There is no {request.path[:200]!r} here.")
        request.check()
        if len(self._tasks) > self._limit or self._stopping:
            raise try_again(503, "overloaded", "The gateway has as many connections as it can hold, or it stops.")
        request.parameters()
        visitor = await self._admitted(request)
        namespace = visitor.session["metadata"]["namespace"]
        self._shares.enter(namespace)
        try:
            await self._connect(visitor, request, request_id, reader, writer)
        finally:
            self._shares.leave(namespace)

    async def _connect(
        self,
        visitor: Visitor,
        request: Handshake,
        request_id: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Bring a visitor to the terminal, or say why not."""
        status, address = views.status_of(visitor.session), address_of(visitor.session)
        try:
            if status != "running" or address is None:
                detail = views.ready_of(visitor.session).get("message") or ""
                text = f"the session is {status}. {detail}".strip()
                await part(reader, writer, self._closed(request, answers.NOT_RUNNING, text, request_id))
                return
            token = ticket_for(self._master_key, visitor.session, visitor.scope, visitor.user_id, now=self._clock())
            upstream = await open_upstream(request, address, token)
        except UnreachableError as error:
            _log.info("no terminal", extra={"fields": {"error": str(error), **current.get().fields}})
            text = "the session's terminal cannot be reached; connect again"
            await part(reader, writer, self._closed(request, answers.UNREACHABLE, text, request_id))
            return
        writer.write(handshake.for_client(request, upstream.protocol, request_id))
        await self._stay(visitor, Splice((reader, writer), (upstream.reader, upstream.writer), self.metrics.count))

    async def _admitted(self, request: Handshake) -> Visitor:
        """As `admit`, with a moment for the watches: the REST API may know of a session, and that it runs, earlier."""
        give_up = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                visitor = self._admission.admit(request)
                if views.status_of(visitor.session) != "creating" or time.monotonic() > give_up:
                    return visitor
            except Problem as problem:
                if problem.code not in {"session_not_found", "invalid_ticket"} or time.monotonic() > give_up:
                    raise
            await asyncio.sleep(0.05)

    def _closed(self, request: Handshake, code: int, reason: str, request_id: str) -> bytes:
        self.metrics.refused.labels(
            "session_not_running" if code == answers.NOT_RUNNING else "terminal_unavailable"
        ).inc()
        return answers.closed(request, code, reason, request_id)

    async def _stay(self, visitor: Visitor, splice: Splice) -> None:
        """Until it ends by itself, the key stops to be good, or the gateway stops."""
        loop = asyncio.get_running_loop()
        cut: asyncio.Future[Cut] = loop.create_future()
        fields = visitor.log_fields
        _audit.info("attach", extra={"fields": {"verb": "attach", "result": "ok", **fields}})
        self._inside[cut] = visitor
        self._check_again(cut, visitor)  # the key may have changed while the sidecar was asked
        if self._stopping:
            _cut(cut, answers.RESTARTING, "the gateway restarts; connect again")
        timer = None
        if visitor.expires is not None and visitor.expires - self._clock() < 86_400 * 365:
            reason = (cut, answers.UNAUTHENTICATED, "This API key has expired.")
            timer = loop.call_later(max(0.0, visitor.expires - self._clock()), _cut, *reason)
        self.metrics.open.inc()
        why = "error"
        try:
            why = (await splice.run(cut)).value
        finally:
            del self._inside[cut]
            cut.cancel()
            if timer is not None:
                timer.cancel()
            self.metrics.open.dec()
            self.metrics.ended.labels(why).inc()
            _log.info("detach", extra={"fields": {"why": why, **fields}})

    def _operations(self, path: str, request_id: str) -> bytes:
        if path == "/readyz" and (not self._caches.synced or self._stopping):
            problem = try_again(503, "not_ready", "The caches are not filled yet, or this is the end.")
            return answers.refusal(None, problem, request_id)
        body = b"ok\n"
        if path == "/metrics":
            for kind, seconds in self._caches.stale_seconds().items():
                self.metrics.stale.labels(kind).set(seconds)
            body = generate_latest(self.metrics.registry)
        return answers.plain(200, "text/plain; version=0.0.4", body, {"X-Request-Id": request_id})


async def _read(reader: asyncio.StreamReader) -> Handshake | None:
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            return await handshake.read(reader)
    except TimeoutError as error:
        detail = f"The request's head did not arrive within {HEAD_SECONDS:.0f} s."
        raise Problem(408, "request_timeout", detail) from error


def _cut(cut: asyncio.Future[Cut], code: int, reason: str) -> None:
    if not cut.done():
        cut.set_result((code, reason))


def _tune(writer: asyncio.StreamWriter) -> None:
    """Small buffers: what waits in them is stale when somebody presses Ctrl-C."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
