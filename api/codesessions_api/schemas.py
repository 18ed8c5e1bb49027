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


def _null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(description: str, required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
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

SESSION = _object(
    "A session.",
    {
        "id": _ID,
        "projectName": text("Name of the project."),
        "projectDescription": text("What it is about."),
        "userId": text("Whose it is: the user of the key it was made with."),
        "organizationId": text("Whose namespace it is in.", "org_demo"),
        "status": _STATUS,
        "workspaceId": _WORKSPACE,
        "ptyEndpoint": _null(
            text("Its terminal, a WebSocket; null until it is known.", "https://pty.example.com/cs_abc123")
        ),
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    {
        "reason": _null(text("Why it is so, as one word for programs.", "PullingImage")),
        "message": _null(text("Why it is so, and what to do, for people.")),
        "exitCode": _null(number("Of the shell, when it ended by itself.")),
    },
)
_CHUNK = _object(
    "A piece of output.",
    {"seq": _SEQ, "createdAt": _TIME},
    {"text": text("What was printed."), "data": text("With `raw=base64`, in place of `text`: the exact bytes.")},
)
_EXIT = _object(
    "How the shell ended; null while it runs.",
    {"code": _null(number("Its exit code.")), "signal": _null(number("The signal that killed it."))},
)
SCHEMAS: dict[str, Schema] = {
    "CreateSession": CreateSession.model_json_schema(),
    "SendInput": SendInput.model_json_schema(),
    "Resize": Resize.model_json_schema(),
    "Created": _object("A new session.", {"sessionId": _ID, "workspaceId": _WORKSPACE, "status": _STATUS}),
    "Session": SESSION,
    "SessionList": _object(
        "A page of sessions.",
        {
            "items": {"type": "array", "items": ref("Session"), "description": "Newest first."},
            "nextCursor": _null(text("The next page's `cursor`; null on the last page.")),
        },
    ),
    "InputResult": _object(
        "What was typed.", {"sent": {"type": "boolean", "const": True}, "bytes": number("In UTF-8.", minimum=0)}
    ),
    "Output": _object(
        "Output after a number.",
        {
            "sessionId": _ID,
            "chunks": {"type": "array", "items": _CHUNK, "description": "Oldest first."},
            "lastSeq": number("The newest chunk's number, 0 if there is none.", minimum=0, maximum=MAX_SEQ),
        },
        {
            "oldestSeq": number("The oldest chunk that is still kept.", minimum=1),
            "truncated": {"type": "boolean", "description": "Whether chunks after `afterSeq` are no longer kept."},
            "exit": _null(_EXIT),
        },
    ),
    "Ticket": _object(
        "A permission to connect to the terminal, for programs that cannot send headers.",
        {"ticket": text("Offer it as subprotocol `ticket.codesessions.dev.<ticket>`."), "expiresAt": _TIME},
    ),
    "Problem": _object(
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
                "items": _object(
                    "One place.",
                    {"pointer": text("JSON pointer into the body, or a parameter's name."), "detail": text("What.")},
                ),
            }
        },
    ),
}
