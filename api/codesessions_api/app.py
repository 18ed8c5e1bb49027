"""The application: routes, problems, request ids, health and metrics."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from codesessions_kube.client import KubeClient, connect
from codesessions_kube.watchcache import WatchCache
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codesessions_api import openapi
from codesessions_api.caches import Caches
from codesessions_api.problems import MEDIA_TYPE, Problem
from codesessions_api.routes import router
from codesessions_api.service import Service
from codesessions_api.sidecar import Sidecars

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
_CODES = {404: "not_found", 405: "method_not_allowed"}


class Metrics:
    """What the API counts."""

    def __init__(self, caches: Caches) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("codesessions_api_requests", "Requests.", labels, registry=self.registry)
        self.seconds = Histogram("codesessions_api_request_seconds", "Duration.", ["route"], registry=self.registry)
        stale = Gauge("codesessions_api_cache_stale_seconds", "Age of a stale cache.", ["kind"], registry=self.registry)
        for cache in (caches.sessions, caches.keys, caches.namespaces):
            stale.labels(cache.kind.plural).set_function(partial(_stale_seconds, cache))


def _stale_seconds(cache: WatchCache) -> float:
    return 0.0 if cache.stale_since is None else time.monotonic() - cache.stale_since


class Outermost:
    """Gives each request an id and counts it. Plain ASGI: it is on every request's way."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        scope["request_id"] = request_id
        begun, status = time.perf_counter(), 500

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(scope["method"][:16], route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)


def _answer(request: Request, problem: Problem) -> Response:
    body = orjson.dumps(problem.document(request.scope.get("request_id", "")))
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def _handle_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> Response:
        return _answer(request, error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "http_error")
        problem = Problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))
        return _answer(request, problem)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        return _answer(request, Problem(500, "internal_error", "A fault of ours; it was logged under this request id."))


def _add_operations(app: FastAPI, caches: Caches, metrics: Metrics) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        text, status = ("ok\n", 200) if caches.synced else ("the caches are not filled yet\n", 503)
        return Response(text, status, media_type="text/plain")

    @app.get("/metrics", include_in_schema=False)
    async def show() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")


def make_app(master_key: bytes, client: KubeClient | None = None) -> ASGIApp:
    """The application; without a client it connects to the cluster it runs in."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        own = None if client is not None else await connect()
        used = client if client is not None else own
        if used is None:
            raise RuntimeError("no client")
        caches, sidecars = Caches(used), Sidecars(master_key)
        metrics = Metrics(caches)
        outer.metrics = metrics
        app.include_router(router(Service(used, caches), caches, sidecars))
        _add_operations(app, caches, metrics)
        caches.start()
        try:
            yield
        finally:
            await caches.stop()
            await sidecars.close()
            if own is not None:
                await own.__aexit__(None, None, None)

    app = FastAPI(
        title="Code Sessions",
        version="1",
        description="Interactive coding sessions on Kubernetes. Errors are problem documents (RFC 9457).",
        lifespan=life,
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    _handle_problems(app)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = FastAPI.openapi(app)
            made.setdefault("components", {})
            made["components"]["schemas"] = openapi.SCHEMAS
            made["components"]["securitySchemes"] = openapi.SECURITY
            made["security"] = [{"ApiKey": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    outer = _Late(app)
    return outer


class _Late:
    """`Outermost`, whose metrics exist once the caches do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.metrics: Metrics | None = None
        self._wrapped: Outermost | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.metrics is None:
            await self._app(scope, receive, send)
            return
        if self._wrapped is None:
            self._wrapped = Outermost(self._app, self.metrics)
        await self._wrapped(scope, receive, send)
