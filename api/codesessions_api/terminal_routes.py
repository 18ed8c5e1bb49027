"""The calls about a session's terminal: input, output, size, tickets."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from codesessions_crds.apikey import Scope
from codesessions_kube.store import Object
from fastapi import APIRouter, Request, Response

from codesessions_api import archived, parameters, views
from codesessions_api.audit import audited
from codesessions_api.auth import Caller
from codesessions_api.bodies import MAX_TEXT_BYTES, Resize, SendInput, read_body
from codesessions_api.context import BASE, Context, json_response, request_id
from codesessions_api.held import Patience, held
from codesessions_api.problems import Problem
from codesessions_api.service import check_running
from codesessions_api.sidecar import MAX_OUTPUT_BYTES
from codesessions_api.tickets import TICKET_SECONDS, ticket_for

NOTHING_YET: dict[str, Any] = {"chunks": [], "lastSeq": 0, "oldestSeq": 1, "truncated": False, "exit": None}
"""The output of a shell that has never run."""


def add(router: APIRouter, context: Context) -> None:
    """Add them to a router."""
    service, sidecars = context.service, context.sidecars

    async def started(request: Request, caller: Caller, patience: Patience) -> Object:
        """The session, after waiting for its start if that was asked for."""
        resource = await service.get(caller, request.path_params["id"])
        if patience.left and views.status_of(resource) == "creating":
            resource = await held(request, service.until_started(resource, patience.left), context.leaving) or resource
        return resource

    @router.post(BASE + "/{id}/input")
    async def send_input(request: Request) -> Response:
        with audited("input", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.WRITE)
            wanted = await read_body(request, SendInput)
            data = wanted.text.encode()
            if len(data) > MAX_TEXT_BYTES:
                raise Problem(413, "too_large", f"text is {len(data)} bytes; send parts of at most {MAX_TEXT_BYTES}.")
            entry.bytes = len(data)
            patience = Patience(parameters.preferred_wait(request))
            resource = await started(request, caller, patience)
            check_running(resource)
            await sidecars.type(resource, caller.user_id, data, wanted.input_seq, wanted.writer)
        return json_response({"sent": True, "bytes": len(data)}, headers=patience.applied)

    @router.get(BASE + "/{id}/output")
    async def output(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        after = parameters.whole_number(request, "afterSeq", 0, 0, parameters.MAX_SEQ)
        limit = parameters.whole_number(request, "limit", MAX_OUTPUT_BYTES, 1, parameters.MAX_SEQ)
        raw = parameters.one_of(request, "raw", ("base64",)) is not None
        patience = Patience(parameters.preferred_wait(request))
        resource = await started(request, caller, patience)
        status = views.status_of(resource)
        if status == "creating" and not views.has_run(resource):
            return json_response({"sessionId": request.path_params["id"], **NOTHING_YET}, headers=patience.applied)
        most = min(limit, MAX_OUTPUT_BYTES)
        if status not in views.FINISHED:
            check_running(resource)
        elif archived.is_archived(resource):
            kept = await context.transcripts.output(resource, after=after, limit=most, raw=raw)
            return json_response({"sessionId": request.path_params["id"], **kept}, headers=patience.applied)

        def ask(wait: int) -> Coroutine[Any, Any, dict[str, Any]]:
            return sidecars.output(resource, caller.user_id, after=after, limit=most, wait=wait, raw=raw)

        try:
            found = await held(request, ask(math.ceil(patience.left)), context.leaving) if patience.left else None
            if found is None:
                found = await ask(0)
        except Problem as problem:
            resource = await service.get(caller, request.path_params["id"])  # it may have ended while it was waited for
            if problem.code != "terminal_unavailable" or views.status_of(resource) not in views.FINISHED:
                raise
            found = (
                await context.transcripts.output(resource, after=after, limit=most, raw=raw)
                if archived.is_archived(resource)
                else archived.without_pod(resource)
            )
        return json_response({"sessionId": request.path_params["id"], **found}, headers=patience.applied)

    @router.post(BASE + "/{id}/resize")
    async def resize(request: Request) -> Response:
        with audited("resize", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.WRITE)
            wanted = await read_body(request, Resize)
            patience = Patience(parameters.preferred_wait(request))
            resource = await started(request, caller, patience)
            check_running(resource)
            await sidecars.resize(resource, caller.user_id, wanted.rows, wanted.cols)
        return Response(status_code=204, headers=patience.applied)

    @router.post(BASE + "/{id}/tickets")
    async def ticket(request: Request) -> Response:
        with audited("ticket", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.READ)
            resource = await service.get(caller, request.path_params["id"])
            if views.status_of(resource) in views.FINISHED:
                check_running(resource)
            now = context.clock()
            text = ticket_for(
                context.master_key, resource, caller.terminal_scope, caller.user_id, now=now, key=caller.key_name
            )
        expires = datetime.fromtimestamp(int(now) + TICKET_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_response({"ticket": text, "expiresAt": expires}, 201)
