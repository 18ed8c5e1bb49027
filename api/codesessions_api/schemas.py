"""The shapes that the OpenAPI document names."""

from __future__ import annotations

from typing import Any

from codesessions_api.bodies import CreateSession, Resize, SendInput
from codesessions_api.codes import CODES
from codesessions_api.parameters import MAX_SEQ
from codesessions_api.views import STATUSES

Schema = dict[str, Any]


def text(description: str, *examples: str, **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, **({"examples": list(examples)} if examples else {}), **more}


def number(description: str, **more: Any) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description, **more}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def object_of(description: str, required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with its members."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "description": description, "required": list(required), "properties": properties}


def ref(name: str) -> Schema:
    """A reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


_ID = text("The session's id.", "cs_abc123", pattern="^cs_[a-z0-9]{1,40}$")
_WORKSPACE = text("Its workspace's id.", "ws_abc123")
_STATUS = text("How far it is.", enum=list(STATUSES))
_TIME = text("RFC 3339, UTC.", "2025-02-01T14:25:01Z", format="date-time")
_SEQ = number("1, 2, 3 ... without gaps for the life of the session.", minimum=1, maximum=MAX_SEQ)

SESSION = object_of(
    "A session.",
    {
        "id": _ID,
        "projectName": text("Name of the project."),
        "projectDescription": text("What it is about."),
        "userId": text("Whose it is: the user of the key it was made with."),
        "organizationId": text("Whose namespace it is in.", "org_demo"),
        "status": _STATUS,
        "workspaceId": _WORKSPACE,
        "ptyEndpoint": nullable(
            text("Its terminal, a WebSocket; null until it is known.", "https://pty.example.com/cs_abc123")
        ),
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    {
        "reason": nullable(text("Why it is so, as one word for programs.", "PullingImage")),
        "message": nullable(text("Why it is so, and what to do, for people.")),
        "exitCode": nullable(number("Of the shell, when it ended by itself.")),
    },
)
_CHUNK = object_of(
    "A piece of output.",
    {"seq": _SEQ, "createdAt": _TIME},
    {"text": text("What was printed."), "data": text("With `raw=base64`, in place of `text`: the exact bytes.")},
)
_EXIT = object_of(
    "How the shell ended; null while it runs.",
    {"code": nullable(number("Its exit code.")), "signal": nullable(number("The signal that killed it."))},
)
SCHEMAS: dict[str, Schema] = {
    "CreateSession": CreateSession.model_json_schema(),
    "SendInput": SendInput.model_json_schema(),
    "Resize": Resize.model_json_schema(),
    "Created": object_of("A new session.", {"sessionId": _ID, "workspaceId": _WORKSPACE, "status": _STATUS}),
    "Session": SESSION,
    "SessionList": object_of(
        "A page of sessions.",
        {
            "items": {"type": "array", "items": ref("Session"), "description": "Newest first."},
            "nextCursor": nullable(text("The next page's `cursor`; null on the last page.")),
        },
    ),
    "InputResult": object_of(
        "What was typed.", {"sent": {"type": "boolean", "const": True}, "bytes": number("In UTF-8.", minimum=0)}
    ),
    "Output": object_of(
        "Output after a number.",
        {
            "sessionId": _ID,
            "chunks": {"type": "array", "items": _CHUNK, "description": "Oldest first."},
            "lastSeq": number("The newest chunk's number, 0 if there is none.", minimum=0, maximum=MAX_SEQ),
        },
        {
            "oldestSeq": number("The oldest chunk that is still kept.", minimum=1),
            "truncated": {"type": "boolean", "description": "Whether chunks after `afterSeq` are no longer kept."},
            "exit": nullable(_EXIT),
        },
    ),
    "Ticket": object_of(
        "A permission to connect to the terminal, for programs that cannot send headers.",
        {"ticket": text("Offer it as subprotocol `ticket.codesessions.dev.<ticket>`."), "expiresAt": _TIME},
    ),
    "Problem": object_of(
        "A refusal (RFC 9457).",
        {
            "type": text("Always about:blank; `code` tells problems apart."),
            "title": text("The status in words."),
            "status": number("The status.", minimum=400, maximum=599),
            "detail": text("What is wrong, for people."),
            "code": text("What is wrong, for programs.", enum=sorted(CODES)),
            "requestId": text("As in the header X-Request-Id."),
        },
        {
            "errors": {
                "type": "array",
                "description": "Where.",
                "items": object_of(
                    "One place.",
                    {"pointer": text("JSON pointer into the body, or a parameter's name."), "detail": text("What.")},
                ),
            },
            "limits": {
                "type": "array",
                "description": "Which limits of a ResourceQuota are reached.",
                "items": object_of(
                    "One limit.",
                    {
                        "quota": text("Name of the ResourceQuota."),
                        "resource": text("What it limits.", "count/codesessions.codesessions.dev"),
                        "requested": text("What the call would have taken."),
                        "used": text("What is taken."),
                        "hard": text("What may be."),
                    },
                ),
            },
        },
    ),
}
