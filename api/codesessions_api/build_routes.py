"""The calls about Builds: read, follow the log, cancel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
from codesessions_crds.apikey import Scope
from codesessions_kube.store import Object
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from codesessions_api import deploy_views, parameters
from codesessions_api.audit import audited
from codesessions_api.context import Context, json_response, request_id
from codesessions_api.problems import Problem, bad_parameter

BUILDS = "/api/v1/builds"
EVENTS = "text/event-stream"
BEAT_SECONDS = 15.0
"""A stream that is silent for so long gets a comment, so that proxies keep it open."""


def add(router: APIRouter, context: Context) -> None:
    """Add them to a router."""
    deploys, logs = context.deploys, context.build_logs

    @router.get(BUILDS + "/{id}")
    async def get_build(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        build = await deploys.build(caller, request.path_params["id"])
        return json_response(deploy_views.build_view(build, caller.organization_id), headers=context.age())

    @router.post(BUILDS + "/{id}/cancel")
    async def cancel_build(request: Request) -> Response:
        with audited("cancel-build", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.DEPLOY)
            build = await deploys.cancel(caller, request.path_params["id"])
        return json_response(deploy_views.build_view(build, caller.organization_id))

    @router.get(BUILDS + "/{id}/logs")
    async def read_log(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        follow = parameters.text(request, "follow") or "false"
        if follow not in {"true", "false", "1", "0"}:
            raise bad_parameter("follow", "must be true or false")
        build = await deploys.build(caller, request.path_params["id"])
        await logs.check(build)
        lines = logs.lines(build, follow=follow in {"true", "1"})
        if EVENTS not in request.headers.get("accept", ""):
            text = _guarded(_text(lines), context.leaving)
            return StreamingResponse(text, media_type="text/plain; charset=utf-8", headers={"X-Accel-Buffering": "no"})
        seen = request.headers.get("last-event-id", "0")
        skip = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0
        events = _events(lines, skip, lambda: deploys.caches.builds.get(caller.namespace, build["metadata"]["name"]))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_guarded(events, context.leaving), media_type=EVENTS, headers=headers)


async def _text(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line.encode() + b"\n"


async def _events(lines: AsyncIterator[str], skip: int, latest: object) -> AsyncIterator[bytes]:
    """Server-sent events (HTML, section 9.2): the line's number is the event's id, so that a reader can go on."""
    number = 0
    try:
        async for line in lines:
            number += 1
            if number > skip:
                yield f"id: {number}\ndata: {line}\n\n".encode()
    except Problem as problem:
        yield b"event: problem\ndata: " + orjson.dumps({"code": problem.code, "detail": problem.detail}) + b"\n\n"
        return
    build: Object | None = latest()  # type: ignore[operator]
    status = deploy_views.build_status(build) if build is not None else "gone"
    yield b"event: end\ndata: " + orjson.dumps({"status": status}) + b"\n\n"


async def _guarded(parts: AsyncIterator[bytes], leaving: asyncio.Event) -> AsyncIterator[bytes]:
    """Parts as they come, comments while none do, and an end when this program must leave."""
    left = asyncio.ensure_future(leaving.wait())
    waiting: asyncio.Future[bytes] | None = None
    comment = b": \n\n"
    events = False
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(parts))
            await asyncio.wait((waiting, left), timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                try:
                    part = waiting.result()
                except StopAsyncIteration:
                    return
                except Problem as problem:  # the answer has begun
                    yield f"[{problem.code}: {problem.detail}]\n".encode()
                    return
                waiting = None
                events = events or part.startswith((b"id:", b"event:"))
                yield part
            elif left.done():
                return
            elif events:
                yield comment
    finally:
        left.cancel()
        if waiting is not None:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Problem):
                await waiting
