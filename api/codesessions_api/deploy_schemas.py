"""The shapes of Apps and Builds that the OpenAPI document names."""

from __future__ import annotations

from codesessions_api.bodies import RollBack
from codesessions_api.deploy_views import APP_STATUSES, BUILD_STATUSES
from codesessions_api.schemas import Schema, nullable, number, object_of, ref, text

_SESSION = text("The session's id.", "cs_abc123", pattern="^cs_[a-z0-9]{1,40}$")
_APP = text("The app's id.", "app_abc123", pattern="^app_[a-z0-9]{1,40}$")
_BUILD = text("The build's id.", "bld_k3v9x2m4qa", pattern="^bld_[a-z0-9]{1,40}$")
_TIME = text("RFC 3339, UTC.", "2025-02-01T14:25:01Z", format="date-time")
_DIGEST = text("By SHA-256.", "sha256:" + "0" * 64)
_IMAGE = text("Image, by digest.")
_REASON = nullable(text("Why it is so, as one word for programs."))
_MESSAGE = nullable(text("Why it is so, and what to do, for people."))

_REVISION = object_of(
    "What an app can run.",
    {
        "number": number("1, 2, 3 ...; never used twice.", minimum=1),
        "image": _IMAGE,
        "buildId": nullable(_BUILD),
        "sourceDigest": nullable(_DIGEST),
        "createdAt": nullable(_TIME),
        "failed": {"type": "boolean", "description": "Whether its rollout failed."},
    },
)
_PHASE = object_of(
    "A phase of a build.",
    {"phase": text("Its name.", enum=list(BUILD_STATUSES)), "startedAt": _TIME, "finishedAt": nullable(_TIME)},
)
APP = object_of(
    "An application at a host name of its own.",
    {
        "id": _APP,
        "sessionId": nullable(_SESSION),
        "organizationId": text("Whose namespace it is in.", "org_demo"),
        "status": text(
            "How it is. `failed` is about the last deploy: `url` may go on answering.", enum=[*APP_STATUSES]
        ),
        "url": nullable(text("Where it answers.", "https://abc123-demo.apps.example.com")),
        "host": nullable(text("Its host name.")),
        "revision": nullable(number("The revision that gets the requests.")),
        "image": nullable(_IMAGE),
        "pinnedRevision": nullable(number("The revision that a rollback asked for; null: the newest.")),
        "buildId": nullable(_BUILD),
        "revisions": {"type": "array", "items": ref("Revision"), "description": "What can be rolled back to."},
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    {"reason": _REASON, "message": _MESSAGE},
)
BUILD = object_of(
    "One deploy: from files to an image to a revision.",
    {
        "id": _BUILD,
        "appId": _APP,
        "sessionId": nullable(_SESSION),
        "organizationId": text("Whose namespace it is in.", "org_demo"),
        "userId": text("Who asked for it."),
        "status": text("How far it is.", enum=list(BUILD_STATUSES)),
        "engine": text("How it is built."),
        "language": nullable(text("What was found in the source.", "python")),
        "sourceDigest": nullable(_DIGEST),
        "sourceBytes": nullable(number("Size of the source's zip.")),
        "image": nullable(_IMAGE),
        "baseDigest": nullable(_DIGEST),
        "statementDigest": nullable(_DIGEST),
        "revision": nullable(number("The app's revision it became.")),
        "phases": {"type": "array", "items": ref("BuildPhase"), "description": "When each phase began and ended."},
        "createdAt": _TIME,
        "finishedAt": nullable(_TIME),
        "updatedAt": _TIME,
    },
    {"reason": _REASON, "message": _MESSAGE},
)


def _list(of: str) -> Schema:
    items = {"type": "array", "items": ref(of), "description": "Newest first."}
    following = nullable(text("The next page's `cursor`; null on the last page."))
    return object_of("A page.", {"items": items, "nextCursor": following})


DEPLOY_SCHEMAS: dict[str, Schema] = {
    "Deployed": object_of(
        "A deploy that has begun.",
        {"sessionId": _SESSION, "appId": _APP, "status": text("How far it is.", enum=list(APP_STATUSES))},
        {"buildId": _BUILD},
    ),
    "RollBack": RollBack.model_json_schema(),
    "Revision": _REVISION,
    "BuildPhase": _PHASE,
    "App": APP,
    "AppList": _list("App"),
    "Build": BUILD,
    "BuildList": _list("Build"),
}
