"""The outermost layer: an id for each request, a count, a bound, and an answer when everything else failed.

Plain ASGI: it is on every request's way.
"""

from __future__ import annotations

import logging
import time

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codesessions_api.leftover import Leftover
from codesessions_api.metrics import Metrics
from codesessions_api.problems import MEDIA_TYPE, Problem, fault_of_ours, try_again
from codesessions_api.shares import Shares
from codesessions_api.trace import current, trace_of

_log = logging.getLogger(__name__)
_UNBOUND = frozenset({"/healthz", "/readyz", "/metrics"})


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, limit: int, shares: Shares) -> None:
        self._app, self._metrics, self._limit, self._shares = app, metrics, limit, shares
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given, parent = b"", b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value
            elif name == b"traceparent":
                parent = value
        trace = trace_of(given.decode("latin-1"), parent.decode("latin-1"))
        current.set(trace)
        tag = trace.request_id.encode()
        scope["request_id"] = trace.request_id
        begun, status, body = time.perf_counter(), 0, Leftover(scope, receive)
        # Of an answer to HEAD the server leaves the body out.
        inner: Scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status != 408:  # which means that it does not come
                    await body.drop()
                message["headers"] = [*message["headers"], *inner.get("rate_limit", ()), (b"x-request-id", tag)]
            await send(message)

        self._held += 1
        self._metrics.held.set(self._held)
        try:
            if self._held > self._limit and scope["path"] not in _UNBOUND:
                await refuse(tagged, try_again(503, "overloaded", "Too many requests at a time."), tag.decode())
            else:
                await self._app(inner, body.receive, tagged)
        except Exception:
            _log.exception("request %s failed", tag.decode())
            if not status:
                await refuse(tagged, fault_of_ours(), tag.decode())
        finally:
            self._held -= 1
            if "share" in inner:
                self._shares.leave(inner["share"])
            self._metrics.held.set(self._held)
            route = getattr(inner.get("route"), "path", "none")
            self._metrics.note(scope["method"], route, status, time.perf_counter() - begun)


async def refuse(send: Send, problem: Problem, request_id: str) -> None:
    """Answer with a problem document."""
    body = orjson.dumps(problem.document(request_id))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
