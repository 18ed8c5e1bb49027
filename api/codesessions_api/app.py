"""The application: routes, problems, health and metrics."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import orjson
from codesessions_kube.client import KubeClient, connect
from codesessions_oci.registry import Registry
from codesessions_oci.settings import RegistrySettings
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match

from codesessions_api import (
    app_routes,
    build_routes,
    deploy_routes,
    openapi,
    recording_routes,
    reference,
    session_routes,
    terminal_routes,
)
from codesessions_api.addresses import Network
from codesessions_api.archivecache import ArchiveCache
from codesessions_api.archived import Transcripts
from codesessions_api.build_logs import BuildLogs
from codesessions_api.caches import Caches
from codesessions_api.context import Context, request_id
from codesessions_api.deploy_caches import DeployCaches
from codesessions_api.deploys import Deploys
from codesessions_api.edge import Edge
from codesessions_api.held import ClientGoneError
from codesessions_api.metrics import Metrics
from codesessions_api.problems import MEDIA_TYPE, Problem, fault_of_ours, try_again
from codesessions_api.ratelimits import Limit, RateLimits
from codesessions_api.service import Service
from codesessions_api.shares import Shares
from codesessions_api.sidecar import Sidecars

NOBODY_THERE = 499
"""The client has gone; nobody sees it but the metrics (as nginx calls it)."""


class Application:
    """The ASGI application, and how to tell it that it must leave soon."""

    def __init__(
        self,
        master_key: bytes,
        client: KubeClient | None = None,
        *,
        pty_base_url: str = "",
        request_limit: int = 4000,
        registry: RegistrySettings | None = None,
        cache: ArchiveCache | None = None,
        rate_limits: Mapping[str, Limit] | None = None,
        proxies: tuple[Network, ...] = (),
    ) -> None:
        """Without a client it connects to the cluster when it starts; without a registry nothing is deployed.

        `cache`: of transcripts from the registry. `rate_limits`: by name, none by default. `proxies`: whose
        X-Forwarded-For is believed.
        """
        self._master_key, self._client, self._pty_base_url = master_key, client, pty_base_url
        self._registry, self._cache = registry, cache or ArchiveCache(Path(tempfile.gettempdir()) / "transcripts", 0)
        self._rate_limits, self._proxies = RateLimits(rate_limits or {}, time.monotonic), proxies
        self._shares = Shares(request_limit)
        self.context: Context | None = None
        self.metrics = Metrics()
        self.web = FastAPI(
            title="Code Sessions", lifespan=self._life, docs_url=None, redoc_url=None, redirect_slashes=False
        )
        self.web.openapi = openapi.document  # type: ignore[method-assign]
        _handle_problems(self.web)
        self._add_operations()
        self.asgi = Edge(self.web, self.metrics, request_limit, self._shares)

    def leave(self) -> None:
        """Answer the requests that are held, and hold no more."""
        if self.context is not None:
            self.context.leaving.set()

    @asynccontextmanager
    async def _life(self, app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            client = self._client
            if client is None:
                client = await stack.enter_async_context(await connect())
            caches, sidecars = Caches(client), Sidecars(self._master_key)
            stack.push_async_callback(sidecars.close)
            registry = Registry(self._registry) if self._registry is not None else None
            transcripts = Transcripts(registry, self._cache)
            stack.push_async_callback(transcripts.close)
            service = Service(client, caches)
            known = DeployCaches(client)
            self.context = Context(
                service,
                caches,
                sidecars,
                transcripts,
                self._master_key,
                Deploys(client, known, configured=registry is not None),
                BuildLogs(client, known, registry),
                self._rate_limits,
                self._shares,
                self._pty_base_url,
                self._proxies,
            )
            app.include_router(routes(self.context))
            self.metrics.watch(caches)
            caches.start()
            stack.push_async_callback(caches.stop)
            known.start()
            stack.push_async_callback(known.stop)
            yield

    @property
    def _ready(self) -> bool:
        context = self.context
        if context is None or context.leaving.is_set():
            return False
        return context.caches.synced and context.deploys.caches.synced

    def _add_operations(self) -> None:
        @self.web.get("/healthz", include_in_schema=False)
        async def healthz() -> Response:
            return Response("ok\n", media_type="text/plain")

        @self.web.get("/readyz", include_in_schema=False)
        async def readyz(request: Request) -> Response:
            if self._ready:
                return Response("ok\n", media_type="text/plain")
            return answer(request, try_again(503, "not_ready", "The caches are not filled yet, or this is the end."))

        @self.web.get("/docs", include_in_schema=False)
        async def docs() -> Response:
            return Response(reference.page(), headers=reference.HEADERS, media_type="text/html")

        @self.web.get("/metrics", include_in_schema=False)
        async def show() -> Response:
            return Response(generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4")


def routes(context: Context) -> APIRouter:
    """All calls of the REST API."""
    router = APIRouter(include_in_schema=False)
    session_routes.add(router, context)
    terminal_routes.add(router, context)
    recording_routes.add(router, context)
    deploy_routes.add(router, context)
    app_routes.add(router, context)
    build_routes.add(router, context)
    return router


def answer(request: Request, problem: Problem) -> Response:
    """A problem as a response."""
    return Response(orjson.dumps(problem.document(request_id(request))), problem.status, problem.headers, MEDIA_TYPE)


def _handle_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> Response:
        return answer(request, error)

    @app.exception_handler(ClientGoneError)
    async def gone(_: Request, __: ClientGoneError) -> Response:
        return Response(status_code=NOBODY_THERE)

    @app.exception_handler(Exception)
    async def fault(request: Request, _: Exception) -> Response:
        return answer(request, fault_of_ours())  # the edge logs it

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return answer(
                request,
                Problem(404, "not_found", f"There is no {request.url.path[:200]!r} here; /docs has what there is."),
            )
        if error.status_code == 405:
            allowed = ", ".join(_methods(app, request))
            problem = Problem(405, "method_not_allowed", f"Use {allowed}.", headers={"Allow": allowed})
            return answer(request, problem)
        return answer(request, Problem(error.status_code, "http_error", str(error.detail)))


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What a path takes; the router itself names the methods of one route only."""
    found: set[str] = set()
    for method in ("GET", "POST", "DELETE", "PUT", "PATCH"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in app.routes):
            found.add(method)
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
