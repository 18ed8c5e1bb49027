"""The calls about deploys in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codesessions_api.app_routes import APPS
from codesessions_api.build_routes import BUILDS, EVENTS
from codesessions_api.context import BASE
from codesessions_api.deploy_views import APP_STATUSES
from codesessions_api.parameters import MAX_PAGE
from codesessions_api.schemas import number, text

Part = dict[str, Any]
_DIGEST = "sha256:" + "0" * 64
_IMAGE = f"registry.example.com/demo/app-abc123@{_DIGEST}"
_REVISION = {
    "number": 1,
    "image": _IMAGE,
    "buildId": "bld_k3v9x2m4qa",
    "sourceDigest": _DIGEST,
    "createdAt": "2025-02-01T14:25:04Z",
    "failed": False,
}
_APP = {
    "id": "app_abc123",
    "sessionId": "cs_abc123",
    "organizationId": "org_demo",
    "status": "running",
    "url": "https://abc123-demo.apps.example.com",
    "host": "abc123-demo.apps.example.com",
    "revision": 1,
    "image": _IMAGE,
    "pinnedRevision": None,
    "buildId": "bld_k3v9x2m4qa",
    "revisions": [_REVISION],
    "reason": "Running",
    "message": "Revision 1 serves.",
    "createdAt": "2025-02-01T14:25:01Z",
    "updatedAt": "2025-02-01T14:25:06Z",
}
_BUILD = {
    "id": "bld_k3v9x2m4qa",
    "appId": "app_abc123",
    "sessionId": "cs_abc123",
    "organizationId": "org_demo",
    "userId": "user_1",
    "status": "building",
    "engine": "auto",
    "language": None,
    "sourceDigest": _DIGEST,
    "sourceBytes": 20480,
    "image": None,
    "baseDigest": None,
    "statementDigest": None,
    "revision": None,
    "phases": [{"phase": "zipping", "startedAt": "2025-02-01T14:25:01Z", "finishedAt": "2025-02-01T14:25:02Z"}],
    "reason": "Building",
    "message": "The image is being built.",
    "createdAt": "2025-02-01T14:25:01Z",
    "finishedAt": None,
    "updatedAt": "2025-02-01T14:25:02Z",
}
_KUBE = ("kubernetes_unavailable", "kubernetes_error")


def _query(name: str, schema: Part) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _head(name: str, schema: Part) -> Part:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _path(words: str, example: str) -> Part:
    return {"name": "id", "in": "path", "required": True, "schema": text(words, example)}


_PAGES = (
    _query("limit", number("How many a page.", minimum=1, maximum=MAX_PAGE, default=50)),
    _query("cursor", text("`nextCursor` of the page before.")),
)


def deploy_paths(
    operation: Callable[..., Part], session: Part, prefer: Part, applied: Part, idempotency_key: Part, replayed: Part
) -> Part:
    """The paths, made with the document's own `operation`."""
    deploy = operation(
        "deploySession",
        "Deploy a session",
        "Scope `code-sessions:deploy`. The session's files become an image, and the image an application at a host "
        "name of its own. The answer comes at once; with `Prefer: wait=N` when the deploy has ended, or after N "
        "seconds. A newer deploy of the session supersedes an unfinished one. Only a running session can be deployed: "
        "of one that has ended the files are gone, but its app runs on and can be rolled back.",
        200,
        "session_not_found",
        "session_not_running",
        "session_completed",
        "app_taken",
        "deploy_not_configured",
        "quota_exceeded",
        "forbidden_by_cluster",
        "invalid",
        "invalid_parameter",
        *_KUBE,
        answer="Deployed",
        example={
            "sessionId": "cs_abc123",
            "appId": "app_abc123",
            "status": "deploying",
            "buildId": "bld_k3v9x2m4qa",
        },
        parameters=(
            prefer,
            idempotency_key,
        ),
        headers={**applied, **replayed},
    )
    listing = operation(
        "listApps",
        "List apps, newest first",
        "Scope `code-sessions:read`.",
        200,
        "invalid_parameter",
        answer="AppList",
        example={"items": [_APP], "nextCursor": None},
        parameters=(*_PAGES, _query("status", text("Only apps of this status.", enum=list(APP_STATUSES)))),
    )
    reading = operation(
        "getApp",
        "Read an app",
        "Scope `code-sessions:read`.",
        200,
        "app_not_found",
        *_KUBE,
        answer="App",
        example=_APP,
    )
    deleting = operation(
        "deleteApp",
        "Delete an app",
        "Scope `code-sessions:deploy`. Its pods, builds and images go with it; its session stays.",
        204,
        "app_not_found",
        "forbidden_by_cluster",
        "invalid",
        *_KUBE,
    )
    rollback = operation(
        "rollBackApp",
        "Run a revision that is kept",
        "Scope `code-sessions:deploy`. Nothing is built. The next deploy takes the app forward again.",
        200,
        "app_not_found",
        "revision_not_found",
        "forbidden_by_cluster",
        "invalid",
        *_KUBE,
        answer="App",
        example=_APP,
        body=("RollBack", {"revision": 1}),
    )
    builds = operation(
        "listBuilds",
        "List an app's builds, newest first",
        "Scope `code-sessions:read`.",
        200,
        "app_not_found",
        "invalid_parameter",
        *_KUBE,
        answer="BuildList",
        example={"items": [_BUILD], "nextCursor": None},
        parameters=_PAGES,
    )
    build = operation(
        "getBuild",
        "Read a build",
        "Scope `code-sessions:read`. What it was made of and when is here: source, base and image by digest.",
        200,
        "build_not_found",
        *_KUBE,
        answer="Build",
        example=_BUILD,
    )
    cancel = operation(
        "cancelBuild",
        "Cancel a build",
        "Scope `code-sessions:deploy`. What runs goes on.",
        200,
        "build_not_found",
        "build_finished",
        "forbidden_by_cluster",
        "invalid",
        *_KUBE,
        answer="Build",
        example=_BUILD,
    )
    log = operation(
        "readBuildLog",
        "Read a build's log",
        f"Scope `code-sessions:read`. Text, or with `Accept: {EVENTS}` one event a line, its id the line's number: "
        "after a break go on with `Last-Event-ID`. The last event is `end`, with the build's status.",
        200,
        "build_not_found",
        "invalid_parameter",
        "registry_unavailable",
        *_KUBE,
        parameters=(
            _query("follow", text("true: until the build has ended.", enum=["true", "false", "1", "0"])),
            _head("Last-Event-ID", text("Number of the last line that was seen.", "41")),
        ),
    )
    log["responses"]["200"]["content"] = {
        "text/plain": {"schema": {"type": "string"}},
        EVENTS: {"schema": {"type": "string"}},
    }
    one_app = _path("The app's id.", "app_abc123")
    one_build = _path("The build's id.", "bld_k3v9x2m4qa")
    for tag, operations in {
        "apps": (listing, reading, deleting, rollback, builds),
        "builds": (build, cancel, log),
    }.items():
        for each in operations:
            each["tags"] = [tag]
    return {
        BASE + "/{id}/deploy": {"parameters": [session], "post": deploy},
        APPS: {"get": listing},
        APPS + "/{id}": {"parameters": [one_app], "get": reading, "delete": deleting},
        APPS + "/{id}/rollback": {"parameters": [one_app], "post": rollback},
        APPS + "/{id}/builds": {"parameters": [one_app], "get": builds},
        BUILDS + "/{id}": {"parameters": [one_build], "get": build},
        BUILDS + "/{id}/cancel": {"parameters": [one_build], "post": cancel},
        BUILDS + "/{id}/logs": {"parameters": [one_build], "get": log},
    }
