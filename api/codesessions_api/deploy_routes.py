"""The call that deploys a session."""

from __future__ import annotations

from codesessions_crds.apikey import Scope
from codesessions_crds.names import app_id, build_id
from fastapi import APIRouter, Request, Response

from codesessions_api import deploy_views, parameters, views
from codesessions_api.audit import audited
from codesessions_api.context import BASE, Context, json_response, request_id
from codesessions_api.held import Patience, held
from codesessions_api.idempotency import REPLAYED, idempotency_key
from codesessions_api.ratelimits import CREATES
from codesessions_api.service import check_running


def add(router: APIRouter, context: Context) -> None:
    """Add it to a router."""
    service, deploys = context.service, context.deploys

    @router.post(BASE + "/{id}/deploy")
    async def deploy(request: Request) -> Response:
        identity = request.path_params["id"]
        with audited("deploy", identity, request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.DEPLOY, CREATES)
            key = idempotency_key(request)
            patience = Patience(parameters.preferred_wait(request))
            session = await service.get(caller, identity)
            if patience.left and views.status_of(session) == "creating":
                work = service.until_started(session, patience.left)
                session = await held(request, work, context.leaving) or session
            check_running(session)
            app, build, entry.replayed = await deploys.deploy(caller, session, key)
        status = "deploying"
        if patience.left:
            build = await held(request, deploys.until_finished(build, patience.left), context.leaving) or build
            ended = {"succeeded": "running", "failed": "failed", "cancelled": "failed"}
            status = ended.get(deploy_views.build_status(build), status)
        answer = {
            "sessionId": identity,
            "appId": app_id(app["metadata"]["name"]),
            "status": status,
            "buildId": build_id(build["metadata"]["name"]),
        }
        return json_response(answer, headers={**patience.applied, **(REPLAYED if entry.replayed else {})})
