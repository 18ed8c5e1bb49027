"""The calls of `/api/v1/code-sessions`."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from codesessions_crds.apikey import Scope
from codesessions_crds.names import session_id as id_of
from codesessions_crds.names import workspace_id
from fastapi import APIRouter, Request, Response

from codesessions_api import openapi, views
from codesessions_api.auth import Caller, authenticate
from codesessions_api.bodies import (
    MAX_TEXT_BYTES,
    CreateSession,
    Resize,
    SendInput,
    preferred_wait,
    read_body,
    whole_number,
)
from codesessions_api.caches import Caches
from codesessions_api.problems import Problem
from codesessions_api.service import Service
from codesessions_api.sidecar import Sidecars, address_of

BASE = "/api/v1/code-sessions"
STATUSES = ("creating", "running", "suspended", "completed", "failed")
MAX_OUTPUT_BYTES = 1 << 20
_audit = logging.getLogger("audit")

_ID = ("id", "path", {"type": "string"}, "The session's id.")
_PREFER = ("Prefer", "header", {"type": "string"}, "wait=N: wait up to N seconds, at most 60 (RFC 7240).")
_SEQ = {"type": "integer", "minimum": 0}


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")


def _applied(wait: int | None) -> dict[str, str]:
    return {} if wait is None else {"Preference-Applied": f"wait={wait}"}


def audit(request: Request, caller: Caller, verb: str, session: str, result: str) -> None:
    """One line a mutating call: who, what, with what result. Never a key, never what was typed."""
    fields = {
        "verb": verb,
        "session": session,
        "result": result,
        "key": caller.key_name,
        "userId": caller.user_id,
        "organizationId": caller.organization_id,
        "requestId": request.scope.get("request_id", ""),
    }
    _audit.info(verb, extra={"fields": fields})


def router(service: Service, caches: Caches, sidecars: Sidecars) -> APIRouter:
    """All calls."""
    made = APIRouter(prefix=BASE, tags=["code-sessions"])

    def caller_of(request: Request, scope: Scope) -> Caller:
        caller = authenticate(request.headers.get("x-api-key"), caches)
        caller.require(scope)
        return caller

    @made.post(
        "",
        status_code=201,
        operation_id="createSession",
        summary="Create a session",
        responses=openapi.responses(201, "Created", 400, 413, 415),
        openapi_extra={
            **openapi.body(CreateSession, {"projectName": "hello", "projectDescription": "a first try"}),
            "parameters": openapi.parameters(_PREFER),
        },
    )
    async def create(request: Request) -> Response:
        caller = caller_of(request, Scope.WRITE)
        wanted = await read_body(request, CreateSession)
        resource = await service.create(caller, wanted.project_name, wanted.project_description)
        name = resource["metadata"]["name"]
        audit(request, caller, "create", id_of(name), "created")
        wait = preferred_wait(request)
        if wait:
            resource = await service.until_started(resource, wait)
        answer = {"sessionId": id_of(name), "workspaceId": workspace_id(name), "status": views.status_of(resource)}
        return _json(answer, 201, {"Location": f"{BASE}/{id_of(name)}", **_applied(wait)})

    @made.get(
        "",
        operation_id="listSessions",
        summary="List sessions, newest first",
        responses=openapi.responses(200, "SessionList"),
        openapi_extra={
            "parameters": openapi.parameters(
                ("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, "How many."),
                ("cursor", "query", {"type": "string"}, "nextCursor of the page before."),
                ("status", "query", {"type": "string", "enum": list(STATUSES)}, "Only sessions of this status."),
            )
        },
    )
    async def list_sessions(request: Request) -> Response:
        caller = caller_of(request, Scope.READ)
        limit = whole_number(request, "limit", 50, 1, 200)
        status = request.query_params.get("status")
        if status is not None and status not in STATUSES:
            detail = f"status must be one of {', '.join(STATUSES)}"
            raise Problem(422, "invalid_parameter", detail, errors=[{"pointer": "status", "detail": detail}])
        items, cursor = service.page(caller, limit=limit, cursor=request.query_params.get("cursor"), status=status)
        return _json(
            {"items": [views.session_view(item, caller.organization_id) for item in items], "nextCursor": cursor}
        )

    @made.get(
        "/{id}",
        operation_id="getSession",
        summary="Read a session",
        responses=openapi.responses(200, "Session", 404),
        openapi_extra={"parameters": openapi.parameters(_ID)},
    )
    async def get(request: Request) -> Response:
        caller = caller_of(request, Scope.READ)
        resource = await service.get(caller, request.path_params["id"])
        return _json(views.session_view(resource, caller.organization_id))

    @made.delete(
        "/{id}",
        status_code=204,
        operation_id="completeSession",
        summary="Stop a session; its record stays",
        responses=openapi.responses(204, None, 404),
        openapi_extra={"parameters": openapi.parameters(_ID)},
    )
    async def delete(request: Request) -> Response:
        caller = caller_of(request, Scope.WRITE)
        session = request.path_params["id"]
        await service.complete(caller, session)
        audit(request, caller, "complete", session, "completed")
        return Response(status_code=204)

    @made.post(
        "/{id}/input",
        operation_id="sendInput",
        summary="Type into a session",
        responses=openapi.responses(200, "InputResult", 400, 404, 409, 413, 415, 429),
        openapi_extra={
            **openapi.body(SendInput, {"text": "ls -la\n"}),
            "parameters": openapi.parameters(_ID, _PREFER),
        },
    )
    async def send_input(request: Request) -> Response:
        caller = caller_of(request, Scope.WRITE)
        wanted = await read_body(request, SendInput)
        data = wanted.text.encode()
        if len(data) > MAX_TEXT_BYTES:
            raise Problem(413, "too_large", f"text is {len(data)} bytes; send parts of at most {MAX_TEXT_BYTES}.")
        wait = preferred_wait(request)
        session = request.path_params["id"]
        resource = await service.running(caller, session, wait)
        query = {"inputSeq": str(wanted.input_seq)} if wanted.input_seq is not None else None
        await sidecars.call(
            resource, "POST", "/v1/input", scope="write", user_id=caller.user_id, query=query, body=data
        )
        audit(request, caller, "input", session, f"{len(data)} bytes")
        return _json({"sent": True, "bytes": len(data)}, headers=_applied(wait))

    @made.get(
        "/{id}/output",
        operation_id="readOutput",
        summary="Read output by sequence number",
        responses=openapi.responses(200, "Output", 404, 409, 410),
        openapi_extra={
            "parameters": openapi.parameters(
                _ID,
                ("afterSeq", "query", _SEQ, "Only chunks after this number."),
                ("limit", "query", {"type": "integer", "minimum": 1}, "About so many bytes, at most 1 MiB."),
                _PREFER,
            )
        },
    )
    async def output(request: Request) -> Response:
        caller = caller_of(request, Scope.READ)
        after = whole_number(request, "afterSeq", 0, 0, 2**63 - 1)
        limit = whole_number(request, "limit", MAX_OUTPUT_BYTES, 1, MAX_OUTPUT_BYTES)
        wait = preferred_wait(request)
        session = request.path_params["id"]
        resource = await service.get(caller, session)
        if wait:
            resource = await service.until_started(resource, wait)
        status = views.status_of(resource)
        if status == "creating" and address_of(resource) is None:
            answer: dict[str, Any] = {"chunks": [], "lastSeq": 0}
            return _json({"sessionId": session, **answer}, headers=_applied(wait))
        query = {"after": str(after), "limit": str(limit), "wait": str(wait or 0)}
        try:
            found = await sidecars.call(
                resource,
                "GET",
                "/v1/output",
                scope="read",
                user_id=caller.user_id,
                query=query,
                seconds=(wait or 0) + 10.0,
            )
        except Problem as problem:
            if problem.code == "terminal_unavailable" and status in {"completed", "failed"}:
                detail = f"The session is {status} and its pod is gone, and its output with it."
                raise Problem(410, "output_gone", detail) from problem
            raise
        return _json({"sessionId": session, **found}, headers=_applied(wait))

    @made.post(
        "/{id}/resize",
        status_code=204,
        operation_id="resizeTerminal",
        summary="Set the terminal's size",
        responses=openapi.responses(204, None, 400, 404, 409, 413, 415),
        openapi_extra={
            **openapi.body(Resize, {"rows": 24, "cols": 80}),
            "parameters": openapi.parameters(_ID, _PREFER),
        },
    )
    async def resize(request: Request) -> Response:
        caller = caller_of(request, Scope.WRITE)
        wanted = await read_body(request, Resize)
        resource = await service.running(caller, request.path_params["id"], preferred_wait(request))
        body = orjson.dumps(wanted.model_dump())
        await sidecars.call(resource, "POST", "/v1/resize", scope="write", user_id=caller.user_id, body=body)
        return Response(status_code=204)

    return made
