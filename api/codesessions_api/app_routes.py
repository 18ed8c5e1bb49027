"""The calls about Apps: list, read, roll back, delete."""

from __future__ import annotations

from codesessions_crds.apikey import Scope
from codesessions_crds.names import name_of_app
from fastapi import APIRouter, Request, Response

from codesessions_api import deploy_views, parameters, views
from codesessions_api.audit import audited
from codesessions_api.bodies import RollBack, read_body
from codesessions_api.context import Context, json_response, request_id
from codesessions_api.problems import bad_parameter

APPS = "/api/v1/apps"


def add(router: APIRouter, context: Context) -> None:
    """Add them to a router."""
    deploys = context.deploys

    @router.get(APPS)
    async def list_apps(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        limit = parameters.whole_number(request, "limit", 50, 1, parameters.MAX_PAGE)
        cursor, status = parameters.text(request, "cursor"), parameters.text(request, "status")
        if status is not None and status not in deploy_views.APP_STATUSES:
            raise bad_parameter("status", f"must be one of {', '.join(deploy_views.APP_STATUSES)}")
        items = deploys.caches.apps.items(caller.namespace)
        if status is not None:
            items = [item for item in items if deploy_views.app_status(item) == status]
        page, following = views.page_of(items, limit, cursor, lambda name: name.startswith("app-"))
        shown = [deploy_views.app_view(item, caller.organization_id) for item in page]
        return json_response({"items": shown, "nextCursor": following}, headers=context.age())

    @router.get(APPS + "/{id}")
    async def get_app(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        app = await deploys.app(caller, request.path_params["id"])
        return json_response(deploy_views.app_view(app, caller.organization_id), headers=context.age())

    @router.delete(APPS + "/{id}")
    async def delete_app(request: Request) -> Response:
        with audited("delete-app", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.DEPLOY)
            await deploys.delete(caller, request.path_params["id"])
        return Response(status_code=204)

    @router.post(APPS + "/{id}/rollback")
    async def roll_back(request: Request) -> Response:
        with audited("rollback", request.path_params["id"], request_id(request)) as entry:
            entry.caller = caller = context.caller(request, Scope.DEPLOY)
            wanted = await read_body(request, RollBack)
            app = await deploys.roll_back(caller, request.path_params["id"], wanted.revision)
        return json_response(deploy_views.app_view(app, caller.organization_id))

    @router.get(APPS + "/{id}/builds")
    async def list_builds(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        limit = parameters.whole_number(request, "limit", 50, 1, parameters.MAX_PAGE)
        cursor = parameters.text(request, "cursor")
        app = await deploys.app(caller, request.path_params["id"])
        name = name_of_app(request.path_params["id"]) or app["metadata"]["name"]
        items = deploys.caches.builds.find(f"{caller.namespace}/{name}")
        page, following = views.page_of(items, limit, cursor, lambda name: name.startswith("bld-"))
        shown = [deploy_views.build_view(item, caller.organization_id) for item in page]
        return json_response({"items": shown, "nextCursor": following}, headers=context.age())
