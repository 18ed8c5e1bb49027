"""What the routes work with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from codesessions_crds.apikey import Scope
from fastapi import Request, Response

from codesessions_api.addresses import Network, client_of
from codesessions_api.archived import Transcripts
from codesessions_api.auth import Caller, authenticate
from codesessions_api.build_logs import BuildLogs
from codesessions_api.caches import Caches
from codesessions_api.deploys import Deploys
from codesessions_api.problems import Problem, try_again
from codesessions_api.ratelimits import READS, WRITES, RateLimits
from codesessions_api.service import Service
from codesessions_api.shares import Shares
from codesessions_api.sidecar import Sidecars

BASE = "/api/v1/code-sessions"
STALE_SECONDS = 1.0
"""A watch that breaks and stands again at once is nothing to speak of."""


@dataclass(frozen=True)
class Context:
    """Everything a request may need. `leaving` is set when this program was told to stop."""

    service: Service
    caches: Caches
    sidecars: Sidecars
    transcripts: Transcripts
    master_key: bytes
    deploys: Deploys
    build_logs: BuildLogs
    rate_limits: RateLimits
    shares: Shares
    pty_base_url: str = ""
    proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed."""
    clock: Callable[[], float] = time.time
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def caller(self, request: Request, scope: Scope, limit: str | None = None) -> Caller:
        """Who calls; the call counts as one of `limit`, default: by its method.

        Raises Problem 400, 401, 403, 429, or 503 while the keys are not known yet.
        """
        if not (self.caches.synced and self.deploys.caches.synced):
            raise try_again(503, "not_ready", "This program has just started and does not know the cluster yet.")
        keys = request.headers.getlist("x-api-key")
        if len(keys) > 1:
            raise Problem(400, "bad_request", "Send X-API-Key once.")
        try:
            caller = authenticate(keys[0] if keys else None, self.caches, now=self.clock())
        except Problem as problem:
            if problem.status == 401:
                peer = request.client.host if request.client else ""
                address = client_of(peer, request.headers.getlist("x-forwarded-for"), self.proxies)
                self.rate_limits.stranger(address)
            raise
        kind = limit or (READS if request.method == "GET" else WRITES)
        request.scope["rate_limit"] = self.rate_limits.take(caller, kind)
        self.shares.enter(caller.namespace)
        request.scope["share"] = caller.namespace  # until the answer is sent
        caller.require(scope)
        return caller

    def age(self) -> dict[str, str]:
        """Headers of an answer from memory that may be old: for how long changes may have been missed.

        RFC 9111, section 5.1; RFC 9211: a negative `ttl` is for how long it has been stale.
        """
        seconds = int(max(self.caches.stale_seconds().values()))
        if seconds < STALE_SECONDS:
            return {}
        status = f"codesessions; hit; ttl=-{seconds}; detail=kubernetes-unavailable"
        return {"Age": str(seconds), "Cache-Status": status}


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), status, headers, "application/json")


def request_id(request: Request) -> str:
    """The request's id."""
    return str(request.scope.get("request_id", ""))
