"""The OpenAPI document's parts that the routes refer to."""

from __future__ import annotations

from typing import Any

from codesessions_api.bodies import Body

SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of the organisation."}
}
_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_STATUS = {"type": "string", "enum": ["creating", "running", "suspended", "completed", "failed"]}
_NULLABLE = {"type": ["string", "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


_CHUNK = _object({"seq": {"type": "integer", "minimum": 1}, "text": _TEXT, "createdAt": _TIME})
_SESSION = _object(
    {
        "id": _TEXT,
        "projectName": _TEXT,
        "projectDescription": _TEXT,
        "userId": _TEXT,
        "organizationId": _TEXT,
        "status": _STATUS,
        "workspaceId": _TEXT,
        "ptyEndpoint": _NULLABLE,
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    {"reason": _NULLABLE, "message": _NULLABLE, "exitCode": {"type": ["integer", "null"]}},
)
SCHEMAS: dict[str, Any] = {
    "Created": _object({"sessionId": _TEXT, "workspaceId": _TEXT, "status": _STATUS}),
    "Session": _SESSION,
    "SessionList": _object(
        {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Session"}}, "nextCursor": _NULLABLE}
    ),
    "InputResult": _object({"sent": {"type": "boolean"}, "bytes": {"type": "integer", "minimum": 0}}),
    "Output": _object(
        {
            "sessionId": _TEXT,
            "chunks": {"type": "array", "items": _CHUNK},
            "lastSeq": {"type": "integer", "minimum": 0},
        },
        {
            "oldestSeq": {"type": "integer", "minimum": 1},
            "truncated": {"type": "boolean"},
            "exit": {"type": ["object", "null"]},
        },
    ),
    "Problem": _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": _TEXT,
            "requestId": _TEXT,
        },
        {"errors": {"type": "array", "items": _object({"pointer": _TEXT, "detail": _TEXT})}},
    ),
}
EXAMPLES: dict[str, Any] = {
    "Created": {"sessionId": "cs_abc123", "workspaceId": "ws_abc123", "status": "creating"},
    "InputResult": {"sent": True, "bytes": 7},
    "Output": {
        "sessionId": "cs_abc123",
        "chunks": [{"seq": 12, "text": "total 24\n", "createdAt": "2025-02-01T14:25:01Z"}],
        "lastSeq": 13,
    },
}
_PROBLEMS = {
    400: "Malformed request",
    401: "No key, or a bad one",
    403: "The key lacks the scope, or a quota is used up",
    404: "No such session",
    409: "The session is not running",
    410: "The output is gone",
    413: "Too large",
    415: "Not JSON",
    422: "Invalid body or parameter",
    429: "The input queue is full",
    500: "A fault of ours",
    503: "Try again later",
}


def responses(status: int, schema: str | None, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a call."""
    media: dict[str, Any] = {}
    if schema is not None:
        media = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
        if schema in EXAMPLES:
            media["content"]["application/json"]["example"] = EXAMPLES[schema]
    found: dict[int | str, dict[str, Any]] = {status: {"description": "Done", **media}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for code in sorted({401, 403, 422, 500, 503, *problems}):
        found[code] = {"description": _PROBLEMS[code], "content": problem}
    return found


def body(model: type[Body], example: dict[str, Any]) -> dict[str, Any]:
    """A request body's description."""
    media = {"schema": {**model.model_json_schema(by_alias=True), "examples": [example]}}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def parameters(*items: tuple[str, str, dict[str, Any], str]) -> list[dict[str, Any]]:
    """Parameters as (name, place, schema, description)."""
    return [
        {"name": name, "in": place, "required": place == "path", "schema": schema, "description": text}
        for name, place, schema, text in items
    ]
