"""The calls about sessions as records: create, read, list, complete."""

from __future__ import annotations

from codesessions_crds.apikey import Scope
from codesessions_crds.names import session_id, workspace_id
from fastapi import APIRouter, Request, Response

from codesessions_api import parameters, views
from codesessions_api.audit import audited
from codesessions_api.bodies import CreateSession, read_body
from codesessions_api.context import BASE, Context, json_response, request_id
from codesessions_api.held import Patience, held
from codesessions_api.idempotency import REPLAYED, idempotency_key
from codesessions_api.problems import bad_parameter
from codesessions_api.ratelimits import CREATES


def add(router: APIRouter, context: Context) -> None:
    """Add them to a router."""
    service = context.service

    @router.post(BASE)
    async def create(request: Request) -> Response:
        with audited("create", "", request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.WRITE, CREATES)
            key = idempotency_key(request)
            wanted = await read_body(request, CreateSession)
            resource, entry.replayed = await service.create(caller, wanted, key)
            entry.session = identity = session_id(resource["metadata"]["name"])
        patience = Patience(parameters.preferred_wait(request))
        if patience.left:
            work = service.until_started(resource, patience.left)
            resource = await held(request, work, context.leaving) or resource
        answer = {
            "sessionId": identity,
            "workspaceId": workspace_id(resource["metadata"]["name"]),
            "status": views.status_of(resource),
        }
        again = REPLAYED if entry.replayed else {}
        return json_response(answer, 201, {"Location": f"{BASE}/{identity}", **patience.applied, **again})

    @router.get(BASE)
    async def list_sessions(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        limit = parameters.whole_number(request, "limit", 50, 1, parameters.MAX_PAGE)
        cursor, status = parameters.text(request, "cursor"), parameters.text(request, "status")
        if status is not None and status not in views.STATUSES:
            raise bad_parameter("status", f"must be one of {', '.join(views.STATUSES)}")
        items, following = service.page(caller, limit=limit, cursor=cursor, status=status)
        shown = [views.session_view(item, caller.organization_id, context.pty_base_url) for item in items]
        return json_response({"items": shown, "nextCursor": following}, headers=context.age())

    @router.get(BASE + "/{id}")
    async def get(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        resource = await service.get(caller, request.path_params["id"])
        return json_response(
            views.session_view(resource, caller.organization_id, context.pty_base_url), headers=context.age()
        )

    @router.delete(BASE + "/{id}")
    async def complete(request: Request) -> Response:
        identity = request.path_params["id"]
        with audited("complete", identity, request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.WRITE)
            await service.complete(caller, identity)
        return Response(status_code=204)
